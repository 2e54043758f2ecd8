package confirm

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/outcome"
)

// lastLook is what a round is given to end in time.
const lastLook = time.Second

// maxWaiting bounds the targets that wait for a round, over all events. With
// their keys of up to 1,024 bytes they take a few MB.
const maxWaiting = 4096

const (
	// maxLesson bounds how long an event waits that is no better for it.
	maxLesson = 20 * time.Second
	// lessonEvery is of how many objects that were read before their fill one is
	// read after it, once there are many such reads.
	lessonEvery = 4
)

// roundsAt are the times of the rounds, in expected times of the fill.
var roundsAt = [...]int{1, 2, 4}

const lastRound = len(roundsAt) - 1

// Standing is what is known of a target when its confirmation has ended.
type Standing int

// The standings.
const (
	Unknown   Standing = iota // it was not looked at, or it could not be told
	Verified                  // every place that was read came at cache speed
	Missing                   // in the last round some place did not
	Changed                   // there is another version, or none
	Throttled                 // no probe was allowed in time
)

// Result is what became of a target.
type Result struct {
	Target
	Standing Standing
	Err      error // why its last round showed nothing, if that failed
}

// waiting is a target between its rounds.
type waiting struct {
	Target
	round    int       // the next
	due      time.Time // of the next
	expected time.Duration
	reserved int // probes of the budget

	over     bool
	standing Standing // then
	err      error    // of the last round
}

// Confirm looks at the targets of s in rounds, and returns when it knows of each
// or can know no more. It holds no permit while it waits; requests under way end
// with ctx, and waiting ends when start does. Targets that were not looked at
// are not among the results, which are in no order; enough says that the others
// speak for all.
func (c *Confirmer) Confirm(ctx, start context.Context, p Prober, s *Sample) (results []Result, enough bool) {
	queue, results, enough := c.admit(s)
	defer func() { c.release(queue) }()
	for len(queue) > 0 {
		slices.SortStableFunc(queue, func(a, b *waiting) int { return a.due.Compare(b.due) })
		if !sleepUntil(ctx, start, queue[0].due) {
			for _, w := range queue {
				results = append(results, w.result())
			}
			return results, enough
		}
		now := time.Now()
		due := queue
		if i := slices.IndexFunc(queue, func(w *waiting) bool { return w.due.After(now) }); i >= 0 {
			due = queue[:i]
		}
		c.look(ctx, p, due)
		queue = slices.DeleteFunc(queue, func(w *waiting) bool {
			if w.over {
				results = append(results, w.result())
				c.release([]*waiting{w})
			}
			return w.over
		})
	}
	return results, enough
}

// admit says which targets of s are looked at, and from when; all others are
// left as they are, but where proof is asked for.
func (c *Confirmer) admit(s *Sample) (queue []*waiting, results []Result, enough bool) {
	targets := s.targets()
	want := min(len(targets), minSample)
	c.mu.Lock()
	defer c.mu.Unlock()
	first := 0
	if c.mode == Auto {
		if c.reads.Tells() {
			targets = c.afford(targets, first, want)
		} else { // a look at what was read before, to learn
			first = lastRound
			targets = nil
			if c.lessons%lessonEvery == 0 || len(c.reads.pairs.values) < maxPairs/2 {
				targets = c.afford(s.read, first, 0)
			}
			c.warn()
		}
	}
	if room := maxWaiting - c.waiting; len(targets) > room {
		for _, t := range targets[room:] {
			results = append(results, Result{Target: t})
		}
		targets = targets[:room]
	}
	c.waiting += len(targets)
	for _, t := range targets {
		w := &waiting{Target: t, round: first, expected: c.pace.expected(t.Size), reserved: cost(t.Size, first, c.certain(t))}
		switch {
		case c.synchrony.Known():
			w.expected = 0
		case first > 0:
			w.expected = min(w.expected, maxLesson/4)
		}
		w.due = t.Asked.Add(time.Duration(roundsAt[first]) * w.expected)
		if last := t.Until.Add(-lastLook); w.due.After(last) { // better too early than not at all
			w.due = last
		}
		queue = append(queue, w)
	}
	return queue, results, len(queue) >= want
}

// certain says that the first round of t needs no more than hopeful witnesses:
// reads tell for sure, and nothing speaks against it.
func (c *Confirmer) certain(t Target) bool { return !t.Doubt && c.reads.Sure() }

// cost is how many probes an object of size bytes needs at most from the round
// first on.
func cost(size int64, first int, certain bool) int {
	n := (len(roundsAt) - first) * 2 * count(size, doubtful)
	if first == 0 && certain {
		n -= 2 * (count(size, doubtful) - count(size, hopeful))
	}
	return n
}

// afford is as many targets, from the first, as there are probes for; none when
// that is fewer than need.
func (c *Confirmer) afford(targets []Target, first, need int) []Target {
	if c.budget.isQuiet(time.Now()) {
		return nil
	}
	n, taken := 0, 0
	for _, t := range targets {
		each := cost(t.Size, first, c.certain(t))
		if !c.budget.take(each) {
			break
		}
		taken += each
		n++
	}
	if n < need {
		c.budget.giveBack(taken)
		return nil
	}
	return targets[:n]
}

// release makes room for others.
func (c *Confirmer) release(ws []*waiting) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting -= len(ws)
	for _, w := range ws {
		c.budget.giveBack(w.reserved)
	}
}

// sleepUntil is false when a context ended before.
func sleepUntil(ctx, start context.Context, due time.Time) bool {
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil && start.Err() == nil
	case <-ctx.Done():
	case <-start.Done():
	}
	return false
}

// look runs a round for each of due.
func (c *Confirmer) look(ctx context.Context, p Prober, due []*waiting) {
	var wg sync.WaitGroup
	for _, w := range due {
		wg.Go(func() {
			c.rounds <- struct{}{}
			defer func() { <-c.rounds }()
			c.round(ctx, p, w)
		})
	}
	wg.Wait()
}

// round reads the places of w, and asks for the fill once more when some are
// slow.
func (c *Confirmer) round(ctx context.Context, p Prober, w *waiting) {
	c.mu.Lock()
	if c.budget.isQuiet(time.Now()) {
		c.putOff(w)
		c.mu.Unlock()
		return
	}
	limit, witnesses := math.Inf(-1), doubtful
	if w.round == 0 && c.certain(w.Target) {
		limit, witnesses = c.reads.learnt().limit, hopeful
	}
	offsets := places(w.Size, witnesses, c.rnd)
	c.mu.Unlock()

	pairs, head, err := readPairs(ctx, p, w.Target, offsets, limit)
	for _, pair := range pairs {
		if w.reserved -= 2; pair.single {
			w.reserved++
		}
	}
	if !c.learn(w, pairs, head, err) {
		return
	}
	ctx, cancel := context.WithDeadline(ctx, w.Until)
	defer cancel()
	if err := p.Ask(ctx, w.Target); isChanged(err) {
		w.end(Changed)
	}
}

// learn takes what a round has brought, and plans the next unless the matter
// has ended. It says that the fill is to be asked for again: were it missing,
// only other places than these would show it now.
func (c *Confirmer) learn(w *waiting, pairs []pair, head time.Duration, err error) (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := w.round == len(roundsAt)-1
	f := unclear
	w.err = err
	switch {
	case err == nil:
		f = c.reads.after(w.version(), pairs, head, last)
		if w.expected > 0 && (last || (w.round == 0 && c.reads.Tells())) {
			c.pace.saw(f)
		}
		if f == present || last {
			c.verified = f == present
		}
		c.tell()
	case isChanged(err):
		w.end(Changed)
		return false
	default:
		if c.failed(err); c.budget.isQuiet(time.Now()) {
			c.putOff(w) // this round is still to come
			return false
		}
	}
	switch {
	case f == present:
		w.end(Verified)
	case !last && w.next():
		return err == nil && c.reads.Tells()
	case f == missing:
		w.end(Missing)
	default:
		w.end(Unknown)
	}
	return false
}

// next plans the next round, unless that would come too late.
func (w *waiting) next() bool {
	w.round++
	pause := time.Duration(roundsAt[w.round]-roundsAt[w.round-1]) * max(w.expected, paceBase)
	w.due = latest(time.Now().Add(pause), w.Asked.Add(time.Duration(roundsAt[w.round])*w.expected))
	return w.due.Before(w.Until)
}

func (w *waiting) result() Result { return Result{w.Target, w.standing, w.err} }

func (w *waiting) end(s Standing) { w.standing, w.over = s, true }

// putOff waits for the end of the throttling, if there is time for that and it
// is asked for.
func (c *Confirmer) putOff(w *waiting) {
	if w.due = c.budget.quiet; c.mode == Auto || w.due.After(w.Until) {
		w.end(Throttled)
	}
}

// isChanged says that a request failed since the object is another version now,
// or gone.
func isChanged(err error) bool {
	if err == nil {
		return false
	}
	status := outcome.As(err).Status
	return status == http.StatusPreconditionFailed || status == http.StatusNotFound
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// readPairs reads all offsets at once, so that no miss can bring what another
// would have missed, beside a plain HEAD. Then it reads again what took longer than
// limit, by the logarithm, and in any case the last.
func readPairs(ctx context.Context, p Prober, t Target, offsets []int64, limit float64) ([]pair, time.Duration, error) {
	pairs := make([]pair, len(offsets))
	errs := make([]error, len(offsets))
	read := func(again func(int) bool, keep func(*pair, float64)) error {
		var wg sync.WaitGroup
		for i, offset := range offsets {
			if !again(i) {
				continue
			}
			wg.Go(func() {
				took, err := p.Probe(ctx, t, offset)
				keep(&pairs[i], logSeconds(took))
				errs[i] = err
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	heads, err := besideHeads(ctx, p, t, 1, func() error {
		return read(func(int) bool { return true }, func(p *pair, took float64) { p.first, p.single = took, true })
	})
	if err != nil {
		return pairs, 0, err
	}
	return pairs, heads[0], read(
		func(i int) bool { return pairs[i].first > limit || i == len(pairs)-1 },
		func(p *pair, took float64) { p.second, p.single = took, false })
}
