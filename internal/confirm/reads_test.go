package confirm

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

func at(first, second time.Duration) pair {
	return pair{first: logSeconds(first), second: logSeconds(second)}
}

func numbered(i int) version { return version{etag: strconv.Itoa(i)} }

func once(first time.Duration) pair { return pair{first: logSeconds(first), single: true} }

// alike are the HEADs beside the reads of an object, all of which took d.
func alike(d time.Duration) []time.Duration { return slices.Repeat([]time.Duration{d}, beforeReads) }

// taught has seen objects and pairs with these latencies, give or take 5 %.
func taught(objects, pairs int, miss, hit time.Duration) *Reads {
	r := new(Reads)
	rnd := rand.New(rand.NewPCG(3, 4))
	near := func(d time.Duration) time.Duration { return time.Duration(float64(d) * (0.95 + 0.1*rnd.Float64())) }
	for i := range objects {
		r.Before(numbered(i), []time.Duration{near(miss), near(miss), near(miss), near(miss)}, alike(near(plainHead)))
	}
	for range pairs {
		r.after(numbered(-1), []pair{at(near(hit), near(hit))}, plainHead, true)
	}
	return r
}

func TestReadsTell(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		reads *Reads
		want  bool
	}{
		"clear":                   {taught(40, 40, 20*ms, 2*ms), true},
		"3 times":                 {taught(40, 40, 6*ms, 2*ms), true},
		"four objects":            {taught(minObjects, minHits, 25*ms, ms), true},
		"three objects":           {taught(minObjects-1, 40, 25*ms, ms), false},
		"four objects, 3 times":   {taught(minObjects, minHits, 6*ms, 2*ms), false},
		"no object read before":   {taught(0, 40, 20*ms, 2*ms), false},
		"few hits":                {taught(40, minHits-1, 20*ms, 2*ms), false},
		"no hits":                 {taught(40, 40, 20*ms, 20*ms), false},
		"1.5 times":               {taught(40, 40, 3*ms, 2*ms), false},
		"misses faster than hits": {taught(40, 40, 2*ms, 20*ms), false},
	} {
		if got := tt.reads.Tells(); got != tt.want {
			t.Errorf("%s: tells %v: %+v", name, got, tt.reads.learnt())
		}
	}
}

// TestSure: many misses were seen, and none that came like a hit.
func TestSure(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	many := taught(muchTried, 40, 20*ms, 2*ms)
	if !many.Sure() || taught(muchTried-1, 40, 20*ms, 2*ms).Sure() {
		t.Errorf("of %d objects %v, of one less %v", muchTried, many.Sure(), taught(muchTried-1, 40, 20*ms, 2*ms).Sure())
	}
	many.Before(numbered(0), []time.Duration{20 * ms, 2 * ms, 20 * ms, 20 * ms}, alike(plainHead))
	if many.Sure() || !many.Tells() {
		t.Errorf("one that came like a hit: sure %v, tells %v", many.Sure(), many.Tells())
	}
}

// TestTrustIsLost: when nothing but objects that were there already are read
// before, when misses come as fast as hits now and then, and when hits have
// become slow.
func TestTrustIsLost(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, change := range map[string]func(*Reads){
		"all cached before": func(r *Reads) {
			for i := range recentGroups {
				r.Before(numbered(i), []time.Duration{2 * ms, 2 * ms, 2 * ms, 2 * ms}, alike(plainHead))
			}
		},
		"fast misses": func(r *Reads) {
			for i := range 2 {
				r.Before(numbered(i), []time.Duration{20 * ms, 2 * ms, 20 * ms, 20 * ms}, alike(plainHead))
			}
		},
		"hits are slow": func(r *Reads) {
			for range finalPairs {
				r.after(numbered(-1), []pair{at(20*ms, 20*ms)}, plainHead, true)
			}
		},
	} {
		r := taught(40, 40, 20*ms, 2*ms)
		if !r.Tells() {
			t.Fatal("nothing was learnt")
		}
		if change(r); r.Tells() {
			t.Errorf("%s: still told by %+v", name, r.learnt())
		}
	}
}

// TestOwnMisses: where proof is asked for, an object's own misses suffice for it
// until more is known, if hits are four times as fast, but not for others.
func TestOwnMisses(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		alone     bool
		of        int
		miss, hit time.Duration
		want      finding
	}{
		"its own":             {true, 0, 20 * ms, 5 * ms, present},
		"those of another":    {true, 1, 20 * ms, 5 * ms, unclear},
		"where 2xx would do":  {false, 0, 20 * ms, 5 * ms, unclear},
		"hits hardly faster":  {true, 0, 20 * ms, 10 * ms, unclear},
		"cached before":       {true, 0, 5 * ms, 5 * ms, unclear},
		"missing, brought in": {true, 0, 20 * ms, 2 * ms, missing},
	} {
		r := taught(1, 0, tt.miss, tt.hit)
		r.Alone = tt.alone
		round := []pair{at(tt.hit, tt.hit), at(tt.hit, tt.hit), at(tt.hit, tt.hit)}
		r.after(numbered(tt.of), round, plainHead, false)
		if tt.want == missing {
			round[1] = at(tt.miss, tt.hit)
		}
		if got := r.after(numbered(tt.of), round, plainHead, false); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
		if r.Tells() {
			t.Errorf("%s: said of all objects", name)
		}
	}
}

// TestBesideHead: what slowed down the HEAD, too, is no miss, and a miss is only as
// slow as it was beside its HEAD.
func TestBesideHead(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	limit := 0.0
	for _, tt := range []struct {
		name       string
		miss, head time.Duration
		tells      bool
		times      float64 // the first one's limit
	}{
		{"as after a fill", 20 * ms, plainHead, true, 1},
		{"hardly slower", 20 * ms, plainHead * 5 / 4, true, 4.0 / 5},
		{"a little slower", 20 * ms, plainHead * 3 / 2, true, 2.0 / 3},
		{"everything three times as slow", 60 * ms, plainHead * 3, true, 1},
		{"all equally slow", 20 * ms, plainHead * 10, false, 0},
		{"hardly slower than HEADs were", 20 * ms, plainHead * 7, false, 0},
		{"quicker than after a fill", 20 * ms, plainHead / 2, true, 1},
	} {
		r := taught(0, 40, tt.miss, 2*ms)
		for i := range 40 {
			r.Before(numbered(i), []time.Duration{tt.miss, tt.miss, tt.miss, tt.miss}, alike(tt.head))
		}
		got := math.Exp(r.learnt().limit)
		if limit == 0 {
			limit = got
		}
		if r.Tells() != tt.tells || (tt.tells && math.Abs(got/limit-tt.times) > 0.01) {
			t.Errorf("%s: tells %v, limit %.3f of the first, want %v, %.3f", tt.name, r.Tells(), got/limit, tt.tells, tt.times)
		}
	}
}

// TestOwnMissesBesideHeads: one HEAD of four that took as long as the reads beside
// it is enough for them to show nothing.
func TestOwnMissesBesideHeads(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for slowest, want := range map[time.Duration]finding{plainHead: present, plainHead * 6: unclear} {
		r := Reads{Alone: true}
		r.Before(numbered(0), []time.Duration{20 * ms, 20 * ms, 20 * ms, 20 * ms}, append(alike(plainHead)[1:], slowest))
		round := []pair{at(2*ms, 2*ms), at(2*ms, 2*ms), at(2*ms, 2*ms), at(2*ms, 2*ms)}
		if got := r.after(numbered(0), round, plainHead, false); got != want {
			t.Errorf("slowest HEAD %s: %d, want %d", slowest, got, want)
		}
	}
}

// TestStarving: now and then all is slow, HEADs too or just not, and nothing else ever
// is.
func TestStarving(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		every int
		head  time.Duration
	}{
		"HEADs too":                  {3, 30 * ms},
		"by chance a HEAD was quick": {8, plainHead},
	} {
		r := taught(0, 40, 20*ms, 2*ms)
		for i := range maxGroups {
			if i%tt.every == 0 {
				r.Before(numbered(i), []time.Duration{30 * ms, 31 * ms, 30 * ms, 29 * ms}, alike(tt.head))
			} else {
				r.Before(numbered(i), []time.Duration{2 * ms, 2 * ms, 2 * ms, 2 * ms}, alike(plainHead))
			}
			if i > maxGroups-recentGroups { // as recent as can be
				r.Before(numbered(i), []time.Duration{30 * ms, 31 * ms, 30 * ms, 29 * ms}, alike(tt.head))
			}
		}
		if r.Tells() {
			t.Errorf("%s: told by %+v", name, r.learnt())
		}
	}
}

// TestOwnMissesForAWhile: once much was tried in vain, an object's own misses do not
// suffice either.
func TestOwnMissesForAWhile(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for others, want := range map[int]finding{0: present, muchTried - 1: unclear} {
		r := taught(0, 0, 20*ms, 2*ms)
		r.Alone = true
		for i := range others { // cached before
			r.Before(numbered(1+i), []time.Duration{5 * ms, 5 * ms, 5 * ms, 5 * ms}, alike(plainHead))
		}
		r.Before(numbered(0), []time.Duration{20 * ms, 20 * ms, 20 * ms, 20 * ms}, alike(plainHead))
		round := []pair{at(5*ms, 5*ms), at(5*ms, 5*ms), at(5*ms, 5*ms)}
		r.after(numbered(0), round, plainHead, false)
		if got := r.after(numbered(0), round, plainHead, false); got != want {
			t.Errorf("beside %d others: %d, want %d", others, got, want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	known := taught(40, 40, 20*ms, 2*ms).learnt()
	hit, miss, within := at(2*ms, 2*ms), at(20*ms, 2*ms), at(20*ms, 20*ms)
	for name, tt := range map[string]struct {
		trust trust
		pairs []pair
		want  finding
	}{
		"all fast":                         {known, []pair{hit, hit}, present},
		"one miss":                         {known, []pair{hit, miss, hit}, missing},
		"slow twice":                       {known, []pair{hit, within}, unclear},
		"a miss beside one that is slow":   {known, []pair{within, miss}, missing},
		"fast, but the second much faster": {known, []pair{at(4*ms, ms/2)}, unclear},
		"read once, as fast as the last":   {known, []pair{once(2 * ms), hit}, present},
		"read once, the last much faster":  {known, []pair{once(4 * ms), at(ms/2, ms/2)}, unclear},
		"nothing read":                     {known, nil, unclear},
		"nothing known":                    {trust{limit: math.Inf(1)}, []pair{hit}, unclear},
	} {
		if got := tt.trust.judge(tt.pairs); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

// TestLowerBound: of samples of a normal distribution, the next value is below
// the bound at most once in a thousand times, however small the samples are.
func TestLowerBound(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	const draws = 20_000
	for _, n := range []int{4, 16, 64} {
		below := 0
		for range draws {
			sample := make([]float64, n)
			for i := range sample {
				sample[i] = priorSpread * rnd.NormFloat64()
			}
			if priorSpread*rnd.NormFloat64() <= lowerBound(sample) {
				below++
			}
		}
		if below > draws/1000 {
			t.Errorf("of %d values: %d of %d below the bound", n, below, draws)
		}
	}
}

// TestStudentT compares with the tables: 0.1 %, one-sided.
func TestStudentT(t *testing.T) {
	t.Parallel()
	for df, want := range map[float64]float64{8: 4.501, 10: 4.144, 20: 3.552, 60: 3.232, 120: 3.160} {
		if got := studentT(3.0902, df); math.Abs(got-want) > 0.01*want {
			t.Errorf("%v degrees of freedom: %.3f, want %.3f", df, got, want)
		}
	}
}
