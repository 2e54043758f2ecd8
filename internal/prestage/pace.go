package prestage

import (
	"context"
	"time"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
)

// Pacer says when a fill may be asked for, beside the limit of fills under way.
// It is called by many goroutines at once.
type Pacer interface {
	// Start waits until a fill of so many bytes, object.UnknownSize when nobody
	// knows, may be asked for, or ctx ends. Done is then called once, with the
	// bytes filled, or less than 0 when it failed.
	Start(ctx context.Context, size int64) (done func(filled int64), err error)
}

// Budget is a Pacer of all work that is not urgent. What is urgent is counted.
type Budget interface {
	Pacer
	Count(bytes int64)
}

// toldAfter is how long a fill waits for the budget until that is worth telling.
const toldAfter = 5 * time.Second

// turnToFill waits until the request's pace and the budget let the item be asked
// for. No permit is held meanwhile. Done is then called with the bytes filled, or
// less than 0.
func (e *event) turnToFill(ctx, begin context.Context, run *dedupe.Run, i turn) (done func(filled int64), err error) {
	paced, counted := func(int64) {}, func(int64) {}
	if e.req.Pace != nil {
		if paced, err = waitFor(begin, run, e.req.Priority, e.req.Pace, i.size(), func(int64) {}); err != nil {
			return nil, ended(begin, "wait for its turn", i.Ref)
		}
	}
	if e.budget != nil {
		size := i.size()
		if p, _ := run.Priority(); size == object.UnknownSize && p > int(Urgent) {
			now, err := e.head(ctx, begin, run, i.Ref)
			if err != nil {
				paced(-1)
				return nil, err
			}
			size = now.Size
		}
		if e.req.Waiting != nil {
			defer time.AfterFunc(toldAfter, e.req.Waiting).Stop()
		}
		if counted, err = waitFor(begin, run, Routine, e.budget, size, e.count); err != nil {
			paced(-1)
			return nil, ended(begin, "wait for the budget", i.Ref)
		}
	}
	return func(filled int64) {
		paced(filled)
		counted(filled)
	}, nil
}

// count is the end of a fill that did not wait for the budget.
func (e *event) count(filled int64) { e.budget.Count(max(filled, 0)) }

// waitFor waits for p's turn, as long as nobody wants the flight with a higher
// priority than below: then done is exempt.
func waitFor(ctx context.Context, run *dedupe.Run, below Priority, p Pacer, size int64, exempt func(int64)) (done func(int64), err error) {
	for {
		priority, raised := run.Priority()
		if Priority(priority) < below {
			return exempt, nil
		}
		waiting, cancel := context.WithCancel(ctx)
		go func() {
			select {
			case <-raised:
				cancel()
			case <-waiting.Done():
			}
		}()
		done, err := p.Start(waiting, size)
		lifted := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !lifted {
			return done, err
		}
	}
}
