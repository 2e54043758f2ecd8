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

// fill is a ranged HEAD that succeeded.
type fill struct {
	Answer
	at      time.Time // when it was asked for
	verdict outcome.Verdict
}

// empty says that there was nothing to fill.
func (f fill) empty() bool { return f.Size == 0 || f.Status == http.StatusRequestedRangeNotSatisfiable }

// handle sees one item through. It holds the permit for the ledger's answer;
// every request to the store then takes one of its own, so that nobody holds a
// permit while waiting for somebody else.
func (e *event) handle(ctx, start context.Context, i Item, permit *Permit) (f fate) {
	defer permit.Release()
	defer catch(e.log, i.Ref, func(err error) { f = fate{err: outcome.As(err)} })
	begin, stop := joined(ctx, start)
	defer stop()

	rec, err := e.ledger.Get(begin, i.Ref)
	permit.Release()
	if errors.Is(err, dedupe.ErrNotFound) {
		return e.fill(ctx, start, begin, i, rec.Revision)
	}
	if err != nil && begin.Err() != nil {
		return fate{err: ended(begin, "look up", i.Ref)}
	}
	if err != nil {
		return fate{err: outcome.As(err)}
	}
	decision := e.judge(rec.Entry, i.Version, i.Current)
	if decision == dedupe.Ask {
		now, err := e.head(ctx, begin, i.Ref)
		if err != nil {
			return e.failure(i, err)
		}
		now.Sequencer = i.Sequencer
		decision = e.judge(rec.Entry, now.Version, true)
	}
	switch decision {
	case dedupe.Warm:
		return fate{warm: true, bytes: rec.Size, verdict: rec.Verdict}
	case dedupe.Older:
		return fate{skip: outcome.Superseded}
	}
	return e.fill(ctx, start, begin, i, rec.Revision)
}

func (e *event) judge(rec dedupe.Entry, v object.Version, current bool) dedupe.Decision {
	claim := dedupe.Claim{Version: v, Current: current, EventTime: e.req.EventTime, RewarmBefore: e.req.RewarmBefore}
	return dedupe.Judge(rec, claim, time.Now(), e.ttl)
}

// fill has the item filled, by us or by whoever is at it, and puts it on record
// in place of the record of revision prev.
func (e *event) fill(ctx, start, begin context.Context, i Item, prev uint64) fate {
	for {
		f, how, err := e.flights.Do(ctx, i.Ref, e.req.Seen, func(ctx context.Context, asked func()) (fill, error) {
			return e.ask(ctx, start, i.Ref, asked)
		})
		switch {
		case ctx.Err() != nil && err != nil:
			return fate{err: ended(ctx, "fill", i.Ref)}
		case how == dedupe.Stale:
			// It was asked for before our event came: does it have what is there now?
			if err != nil || f.empty() {
				continue
			}
			now, err := e.current(ctx, begin, i)
			if err != nil {
				return e.failure(i, err)
			}
			if now.ETag == "" || now.ETag != f.ETag || now.LastModified.After(f.LastModified) {
				continue
			}
			return fate{warm: true, bytes: f.Size, verdict: f.verdict}
		case err != nil:
			if p := new(dedupe.PanicError); errors.As(err, &p) {
				err = panicked(e.log, i.Ref, p.Value, p.Stack)
			}
			return e.failure(i, err)
		case f.empty():
			return fate{skip: outcome.Empty}
		case how == dedupe.Shared && i.Current && f.ETag != i.ETag && !f.LastModified.After(i.LastModified):
			continue // it was asked for after our event came, but before we listed
		}
		e.done.put(keyOf(i), filledItem{bytes: f.Size, verdict: f.verdict})
		e.record(ctx, i, f, prev)
		return fate{bytes: f.Size, verdict: f.verdict}
	}
}

// current is the item's version in the store now.
func (e *event) current(ctx, begin context.Context, i Item) (object.Version, error) {
	if i.Current {
		return i.Version, nil
	}
	a, err := e.head(ctx, begin, i.Ref)
	return a.Version, err
}

// ask sends the ranged HEAD until it succeeds or there is no point. It may
// outlive the event, when others wait for the same object.
func (e *event) ask(ctx, start context.Context, ref object.Ref, asked func()) (fill, error) {
	begin, stop := joined(ctx, start)
	defer stop()
	f, err := retry(begin, ref, func() (fill, error) {
		return send(ctx, begin, e.guard, e.flow, ref, func(ctx context.Context) (fill, error) {
			ctx, cancel := withTimeout(ctx, e.fillTimeout)
			defer cancel()
			e.metrics.inFlight.Inc()
			defer e.metrics.inFlight.Dec()
			at := time.Now()
			asked()
			a, err := e.store.Fill(ctx, ref)
			return fill{Answer: a, at: at, verdict: outcome.Accepted}, err
		})
	})
	switch {
	case errors.Is(err, outcome.Transient):
		return f, e.whose(ctx, begin, ref, outcome.As(err))
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
	e.metrics.fillSeconds.Observe(f.Latency.Seconds())
	e.metrics.filledBytes.Add(float64(max(f.Size, 0)))
	return f, nil
}

// whose finds out whether a failure is the object's own: it is when a plain HEAD
// of the same object succeeds.
func (e *event) whose(ctx, begin context.Context, ref object.Ref, err *outcome.Error) error {
	_, headErr := e.plain(ctx, begin, ref)
	switch {
	case headErr == nil:
		own := *err
		own.Class = outcome.Failed
		return &own
	case errors.Is(headErr, outcome.Failed): // not found
		return headErr
	}
	return err
}

// head sends a plain HEAD, with retries.
func (e *event) head(ctx, begin context.Context, ref object.Ref) (Answer, error) {
	return retry(begin, ref, func() (Answer, error) { return e.plain(ctx, begin, ref) })
}

func (e *event) plain(ctx, begin context.Context, ref object.Ref) (Answer, error) {
	return send(ctx, begin, e.guard, e.flow, ref, func(ctx context.Context) (Answer, error) {
		ctx, cancel := withTimeout(ctx, readTimeout)
		defer cancel()
		return e.store.Head(ctx, ref)
	})
}

// failure is the fate of an item whose request failed.
func (e *event) failure(i Item, err error) fate {
	f := outcome.As(err)
	if f.Reason == outcome.NotFound && (e.req.MissingIsGone || i.Listed) {
		return fate{skip: outcome.Gone}
	}
	return fate{err: f}
}

// record puts on the ledger what the store's answer said.
func (e *event) record(ctx context.Context, i Item, f fill, prev uint64) {
	entry := dedupe.Entry{
		Attrs:   object.Attrs{Ref: i.Ref, Version: f.Version, Size: f.Size},
		Verdict: f.verdict, At: f.at, EventTime: e.req.EventTime,
	}
	entry.Sequencer = i.Sequencer
	e.puts.Add(1)
	e.ledger.Put(ctx, entry, prev, func(err error) {
		defer e.puts.Done()
		switch {
		case err != nil && ctx.Err() != nil:
			e.tally.fail(ended(ctx, "record", i.Ref))
		case err != nil:
			e.tally.fail(&outcome.Error{Op: "record", Ref: i.Ref, Class: outcome.Failed, Reason: outcome.FillFailed, Err: err})
		}
	})
}
