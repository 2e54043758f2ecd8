package prestage

import (
	"context"
	"errors"
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
	until   time.Time // when it has to be confirmed by
	tries   int
	read    bool // some of it was read before
	verdict outcome.Verdict
}

// empty says that there was nothing to fill.
func (f fill) empty() bool { return f.Size == 0 || f.Status == http.StatusRequestedRangeNotSatisfiable }

// errMoved says that the ledger's record of an object changed between our
// reading it and our turn to ask: look again.
var errMoved = errors.New("the record changed meanwhile")

// handle sees one item through. Every request to the store takes a permit of its
// own, so that nobody holds one while waiting for somebody else.
func (e *event) handle(ctx, start context.Context, i turn) (f fate) {
	defer catch(e.log, i.Ref, func(err error) { f = fate{err: outcome.As(err)} })
	begin, stop := joined(ctx, start)
	defer stop()
	if e.recheck && !i.Current {
		now, err := e.head(ctx, begin, nil, i.Ref)
		if err != nil {
			return e.failure(begin, i, err)
		}
		i = i.as(now)
		if verdict, ok := e.done.filled(i.hash); ok {
			return fate{bytes: i.Size, verdict: verdict}
		}
	}
	for {
		f, moved := e.settle(ctx, start, begin, i)
		if !moved {
			return f
		}
	}
}

// as is the item as the store's answer describes it.
func (i turn) as(a Answer) turn {
	seq := i.Sequencer
	i.Version, i.Size, i.Archived, i.Current = a.Version, a.Size, a.Archived, true
	i.Sequencer = seq
	i.hash = hashOf(i.Item)
	return i
}

// settle decides about one item by the ledger, and does what follows.
func (e *event) settle(ctx, start, begin context.Context, i turn) (f fate, moved bool) {
	rec, err := e.lookUp(begin, i.Ref)
	if errors.Is(err, dedupe.ErrNotFound) {
		return e.fill(ctx, start, begin, i, rec.Revision)
	}
	if err != nil {
		return fate{err: outcome.As(err)}, false
	}
	decision := e.judge(rec.Entry, i.Version, i.Current)
	if decision == dedupe.Ask {
		now, err := e.head(ctx, begin, nil, i.Ref)
		if err != nil {
			return e.failure(begin, i, err), false
		}
		now.Sequencer = i.Sequencer
		decision = e.judge(rec.Entry, now.Version, true)
	}
	switch decision {
	case dedupe.Warm:
		if !e.done.unconfirmed(i.hash) {
			return e.offer(i, onRecord(rec.Entry), fate{warm: true, bytes: rec.Size, verdict: rec.Verdict}), false
		}
	case dedupe.Older:
		return fate{skip: outcome.Superseded, bytes: object.UnknownSize}, false
	}
	return e.fill(ctx, start, begin, i, rec.Revision)
}

// lookUp reads the ledger. The error is ErrNotFound, or ours.
func (e *event) lookUp(begin context.Context, ref object.Ref) (dedupe.Record, error) {
	rec, err := e.ledger.Get(begin, ref)
	if err != nil && !errors.Is(err, dedupe.ErrNotFound) && begin.Err() != nil {
		err = ended(begin, "look up", ref)
	}
	return rec, err
}

func (e *event) judge(rec dedupe.Entry, v object.Version, current bool) dedupe.Decision {
	claim := dedupe.Claim{
		Version: v, Current: current, EventTime: e.req.EventTime, Replayed: e.req.Priority == Backfill, RewarmBefore: e.req.RewarmBefore,
	}
	return dedupe.Judge(rec, claim, time.Now(), e.ttl)
}

// fill has the item filled, by us or by whoever is at it, and puts it on record
// in place of the record of revision prev. It says when that is no longer the
// record's: somebody else was faster.
func (e *event) fill(ctx, start, begin context.Context, i turn, prev uint64) (_ fate, moved bool) {
	if i.Size == object.UnknownSize && i.asked == 0 && (i.MaxBytes > 0 || e.req.AskSizes) {
		now, err := e.head(ctx, begin, nil, i.Ref)
		switch {
		case err != nil:
			return e.failure(begin, i, err), false
		case i.MaxBytes > 0 && now.Size > i.MaxBytes:
			return fate{skip: outcome.Excluded, bytes: now.Size}, false
		}
		i.asked = now.Size
	}
	for {
		f, how, err := e.flights.Do(ctx, i.Ref, e.caller(), func(ctx context.Context, run *dedupe.Run) (fill, error) {
			return e.lead(ctx, start, run, i, prev)
		})
		switch {
		case ctx.Err() != nil && err != nil:
			return fate{err: ended(ctx, "fill", i.Ref)}, false
		case errors.Is(err, errMoved):
			return fate{}, true
		case how == dedupe.Stale:
			// It was asked for before our event came: does it have what is there now?
			if err != nil || f.empty() {
				continue
			}
			now, err := e.current(ctx, begin, i)
			if err != nil {
				return e.failure(begin, i, err), false
			}
			if now.ETag != "" && now.ETag == f.ETag && !now.LastModified.After(f.LastModified) {
				return e.offer(i, f, fate{warm: true, bytes: f.Size, verdict: f.verdict}), false
			}
			now.Sequencer = i.Sequencer
			rec, err := e.lookUp(begin, i.Ref) // that fill's record, or one that came since
			switch {
			case err != nil && !errors.Is(err, dedupe.ErrNotFound):
				return fate{err: outcome.As(err)}, false
			case err == nil && e.judge(rec.Entry, now, true) == dedupe.Warm:
				return e.offer(i, onRecord(rec.Entry), fate{warm: true, bytes: rec.Size, verdict: rec.Verdict}), false
			}
			prev = rec.Revision
			continue
		case err != nil:
			if p := new(dedupe.PanicError); errors.As(err, &p) {
				err = panicked(e.log, i.Ref, p.Value, p.Stack)
			}
			return e.failure(begin, i, err), false
		case f.empty():
			return fate{skip: outcome.Empty}, false
		case how == dedupe.Shared && i.Current && f.ETag != i.ETag && !f.LastModified.After(i.LastModified):
			return fate{}, true // it was asked for after our event came, but before we listed
		}
		if how == dedupe.Shared { // its record lacks our event's sequencer
			e.record(ctx, i, f, prev)
		}
		result := e.offer(i, f, fate{bytes: f.Size, verdict: f.verdict, archived: how == dedupe.Led && (i.Archived || f.Archived)})
		if f.verdict = result.verdict; result.err == nil && result.skip == "" {
			e.remember(i, f)
		}
		return result, false
	}
}

// remember notes the fill. Where it may turn out that the event means a version
// that comes yet, it notes also which one this was.
func (e *event) remember(i turn, f fill) {
	e.done.fill(i.hash, i.Size, f)
	if e.req.TotalBytes > 0 && !i.Current {
		e.done.add(i.as(f.Answer).hash)
	}
}

// lead fills an object and has that on record before the flight ends, so that
// whoever leads the next one finds it there.
func (e *event) lead(ctx, start context.Context, run *dedupe.Run, i turn, prev uint64) (fill, error) {
	begin, stop := joined(ctx, start)
	defer stop()
	done, err := e.turnToFill(ctx, begin, run, i)
	if err != nil {
		return fill{}, err
	}
	rec, err := e.lookUp(begin, i.Ref)
	switch {
	case err != nil && !errors.Is(err, dedupe.ErrNotFound):
		done(-1)
		return fill{}, err
	case rec.Revision != prev:
		done(-1)
		return fill{}, errMoved
	}
	read := e.lesson(ctx, begin, run, i)
	began := time.Now()
	f, err := e.ask(ctx, start, run, i.Ref)
	e.traceFill(ctx, began, i.Ref, f, err)
	if err != nil || f.empty() {
		done(-1)
		return f, err
	}
	done(max(f.Size, 0))
	if !e.dryRun && rec.Revision > 0 && rec.ETag != "" && rec.ETag == f.ETag {
		e.metrics.refilledBytes.Add(float64(max(f.Size, 0)))
	}
	if f.read = read; e.confirmer != nil {
		e.compare(ctx, begin, run, i.Ref, f)
		f.verdict = e.confirmer.Filled(f.Size, f.Latency, read || f.tries > 1)
	}
	stored := make(chan error, 1)
	e.ledger.Put(ctx, e.entry(i, f), prev, func(err error) { stored <- err })
	if err := <-stored; err != nil && ctx.Err() != nil {
		return f, ended(ctx, "record", i.Ref)
	} else if err != nil {
		return f, &outcome.Error{Op: "record", Ref: i.Ref, Class: outcome.Failed, Reason: outcome.FillFailed, Err: err}
	}
	return f, nil
}

// current is the item's version in the store now.
func (e *event) current(ctx, begin context.Context, i turn) (object.Version, error) {
	if i.Current {
		return i.Version, nil
	}
	a, err := e.head(ctx, begin, nil, i.Ref)
	return a.Version, err
}

// failure is the fate of an item whose request failed.
func (e *event) failure(begin context.Context, i turn, err error) fate {
	f := outcome.As(err)
	if f.Reason == outcome.NotFound && (e.req.MissingIsGone || i.Listed) {
		return fate{skip: outcome.Gone, bytes: object.UnknownSize}
	}
	if e.req.Last {
		f = e.advice.about(begin, f)
	}
	return fate{err: f}
}

// entry is what goes on the ledger: what the store's answer said, and the
// sequencer of the event that named the object.
func (e *event) entry(i turn, f fill) dedupe.Entry {
	entry := dedupe.Entry{
		Attrs:   object.Attrs{Ref: i.Ref, Version: f.Version, Size: f.Size},
		Verdict: f.verdict, At: f.at, EventTime: e.req.EventTime,
	}
	entry.Sequencer = i.Sequencer
	return entry
}

// record puts a shared fill on the ledger.
func (e *event) record(ctx context.Context, i turn, f fill, prev uint64) {
	e.puts.Add(1)
	e.ledger.Put(ctx, e.entry(i, f), prev, func(err error) {
		defer e.puts.Done()
		switch {
		case err != nil && ctx.Err() != nil:
			e.tally.fail(ended(ctx, "record", i.Ref))
		case err != nil:
			e.tally.fail(&outcome.Error{Op: "record", Ref: i.Ref, Class: outcome.Failed, Reason: outcome.FillFailed, Err: err})
		}
	})
}
