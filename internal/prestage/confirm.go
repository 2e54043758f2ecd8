package prestage

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prestage/prestage/internal/confirm"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Reader reads a few bytes. Errors are *outcome.Error.
type Reader interface {
	// Probe reads n bytes at offset of the version etag, and returns the time from
	// the request to the first byte of the answer.
	Probe(ctx context.Context, ref object.Ref, etag string, offset, n int64) (time.Duration, error)
	// TimeHead sends a plain HEAD, and returns the time as Probe does.
	TimeHead(ctx context.Context, ref object.Ref) (time.Duration, error)
}

// Confirmed is how many of an event's objects reads have shown to be filled, of
// how many that they stand for.
type Confirmed struct {
	Sampled int `json:"sampled"`
	Of      int `json:"of"`
}

var errThrottled = errors.New("not sent: other requests are being throttled")

// prober makes the requests of a confirmation, each with a permit of its own.
type prober struct{ *event }

// Probe reads a few bytes of t.
func (p prober) Probe(ctx context.Context, t confirm.Target, offset int64) (took time.Duration, err error) {
	defer catch(p.log, t.Ref, func(e error) { err = e })
	return send(ctx, ctx, p.guard, p.claim(nil), t.Ref, func(ctx context.Context) (time.Duration, error) {
		if p.confirmer.Quiet() { // since it began to wait for its permit
			return 0, &outcome.Error{Op: "probe", Ref: t.Ref, Class: outcome.Interrupted, Err: errThrottled}
		}
		ctx, cancel := withTimeout(ctx, ReadTimeout)
		defer cancel()
		return p.reader.Probe(ctx, t.Ref, t.ETag, offset, confirm.ReadBytes)
	})
}

// Head sends a plain HEAD of t.
func (p prober) Head(ctx context.Context, t confirm.Target) (took time.Duration, err error) {
	defer catch(p.log, t.Ref, func(e error) { err = e })
	_, err = p.guard.plainHead(ctx, ctx, p.claim(nil), t.Ref, func(ctx context.Context, ref object.Ref) (Answer, error) {
		var err error
		took, err = p.reader.TimeHead(ctx, ref)
		p.noteRequest(err)
		return Answer{Latency: took}, err
	})
	return took, err
}

// Ask sends the ranged HEAD of t once more.
func (p prober) Ask(ctx context.Context, t confirm.Target) (err error) {
	defer catch(p.log, t.Ref, func(e error) { err = e })
	a, err := p.rangedHead(ctx, ctx, nil, t.Ref, newFuse(p.fillTimeout))
	if err == nil && a.ETag != t.ETag {
		changed := unconfirmed(t.Ref, "another version is there")
		changed.Status = http.StatusPreconditionFailed
		err = changed
	}
	return err
}

// noteRequest counts a request for the share of probes.
func (w *Warmer) noteRequest(err error) {
	if w.confirmer != nil {
		w.confirmer.Request(errors.Is(err, outcome.Throttled))
	}
}

// lesson reads an object before its fill, now and then. It says that it was read.
func (e *event) lesson(ctx, begin context.Context, run *dedupe.Run, i turn) (read bool) {
	if e.confirmer == nil {
		return false
	}
	if e.done.unconfirmed(i.hash) || e.tooSmall(i.Size) || !e.confirmer.WantsBefore(i.Size) {
		return false
	}
	t := confirm.Target{Ref: i.Ref, ETag: i.ETag, Size: i.Size}
	if !i.Current || !t.Confirmable() {
		now, err := e.plain(ctx, begin, run, i.Ref)
		if err != nil {
			return false
		}
		t.ETag, t.Size = now.ETag, now.Size
	}
	if !t.Confirmable() || e.tooSmall(t.Size) {
		return false
	}
	e.confirmer.ReadBefore(begin, prober{e}, t)
	return true
}

// tooSmall says that nothing is to be confirmed of an object of size bytes: LOTA
// never caches it. Where proof is asked for, that is the user's to say.
func (e *event) tooSmall(size int64) bool {
	limit := int64(confirm.CacheableBytes)
	if e.confirmer.Strict() {
		limit = max(e.planner.minBytes, confirm.MinBytes-1)
	}
	return size != object.UnknownSize && size <= limit
}

// compare asks for the object once more without filling anything, now and then:
// what such a HEAD takes is no fill's time.
func (e *event) compare(ctx, begin context.Context, run *dedupe.Run, ref object.Ref, f fill) {
	if e.confirmer.WantsPlain(f.Size) {
		_, _ = e.plain(ctx, begin, run, ref) // it learns by itself
	}
}

// offered is what a confirmation is about.
type offered struct {
	turn
	fill
	warm bool // it was on record, not filled now
}

// offer puts an object that is taken for filled into the sample, unless its
// verdict is all that is wanted. Then the event's own verdict decides.
func (e *event) offer(i turn, f fill, fate fate) fate {
	switch strict := e.confirmer != nil && e.confirmer.Strict(); {
	case e.confirmer == nil, f.verdict == outcome.Verified, fate.warm && !strict, f.verdict == outcome.Synchronous && !strict:
		return fate
	case e.tooSmall(f.Size) && strict: // as it would have been, had its size been known
		fate.warm, fate.verdict, fate.skip = false, "", outcome.TooSmall
		return fate
	case e.tooSmall(f.Size):
		return fate
	}
	if fate.warm {
		f.until = time.Now().Add(e.fillTimeout)
	}
	t := confirm.Target{
		Ref: i.Ref, ETag: f.ETag, Size: f.Size, Asked: f.at.Add(f.Latency), Until: f.until,
		Read: f.read, Doubt: e.done.unconfirmed(i.hash),
		Owner: &offered{turn: i, fill: f, warm: fate.warm},
	}
	fate.verdict = ""
	switch {
	case t.Confirmable():
		e.sample.Add(t)
	case e.confirmer.Strict():
		fate.warm, fate.err = false, unconfirmed(i.Ref, "the store tells no size, or no ETag")
	default:
		e.done.doubt()
	}
	return fate
}

func unconfirmed(ref object.Ref, why string) *outcome.Error {
	return &outcome.Error{Op: "confirm", Ref: ref, Class: outcome.Failed, Reason: outcome.Unconfirmed, Err: errors.New(why)}
}

// confirm finds out about the sample, and says what that makes of the event.
func (e *event) confirm(ctx, start context.Context) {
	if e.confirmer == nil {
		return
	}
	began := time.Now()
	var results []confirm.Result
	if of := e.sample.Of(); of > 0 {
		var enough bool
		results, enough = e.confirmer.Confirm(ctx, start, prober{e}, e.sample)
		if !enough {
			e.done.doubt()
		}
		e.done.stand(of)
	}
	for _, r := range results {
		e.conclude(ctx, start, r)
	}
	e.puts.Wait()
	verdict, confirmed := e.done.confirmed()
	e.tally.confirm(verdict, confirmed)
	if len(results) > 0 {
		traceConfirm(ctx, began, verdict, confirmed)
	}
}

// conclude takes the result of one object.
func (e *event) conclude(ctx, start context.Context, r confirm.Result) {
	err := unconfirmed(r.Ref, "reads do not come at cache speed")
	o, _ := r.Owner.(*offered)
	switch strict := e.confirmer.Strict(); {
	case o == nil:
		return
	case r.Standing == confirm.Verified:
		e.done.verify()
		e.upgrade(ctx, r.Target)
		return
	case strict && start.Err() != nil, ctx.Err() != nil:
		err.Class, err.Reason, err.Err = outcome.Interrupted, "", errors.New("stopped before it was confirmed")
	case r.Standing == confirm.Throttled && strict:
		err.Class, err.Err = outcome.Throttled, errors.New("throttled: no read was allowed in time")
	case r.Standing == confirm.Missing:
	case !strict:
		e.done.doubt()
		return
	case r.Standing != confirm.Changed && r.Err != nil && !errors.Is(r.Err, outcome.Failed): // the store's, or the bucket's
		err = outcome.As(e.whether(ctx, start, r))
	case r.Standing == confirm.Changed:
		err.Err = errors.New("it was overwritten or deleted before it was confirmed")
	case !e.confirmer.ReadsTell():
		err.Err = errors.New("reads have not told hits from misses on this endpoint")
	}
	e.done.unconfirm(o.turn, o.fill, o.warm)
	e.tally.unconfirm(r.Ref, o.Size(), o.warm, err)
}

// whether is what became of a confirmation whose requests failed. That the store
// fails for no other object makes it this one's.
func (e *event) whether(ctx, start context.Context, r confirm.Result) error {
	if !errors.Is(r.Err, outcome.Transient) {
		return r.Err
	}
	begin, stop := joined(ctx, start)
	defer stop()
	if _, err := e.plain(ctx, begin, nil, r.Ref); !errors.Is(err, outcome.Transient) {
		return r.Err // reads are another matter
	}
	return e.besides(ctx, begin, nil, r.Ref, outcome.As(r.Err))
}

// Size is that of the fill.
func (o *offered) Size() int64 { return o.fill.Size }

// upgrade has the ledger say that t is verified. That may fail: then it is known
// less well than it could be.
func (e *event) upgrade(ctx context.Context, t confirm.Target) {
	rec, err := e.lookUp(ctx, t.Ref)
	if err != nil || rec.ETag != t.ETag || rec.Verdict == outcome.Verified {
		return
	}
	rec.Verdict = outcome.Verified
	e.puts.Add(1)
	e.ledger.Put(ctx, rec.Entry, rec.Revision, func(error) { e.puts.Done() })
}

// onRecord is the fill that a record tells of.
func onRecord(rec dedupe.Entry) fill {
	return fill{Answer: Answer{Version: rec.Version, Size: rec.Size}, at: rec.At, verdict: rec.Verdict}
}
