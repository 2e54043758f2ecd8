package prestage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// ask sends the ranged HEAD until it succeeds, there is no point, or it has taken
// as long as a fill may. It may outlive the event, when others wait for the same
// object.
func (e *event) ask(ctx, start context.Context, run *dedupe.Run, ref object.Ref) (fill, error) {
	begin, stop := joined(ctx, start)
	defer stop()
	tries := 0
	var before error // what the last try brought
	left := newFuse(e.fillTimeout)
	f, err := retryWithin(begin, ref, left, func() (fill, error) {
		tries++
		short := left.isShort()
		f, err := e.rangedHead(ctx, begin, run, ref, left)
		if short && errors.As(err, new(timeoutError)) { // which says little: it had less time than a fill may take
			err = before
		}
		before = err
		return f, err
	})
	f.tries, f.until = tries, time.Now().Add(left.left)
	switch {
	case errors.Is(err, outcome.Transient):
		return f, e.whose(ctx, begin, run, ref, outcome.As(err))
	case err != nil:
		return f, err
	case f.Status == http.StatusRequestedRangeNotSatisfiable && f.Size > 0:
		return f, &outcome.Error{
			Op: "fill", Ref: ref, Status: f.Status, Class: outcome.Failed, Reason: outcome.FillFailed,
			Err: fmt.Errorf("the first byte of %d is refused", f.Size),
		}
	case f.empty():
		return f, nil
	}
	e.guard.endpoint.noteServed(ref.Bucket)
	if e.dryRun {
		return f, nil
	}
	e.metrics.fillSeconds.Observe(f.Latency.Seconds())
	e.metrics.filledBytes.Add(float64(max(f.Size, 0)))
	return f, nil
}

// rangedHead sends one ranged HEAD, for which it takes no more than is left of a
// fill's time.
func (e *event) rangedHead(ctx, begin context.Context, run *dedupe.Run, ref object.Ref, left *fuse) (fill, error) {
	return send(ctx, begin, e.guard, e.claim(run), ref, func(ctx context.Context) (fill, error) {
		ctx, cancel := withTimeout(ctx, left.left)
		defer cancel()
		e.metrics.inFlight.Inc()
		defer e.metrics.inFlight.Dec()
		at := time.Now()
		defer func() { left.burn(time.Since(at)) }()
		run.Asked()
		a, err := e.store.Fill(ctx, ref)
		e.noteRequest(err)
		if err == nil {
			e.guard.limiter.filled(time.Since(at))
		}
		return fill{Answer: a, at: at, verdict: outcome.Accepted}, err
	})
}

// whose finds out whether a failure is the object's own: it is when a plain HEAD
// of the same object succeeds, or fails as well while others are answered for.
func (e *event) whose(ctx, begin context.Context, run *dedupe.Run, ref object.Ref, err *outcome.Error) error {
	_, headErr := e.plain(ctx, begin, run, ref)
	switch {
	case headErr == nil:
		own := *err
		own.Class = outcome.Failed
		return &own
	case errors.Is(headErr, outcome.Failed): // not found
		return headErr
	case errors.Is(headErr, outcome.Transient):
		return e.besides(ctx, begin, run, ref, err)
	}
	return err
}

// besides makes err, which plain HEADs of ref met with as well, the object's own,
// where the store answers at the same moment for another one of the bucket, and
// few fare like this one.
func (e *event) besides(ctx, begin context.Context, run *dedupe.Run, ref object.Ref, err *outcome.Error) error {
	other, ok := e.guard.buckets.witness(ref)
	if !ok {
		return err
	}
	if _, otherErr := e.plain(ctx, begin, run, other); otherErr != nil && !errors.Is(otherErr, outcome.Failed) {
		return err // 404 is an answer
	}
	own := *err
	own.Class, own.Err = outcome.Failed, aloneError{err.Err}
	return &own
}

// head sends a plain HEAD, with retries.
func (e *event) head(ctx, begin context.Context, run *dedupe.Run, ref object.Ref) (Answer, error) {
	a, err := retry(begin, ref, func() (Answer, error) { return e.plain(ctx, begin, run, ref) })
	if errors.Is(err, outcome.Transient) {
		err = e.besides(ctx, begin, run, ref, outcome.As(err))
	}
	return a, err
}

func (e *event) plain(ctx, begin context.Context, run *dedupe.Run, ref object.Ref) (Answer, error) {
	return e.guard.plainHead(ctx, begin, e.claim(run), ref, func(ctx context.Context, ref object.Ref) (Answer, error) {
		a, err := e.store.Head(ctx, ref)
		e.noteRequest(err)
		if err == nil && e.confirmer != nil {
			e.confirmer.Plain(a.Size, a.Latency)
		}
		return a, err
	})
}
