package prestage

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
)

// lookAgain is how often a limit that has grown is noticed while nothing ends.
const lookAgain = 50 * time.Millisecond

// Limiter gives out permits for requests, as many as its governor allows. Of
// those who wait, the ones of the highest priority go first; of equals, each
// bucket gets every other turn, and in a bucket each flow, however many wait in
// another.
type Limiter struct {
	ceiling int
	shared  bool // by work of different priorities

	mu       sync.Mutex
	governor *governor
	inUse    int
	held     [priorities]int // of these
	queues   [priorities]queue
	waiting  int             // in all queues
	passed   [priorities]int // permits that went to higher priorities since the last of one's own, while one waited
	look     *time.Timer     // runs while somebody waits, else nil
	changed  func(limit int)

	troubled     [16]object.Ref // objects that were refused of late
	nextTroubled int
}

// Flow is what shares the permits, an event.
type Flow struct{ priority Priority }

// Claim is whose permit it is. The zero Claim needs none.
type Claim struct {
	Flow *Flow
	Run  *dedupe.Run // unless nil, those who wait for it may raise the priority
}

// Permit is the right to have one request under way.
type Permit struct {
	limiter  *Limiter
	priority Priority
	released atomic.Bool
}

// NewLimiter returns a Limiter of n permits at most.
func NewLimiter(n int) *Limiter {
	return &Limiter{ceiling: n, governor: newGovernor(n, time.Now()), changed: func(int) {}}
}

// NewSharedLimiter returns a Limiter of n permits at most for work of different
// priorities: some are kept for what is urgent.
func NewSharedLimiter(n int) *Limiter {
	l := NewLimiter(n)
	l.shared = true
	return l
}

// NewFlow returns a flow of its own.
func (l *Limiter) NewFlow(p Priority) *Flow { return &Flow{p} }

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

// Acquire waits for a permit for a request to bucket in its turn. The error is
// Interrupted.
func (l *Limiter) Acquire(ctx context.Context, bucket string, c Claim) (*Permit, error) {
	for ctx.Err() == nil {
		p, raised := c.priority()
		w := &waiter{flow: c.Flow, bucket: bucket, priority: p, turn: make(chan struct{})}
		l.update(func() {
			l.queues[p].push(w)
			l.waiting++
		})
		select {
		case <-w.turn:
			return l.permit(p), nil
		case <-raised:
		case <-ctx.Done():
		}
		if l.giveUp(w) {
			continue
		}
		permit := l.permit(p) // it was granted at the same moment
		if ctx.Err() == nil {
			return permit, nil
		}
		permit.Release()
	}
	return nil, ended(ctx, "wait for a permit", object.Ref{})
}

// priority is that of the flow, or of whoever else waits for the same run, and
// raised is closed when a higher one comes.
func (c Claim) priority() (p Priority, raised <-chan struct{}) {
	p = c.Flow.priority
	if c.Run != nil {
		var of int
		of, raised = c.Run.Priority()
		p = min(p, Priority(of))
	}
	return p, raised
}

// urgent says that the claim is known to be for urgent work.
func (c Claim) urgent() bool {
	if c.Flow == nil {
		return false
	}
	p, _ := c.priority()
	return p == Urgent
}

func (l *Limiter) permit(p Priority) *Permit { return &Permit{limiter: l, priority: p} }

// giveUp takes w out of the queue, unless it has its permit.
func (l *Limiter) giveUp(w *waiter) (waited bool) {
	l.update(func() {
		select {
		case <-w.turn:
		default:
			l.queues[w.priority].drop(w)
			l.waiting--
			waited = true
		}
	})
	return waited
}

// Release gives the permit back. Further calls do nothing, and neither does one
// for no permit.
func (p *Permit) Release() {
	if p != nil && !p.released.Swap(true) {
		p.limiter.update(func() {
			p.limiter.inUse--
			p.limiter.held[p.priority]--
		})
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
		l.governor.refuse(sent, l.inUse+l.kept())
	})
}

// filled says that a fill took d.
func (l *Limiter) filled(d time.Duration) { l.update(func() { l.governor.filled(d) }) }

// headed says that a plain HEAD took d.
func (l *Limiter) headed(d time.Duration) {
	l.update(func() { l.governor.headed(d, l.inUse+l.kept()) })
}

// restart begins anew with few permits: the store has been away, and everybody
// comes back at once.
func (l *Limiter) restart() { l.update(func() { l.governor.restart(time.Now()) }) }

// forgive takes back what refusals have done that were not meant for all.
func (l *Limiter) forgive() { l.update(l.governor.forgive) }

// update changes something, and then gives out what permits there are.
func (l *Limiter) update(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.governor.permits()
	l.governor.advance(time.Now(), l.waiting > 0)
	change()
	for p, ok := l.next(); ok; p, ok = l.next() {
		l.grant(p)
	}
	if l.waiting > 0 && l.look == nil {
		l.look = time.AfterFunc(lookAgain, func() { l.update(func() { l.look = nil }) })
	}
	if now := l.governor.permits(); now != before {
		l.changed(now)
	}
}
