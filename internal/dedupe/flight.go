package dedupe

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// How says how a caller of Flights.Do came by its result.
type How int

// The ways to a result.
const (
	Led    How = iota // the caller's own function ran
	Shared            // another's, which asked the store after this caller had seen its event
	Stale             // another's, which had asked before: find out whether it filled what is wanted
)

// String is the way's name in lower case.
func (h How) String() string {
	switch h {
	case Led:
		return "led"
	case Shared:
		return "shared"
	case Stale:
		return "stale"
	}
	return "unknown"
}

// PanicError is the error of a flight whose function panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // of its goroutine
}

// Error tells the value, not the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("dedupe: panic: %v", e.Value) }

// errNoResult is the error of a flight whose function left by runtime.Goexit.
var errNoResult = errors.New("dedupe: the function ended its goroutine")

// Flights lets equal work that is under way in this process be done once. The
// zero value is ready for use; it must not be copied after that.
type Flights[T any] struct {
	mu      sync.Mutex
	flights map[object.Ref]*flight[T]
}

// flight is one run of a function. res and err are set before done is closed,
// the rest is guarded by Flights.mu.
type flight[T any] struct {
	Run
	waiting int // callers that want the result
	cancel  context.CancelFunc

	done chan struct{}
	res  T
	err  error
}

// Caller is who asks for a flight.
type Caller struct {
	Seen     time.Time // when it learnt of the object
	Priority int       // the less, the more urgent
}

// Run is what a flight's function tells, and learns of those who wait for it.
type Run struct {
	mu       *sync.Mutex   // Flights.mu
	asked    time.Time     // when the first request left; zero: not yet
	priority int           // the least of all callers'
	raised   chan struct{} // closed when that gets less
}

// Asked is called just before a request leaves. It does nothing for nil.
func (r *Run) Asked() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked.IsZero() {
		r.asked = time.Now()
	}
}

// Priority is the least of those of all callers so far. raised is closed when one
// comes whose priority is less.
func (r *Run) Priority() (p int, raised <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.priority, r.raised
}

// board takes a caller in.
func (r *Run) board(c Caller) How {
	if c.Priority < r.priority {
		r.priority = c.Priority
		close(r.raised)
		r.raised = make(chan struct{})
	}
	if r.asked.IsZero() || r.asked.After(c.Seen) {
		return Shared
	}
	return Stale
}

// Do returns the result of fn, or that of another caller's fn for the same ref
// which is under way; how says which, and whether it can be relied on for a
// caller that learnt of the object at c.Seen:
//
//   - Led: none was under way. fn runs in a goroutine of its own, whose context
//     has ctx's values but not its end; it ends when every caller that waits
//     has gone.
//   - Shared: what was under way had not asked yet, or asked after c.Seen.
//   - Stale: what was under way had asked by then, so it may have seen the
//     object as it was before.
//
// All callers of one run get the same result, which they must not change. When
// ctx ends Do returns its error at once and leaves the run to the others. If fn
// panics, all get a *PanicError.
func (f *Flights[T]) Do(ctx context.Context, ref object.Ref, c Caller,
	fn func(context.Context, *Run) (T, error),
) (res T, how How, err error) {
	if err := ctx.Err(); err != nil {
		return res, Led, err
	}
	fl, how := f.board(ctx, ref, c, fn)
	select {
	case <-fl.done:
		return fl.res, how, fl.err
	case <-ctx.Done():
		f.leave(ref, fl)
		return res, how, ctx.Err()
	}
}

// board joins the flight of ref, or starts one.
func (f *Flights[T]) board(ctx context.Context, ref object.Ref, c Caller,
	fn func(context.Context, *Run) (T, error),
) (*flight[T], How) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.flights[ref]; ok {
		fl.waiting++
		return fl, fl.board(c)
	}

	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fl := &flight[T]{
		Run:     Run{mu: &f.mu, priority: c.Priority, raised: make(chan struct{})},
		waiting: 1, cancel: cancel, done: make(chan struct{}), err: errNoResult,
	}
	if f.flights == nil {
		f.flights = make(map[object.Ref]*flight[T])
	}
	f.flights[ref] = fl
	go f.run(runCtx, ref, fl, fn)
	return fl, Led
}

// run runs fn. The flight is off the map before its end can be seen, so that
// whoever comes after the end starts a new one.
func (f *Flights[T]) run(ctx context.Context, ref object.Ref, fl *flight[T],
	fn func(context.Context, *Run) (T, error),
) {
	defer func() {
		if v := recover(); v != nil {
			fl.err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		fl.cancel()
		f.mu.Lock()
		f.remove(ref, fl)
		f.mu.Unlock()
		close(fl.done)
	}()
	fl.res, fl.err = fn(ctx, &fl.Run)
}

// leave takes one caller off the flight. The last one ends it, and takes it off
// the map: nobody may join what is being cancelled.
func (f *Flights[T]) leave(ref object.Ref, fl *flight[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.waiting--
	if fl.waiting == 0 {
		fl.cancel()
		f.remove(ref, fl)
	}
}

// remove takes fl, and no later flight of ref, off the map.
func (f *Flights[T]) remove(ref object.Ref, fl *flight[T]) {
	if f.flights[ref] == fl {
		delete(f.flights, ref)
	}
}
