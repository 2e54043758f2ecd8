package prestage

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"

	"github.com/prestage/prestage/internal/object"
)

// Limiter gives out a fixed number of permits, round-robin over flows: however
// many wait in one flow, each other flow gets every other turn. Every
// operation takes constant time.
type Limiter struct {
	limit int

	mu     sync.Mutex
	inUse  int
	queued list.List // *Flow with waiters, the next to be served first
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

// NewLimiter returns a Limiter of n permits.
func NewLimiter(n int) *Limiter { return &Limiter{limit: n} }

// NewFlow returns a flow of its own.
func (l *Limiter) NewFlow() *Flow { return &Flow{} }

// Limit is the number of permits.
func (l *Limiter) Limit() int { return l.limit }

// InFlight is how many permits are given out.
func (l *Limiter) InFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inUse
}

// Acquire waits for a permit in its turn. The error is Interrupted.
func (l *Limiter) Acquire(ctx context.Context, f *Flow) (*Permit, error) {
	if ctx.Err() != nil {
		return nil, ended(ctx, "wait for a permit", object.Ref{})
	}
	l.mu.Lock()
	if l.inUse < l.limit { // then nobody waits
		l.inUse++
		l.mu.Unlock()
		return &Permit{limiter: l}, nil
	}
	turn := make(chan struct{})
	place := f.waiters.PushBack(turn)
	if f.place == nil {
		f.place = l.queued.PushBack(f)
	}
	l.mu.Unlock()

	select {
	case <-turn:
		return &Permit{limiter: l}, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn: // granted at the same moment: pass it on
		l.pass()
	default:
		f.waiters.Remove(place)
		if f.waiters.Len() == 0 {
			l.queued.Remove(f.place)
			f.place = nil
		}
	}
	return nil, ended(ctx, "wait for a permit", object.Ref{})
}

// Release gives the permit back. Further calls do nothing.
func (p *Permit) Release() {
	if p.released.Swap(true) {
		return
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.limiter.pass()
}

// pass hands a permit to the flow whose turn it is, and that flow to the end of
// the queue.
func (l *Limiter) pass() {
	next := l.queued.Front()
	if next == nil {
		l.inUse--
		return
	}
	f := next.Value.(*Flow)                                     //nolint:forcetypeassert // the queue holds nothing else
	turn := f.waiters.Remove(f.waiters.Front()).(chan struct{}) //nolint:forcetypeassert // likewise
	if f.waiters.Len() > 0 {
		l.queued.MoveToBack(next)
	} else {
		l.queued.Remove(next)
		f.place = nil
	}
	close(turn)
}
