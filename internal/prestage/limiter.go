package prestage

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// lookAgain is how often a limit that has grown is noticed while nothing ends.
const lookAgain = 50 * time.Millisecond

// Limiter gives out permits for requests, as many as its governor allows,
// round-robin over flows: however many wait in one flow, each other flow gets
// every other turn.
type Limiter struct {
	ceiling int

	mu       sync.Mutex
	governor *governor
	inUse    int
	queued   list.List   // *Flow with waiters, the next to be served first
	look     *time.Timer // runs while somebody waits, else nil
	changed  func(limit int)

	troubled     [16]object.Ref // objects that were refused of late
	nextTroubled int
}

// Flow is what shares the permits, an event. Its waiters are served in order.
// It is guarded by Limiter.mu.
type Flow struct {
	waiters list.List     // chan struct{}
	place   *list.Element // in Limiter.queued, nil when nobody waits
}

// Permit is the right to have one request under way.
type Permit struct {
	limiter  *Limiter
	released atomic.Bool
}

// NewLimiter returns a Limiter of n permits at most.
func NewLimiter(n int) *Limiter {
	return &Limiter{ceiling: n, governor: newGovernor(n, time.Now()), changed: func(int) {}}
}

// NewFlow returns a flow of its own.
func (l *Limiter) NewFlow() *Flow { return &Flow{} }

// Ceiling is the most permits there can be.
func (l *Limiter) Ceiling() int { return l.ceiling }

// Limit is how many permits there are now, one at least.
func (l *Limiter) Limit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.governor.permits()
}

// InFlight is how many permits are given out.
func (l *Limiter) InFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inUse
}

// watch has set told of the limit, now and whenever it changes.
func (l *Limiter) watch(set func(limit int)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed = set
	set(l.governor.permits())
}

// Acquire waits for a permit in its turn. The error is Interrupted.
func (l *Limiter) Acquire(ctx context.Context, f *Flow) (*Permit, error) {
	if ctx.Err() != nil {
		return nil, ended(ctx, "wait for a permit", object.Ref{})
	}
	turn := make(chan struct{})
	var place *list.Element
	l.update(func() {
		place = f.waiters.PushBack(turn)
		if f.place == nil {
			f.place = l.queued.PushBack(f)
		}
	})

	select {
	case <-turn:
		return &Permit{limiter: l}, nil
	case <-ctx.Done():
	}
	l.update(func() {
		select {
		case <-turn: // granted at the same moment
			l.inUse--
		default:
			l.drop(f, place)
		}
	})
	return nil, ended(ctx, "wait for a permit", object.Ref{})
}

// Release gives the permit back. Further calls do nothing, and neither does one
// for no permit.
func (p *Permit) Release() {
	if p != nil && !p.released.Swap(true) {
		p.limiter.update(func() { p.limiter.inUse-- })
	}
}

// refused says that a request for ref, sent at the time sent, was turned away
// for lack of capacity. An object that is refused time and again counts once: it
// may be in trouble alone.
func (l *Limiter) refused(ref object.Ref, sent time.Time) {
	l.update(func() {
		if slices.Contains(l.troubled[:], ref) {
			return
		}
		l.troubled[l.nextTroubled] = ref
		l.nextTroubled = (l.nextTroubled + 1) % len(l.troubled)
		l.governor.refuse(sent, l.inUse)
	})
}

// filled says that a fill took d.
func (l *Limiter) filled(d time.Duration) { l.update(func() { l.governor.filled(d) }) }

// headed says that a plain HEAD took d.
func (l *Limiter) headed(d time.Duration) { l.update(func() { l.governor.headed(d, l.inUse) }) }

// restart begins anew with few permits: the store has been away, and everybody
// comes back at once.
func (l *Limiter) restart() { l.update(func() { l.governor.restart(time.Now()) }) }

// update changes something, and then gives out what permits there are.
func (l *Limiter) update(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.governor.permits()
	l.governor.advance(time.Now(), l.queued.Len() > 0)
	change()
	for l.queued.Len() > 0 && l.governor.room(l.inUse) > 0 {
		l.grant()
	}
	if l.queued.Len() > 0 && l.look == nil {
		l.look = time.AfterFunc(lookAgain, func() { l.update(func() { l.look = nil }) })
	}
	if now := l.governor.permits(); now != before {
		l.changed(now)
	}
}

// grant gives a permit to the flow whose turn it is, and that flow's next turn
// comes after all others'.
func (l *Limiter) grant() {
	f := l.queued.Front().Value.(*Flow) //nolint:forcetypeassert // the queue holds nothing else
	first := f.waiters.Front()
	l.queued.MoveToBack(f.place)
	l.drop(f, first)
	l.inUse++
	l.governor.sent()
	close(first.Value.(chan struct{})) //nolint:forcetypeassert // likewise
}

// drop takes a waiter out of its flow.
func (l *Limiter) drop(f *Flow, waiter *list.Element) {
	f.waiters.Remove(waiter)
	if f.waiters.Len() == 0 {
		l.queued.Remove(f.place)
		f.place = nil
	}
}
