package prestage

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// fleet simulates replicas that send to one store without knowing of each other.
// Each is a real governor with as much to do as it likes.
type fleet struct {
	rnd      *rand.Rand
	now      time.Time
	events   events
	replicas []*governor
	inUse    []int

	capacity int // fills that the store takes at once; more are refused
	running  int
	chance   float64 // of a refusal for no reason
	rate     float64 // or fills a second that it begins, 0: any
	tokens   float64
	refilled time.Time
	fillTime time.Duration

	accepted []int // by replica
	refused  int
}

type simEvent struct {
	at time.Time
	do func()
}

type events []simEvent

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(simEvent)) } //nolint:forcetypeassert // nothing else is pushed
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newFleet(seed uint64, replicas, capacity int, fillTime time.Duration) *fleet {
	f := &fleet{
		rnd: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1e9, 0), capacity: capacity, fillTime: fillTime,
		inUse: make([]int, replicas), accepted: make([]int, replicas),
	}
	f.refilled = f.now
	for i := range replicas {
		g := newGovernor(300, f.now)
		f.replicas = append(f.replicas, g)
		f.after(time.Duration(f.rnd.Int64N(int64(fillTime))), func() { f.tick(i) })
	}
	return f
}

func (f *fleet) after(d time.Duration, do func()) {
	heap.Push(&f.events, simEvent{f.now.Add(d), do})
}

// tick looks at a replica's limit now and then, as Limiter does (which has the
// time to do so more often while fills are long).
func (f *fleet) tick(i int) {
	f.send(i)
	f.after(max(lookAgain, f.fillTime/50), func() { f.tick(i) })
}

// send has a replica send what its limit allows.
func (f *fleet) send(i int) {
	g := f.replicas[i]
	g.advance(f.now, true)
	for g.room(f.inUse[i]) > 0 {
		g.sent()
		f.inUse[i]++
		f.request(i, f.now)
	}
}

func (f *fleet) request(i int, sent time.Time) {
	const answer = 5 * time.Millisecond
	f.after(answer, func() {
		if !f.take() {
			f.refused++
			f.after(answer, func() {
				f.replicas[i].advance(f.now, true)
				f.replicas[i].refuse(sent, f.inUse[i])
				f.inUse[i]--
				f.send(i)
			})
			return
		}
		f.running++
		// Most objects are of one size, some are small or large.
		d := time.Duration(float64(f.fillTime) * math.Exp(f.rnd.NormFloat64()/2-1./8))
		f.after(d, func() {
			f.running--
			f.accepted[i]++
			f.inUse[i]--
			f.replicas[i].advance(f.now, true)
			f.replicas[i].filled(d)
			f.send(i)
		})
	})
}

// take says whether the store has room for a fill.
func (f *fleet) take() bool {
	if f.rnd.Float64() < f.chance {
		return false
	}
	if f.rate == 0 {
		return f.running < f.capacity
	}
	f.tokens = min(f.tokens+f.rate*f.now.Sub(f.refilled).Seconds(), f.rate) // what it has not begun in a second is lost
	f.refilled = f.now
	if f.tokens < 1 {
		return false
	}
	f.tokens--
	return true
}

// run lets so many fill times pass, and returns how much of the capacity was
// used, which share of the requests was refused, and how even the replicas
// fared (Jain's index: 1 is perfectly fair).
func (f *fleet) run(fills int) (goodput, refused, fairness float64) {
	clear(f.accepted)
	f.refused = 0
	took := time.Duration(fills) * f.fillTime
	for end := f.now.Add(took); f.events[0].at.Before(end); {
		e := heap.Pop(&f.events).(simEvent) //nolint:forcetypeassert // likewise
		f.now = e.at
		e.do()
	}
	var sum, squares float64
	for _, n := range f.accepted {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	possible := float64(f.capacity * fills)
	if f.rate > 0 {
		possible = f.rate * took.Seconds()
	}
	return sum / possible, float64(f.refused) / (float64(f.refused) + sum), sum * sum / (float64(len(f.accepted)) * squares)
}

// TestFleetFindsTheCapacity changes the capacity of the store, in both
// directions. 50 fill times later the fleet uses it, and is seldom refused. In the
// long run its replicas fare alike.
func TestFleetFindsTheCapacity(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		replicas int
		fillTime time.Duration
		rate     float64 // the store begins so many fills a second; 0: it has capacity
	}{
		"1 replica":                    {replicas: 1, fillTime: 2 * time.Second},
		"4 replicas":                   {replicas: 4, fillTime: 2 * time.Second},
		"16 replicas":                  {replicas: 16, fillTime: 2 * time.Second},
		"1 replica, short fills":       {replicas: 1, fillTime: 50 * time.Millisecond},
		"16 replicas, short fills":     {replicas: 16, fillTime: 50 * time.Millisecond},
		"4 replicas, long fills":       {replicas: 4, fillTime: time.Minute},
		"1 replica, a limit of rate":   {replicas: 1, fillTime: time.Second, rate: 1},
		"4 replicas, a limit of rate":  {replicas: 4, fillTime: time.Second, rate: 1},
		"16 replicas, a limit of rate": {replicas: 16, fillTime: time.Second, rate: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				f := newFleet(seed, tt.replicas, 96, tt.fillTime)
				for _, capacity := range []int{96, 48, 192, 96} {
					f.capacity, f.rate = capacity, tt.rate*float64(capacity)
					f.run(50)
					goodput, refused, fairness := f.run(50)
					t.Logf("seed %d, capacity %d: goodput %.3f, refused %.4f, fairness %.2f", seed, capacity, goodput, refused, fairness)
					if goodput < .85 || refused > .05 {
						t.Errorf("seed %d, capacity %d: goodput %.3f, refused %.4f", seed, capacity, goodput, refused)
					}
				}
				goodput, refused, fairness := f.run(1000)
				t.Logf("seed %d, later: goodput %.3f, refused %.4f, fairness %.2f", seed, goodput, refused, fairness)
				if fairness < .9 {
					t.Errorf("seed %d: fairness %.2f", seed, fairness)
				}
			}
		})
	}
}

// TestSmallShares: 16 replicas of which each can have few fills at once, or less
// than one. They use what there is; the fewer it is, the more often somebody asks
// in vain, and the longer those who hold a permit keep it.
func TestSmallShares(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		capacity          int
		fillTime          time.Duration
		refused, fairness float64
	}{
		{48, 2 * time.Second, .04, .9},
		{24, 2 * time.Second, .06, .85},
		{16, 2 * time.Second, .10, .8},
		{8, 2 * time.Second, .25, .4},
		{8, time.Minute, .5, .4},
	} {
		t.Run(fmt.Sprintf("%d at once, of %s", tt.capacity, tt.fillTime), func(t *testing.T) {
			t.Parallel()
			const seeds = 3
			var goodput, refused, fairness float64
			for seed := range uint64(seeds) {
				f := newFleet(seed, 16, tt.capacity, tt.fillTime)
				f.run(100)
				g, r, j := f.run(1000)
				goodput, refused, fairness = goodput+g/seeds, refused+r/seeds, fairness+j/seeds
			}
			t.Logf("goodput %.3f, refused %.4f, fairness %.2f", goodput, refused, fairness)
			if goodput < .9 || refused > tt.refused || fairness < tt.fairness {
				t.Errorf("goodput %.3f, refused %.4f, fairness %.2f", goodput, refused, fairness)
			}
		})
	}
}

// A store that refuses one request in 300 for no reason is used all the same.
func TestChanceIsBorne(t *testing.T) {
	t.Parallel()
	f := newFleet(1, 1, 10_000, time.Second)
	f.chance = 1. / 300
	f.run(100)
	if goodput, _, _ := f.run(100); goodput*10_000 < 250 {
		t.Errorf("%.0f fills at once", goodput*10_000)
	}
}

// ticks lets so many seconds pass while the limit is reached.
func (g *governor) ticks(n int) {
	for range n {
		g.advance(g.now.Add(time.Second), true)
	}
}

func TestLimitThatNobodyReaches(t *testing.T) {
	t.Parallel()
	g := newGovernor(300, time.Unix(1e9, 0))
	g.advance(g.now.Add(time.Hour), false)
	if g.permits() != firstLimit {
		t.Errorf("the limit is %d", g.permits())
	}
	g.ticks(10)
	if g.permits() != 300 {
		t.Errorf("the limit is %d when it is reached", g.permits())
	}
	if small := newGovernor(4, time.Unix(1e9, 0)); small.permits() != 4 {
		t.Errorf("the limit is %d, the ceiling 4", small.permits())
	}
}

// What was sent before a cut is refused for what was cut already.
func TestOneCutForAll(t *testing.T) {
	t.Parallel()
	g := newGovernor(300, time.Unix(1e9, 0))
	g.ticks(10)
	sent := g.now
	g.advance(g.now.Add(time.Millisecond), true)
	for range 100 {
		g.refuse(sent, 300)
	}
	if got := g.permits(); got != 225 {
		t.Errorf("the limit is %d", got)
	}
}

// A store that is at its end for minutes is asked now and then, and when it is
// back it is used again at once.
func TestNothingIsAccepted(t *testing.T) {
	t.Parallel()
	g := newGovernor(300, time.Unix(1e9, 0))
	g.filled(time.Second)
	g.ticks(10)
	sent := 0
	for range 6000 { // of a tenth of a second
		g.advance(g.now.Add(100*time.Millisecond), true)
		for n := g.room(0); n > 0; n-- {
			g.sent()
			g.refuse(g.now, n)
			sent++
		}
	}
	if g.limit != lowestLimit || sent < 60 || sent > 400 {
		t.Errorf("in ten minutes %d were sent, the limit is %v", sent, g.limit)
	}
	g.filled(time.Second)
	g.ticks(12)
	if g.permits() != 300 {
		t.Errorf("12 s later the limit is %d", g.permits())
	}
}

func TestSlowHeads(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	heads := func(g *governor, d time.Duration, n int) {
		for range n {
			g.advance(g.now.Add(10*ms), false)
			g.headed(d, 300)
		}
	}
	for name, tt := range map[string]struct {
		usual, then time.Duration
		n           int
		slower      bool
	}{
		"as ever":                   {usual: 10 * ms, then: 12 * ms, n: 100},
		"a little slower":           {usual: 10 * ms, then: 25 * ms, n: 100},
		"quick, and not quite so":   {usual: 1 * ms, then: 20 * ms, n: 100},
		"much slower":               {usual: 10 * ms, then: 100 * ms, n: 8, slower: true},
		"much slower, but few":      {usual: 10 * ms, then: 100 * ms, n: 4},
		"always slow is not slower": {usual: 2000 * ms, then: 2000 * ms, n: 100},
		"four times what is usual":  {usual: 500 * ms, then: 2000 * ms, n: 8, slower: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGovernor(300, time.Unix(1e9, 0))
			g.ticks(10)
			heads(g, tt.usual, 80)
			heads(g, tt.then, tt.n)
			if got := g.permits() < 300; got != tt.slower {
				t.Errorf("the limit is %d", g.permits())
			}
		})
	}
	g := newGovernor(300, time.Unix(1e9, 0))
	g.ticks(10)
	heads(g, 10*ms, 8)
	heads(g, time.Second, 1000)
	if got := g.permits(); got < slowHeadFloor-2 || got > slowHeadFloor {
		t.Errorf("heads that stay slow bring the limit to %d", got)
	}
	// In ten minutes what is usual is another.
	g.advance(g.now.Add(headSpell+time.Second), false)
	heads(g, time.Second, 8)
	g.advance(g.now.Add(headSpell+time.Second), false)
	g.ticks(600)
	before := g.permits()
	heads(g, time.Second, 80)
	if g.permits() != before {
		t.Errorf("the limit falls from %d to %d for what is usual by now", before, g.permits())
	}
}
