package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/failpoint"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/rules"
	"github.com/prestage/prestage/internal/tracing"
)

// goneAfter is the age from which a missing object is taken for deleted.
const goneAfter = time.Hour

// protocol carries the delivery of ev, as far as that could be decoded, through the
// outcome protocol (see the package comment) and says how to settle it.
func (l *Lane) protocol(ctx, start context.Context, d *delivery, ev events.Event, decodeErr error) Settlement {
	key, blank := l.blank(ev, d)
	failpoint.Hit("decoded")
	if !l.cfg.Replay.wants(d, ev, decodeErr) {
		return Settlement{Action: Ack}
	}

	held, err := l.receipts.read(ctx, key, blank)
	if err != nil {
		return l.cutShort(ctx, start, d, err)
	}
	if held.Final() {
		return l.complete(ctx, start, d, held.Receipt)
	}
	if early := held.early(); early > 0 {
		tracing.Note(ctx, slog.LevelInfo, slog.String("retry_in", early.String()))
		return Settlement{Action: Retry, Delay: early}
	}
	failpoint.Hit("receipt-read")

	r := blank.after(held.Receipt)
	var resolveErr error
	if decodeErr == nil {
		ev, resolveErr = l.resolve(ctx, start, ev)
	}
	switch {
	case decodeErr != nil:
		e := outcome.As(decodeErr)
		r.Outcome, r.Reason, r.Attempts, r.Error = DeadLettered, e.Reason, r.Attempts+1, printable(e.Error(), maxErrorHeader)
	case ev.Skip != "":
		r.Outcome, r.Reason, r.Attempts = Skipped, ev.Skip, r.Attempts+1
	case l.superseded(ctx, ev, d):
		r.Outcome, r.Reason, r.Attempts = Skipped, outcome.Superseded, r.Attempts+1
	default:
		progress := l.memory.take(key)
		var report prestage.Report
		if resolveErr == nil || len(ev.Objects) > 0 {
			report = l.noteWaiting(ctx, key, blank, held, func(waiting func()) prestage.Report {
				req := l.request(ev, d)
				req.Waiting, req.Last = waiting, held.Attempts+1 >= l.cfg.Policy.MaxAttempts
				return l.warm(ctx, start, req, ev, d, progress)
			})
		}
		if resolveErr != nil {
			unresolved(&report, resolveErr)
		}
		failpoint.Hit("filled")
		dec := decide(held.Receipt, report, l.cfg.Policy, time.Now())
		fillIn(&r, report, dec)
		if dec.release {
			l.memory.keep(key, progress)
			return l.cutShort(ctx, start, d, errInterrupted)
		}
		if dec.final == "" {
			l.memory.keep(key, progress)
			return l.postpone(ctx, start, d, key, held.rev, r, dec)
		}
	}
	return l.finalise(ctx, start, d, key, held.rev, r)
}

// blank is the receipt of an event of which nothing is known yet, and its key.
func (l *Lane) blank(ev events.Event, d *delivery) (key string, r Receipt) {
	replay := ""
	if l.cfg.Replay != nil {
		replay = l.cfg.Name
	}
	return named(ReceiptKey(l.cfg.Cluster, ev.ID, ev.Source, d.Stream, d.Seq), l.cfg.Name), Receipt{
		Replay:  replay,
		EventID: ev.ID, Source: ev.Source, Cluster: l.cfg.Cluster, EventTime: ev.Time, Received: d.Received,
		Stream: d.Stream, StreamSeq: d.Seq, StreamTime: d.Time, Failures: []prestage.Failure{},
	}
}

// finalise makes r the event's outcome, unless it has one, and completes what
// then stands.
func (l *Lane) finalise(ctx, start context.Context, d *delivery, key string, rev uint64, r Receipt) Settlement {
	if l.cfg.DryRun {
		r = r.dry()
	}
	r, won, err := l.receipts.write(ctx, key, r, rev)
	if err != nil {
		return l.cutShort(ctx, start, d, err)
	}
	failpoint.Hit("finalised")
	if won {
		l.count(r)
	}
	return l.complete(ctx, start, d, r)
}

// decode reads the event; a panic of a decoder makes it malformed.
func (l *Lane) decode(ctx context.Context, d *delivery) (ev events.Event, err error) {
	defer func() {
		if v := recover(); v != nil {
			l.log.LogAttrs(ctx, slog.LevelError, "panic while decoding an event",
				slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			ev = events.Event{ID: fmt.Sprintf("%s/%d", d.Stream, d.Seq)}
			err = &outcome.Error{Op: "decode", Class: outcome.Permanent, Reason: outcome.Malformed, Err: fmt.Errorf("panic: %v", v)}
		}
	}()
	return d.decode(l.cfg.Replay.kind(d.Subject, l.kind), l.cfg.WholeBucket())
}

// request is what an event of this lane asks for.
func (l *Lane) request(ev events.Event, d *delivery) prestage.Request {
	req := Request(ev, d.Subject, d.Time, d.Received)
	lane := rules.Checkpoint
	if l.kind == events.KindModel {
		lane = rules.Model
	}
	if l.cfg.Rules != nil {
		target := req.Target()
		if rule := l.cfg.Rules().For(req.Subject, target.Bucket, target.Key); rule.Lane != "" {
			lane = rule.Lane
		}
	}
	req.Priority = prestage.Routine
	if lane == rules.Model {
		req.Priority = prestage.Urgent
	}
	return l.cfg.Replay.request(req)
}

// Request is what an event asks for that came by subject, that the stream stored
// at stored, and that this process saw at seen.
func Request(ev events.Event, subject string, stored, seen time.Time) prestage.Request {
	return prestage.Request{
		Subject: subject,
		Objects: ev.Objects, Prefix: ev.Prefix, Manifest: ev.Manifest,
		Notified: ev.Kind == events.KindObject, Removed: ev.Removed, Layout: ev.Layout,
		Complete: ev.Complete, Stated: ev.Complete, TotalObjects: ev.TotalObjects, TotalBytes: ev.TotalBytes,
		RewarmBefore: ev.RewarmBefore, EventTime: stored, Seen: seen,
		MissingIsGone: time.Since(stored) > goneAfter,
	}
}

// fillIn writes what an attempt brought into r.
func fillIn(r *Receipt, report prestage.Report, dec decision) {
	r.Objects, r.Skips, r.Bytes, r.Verdict, r.Confirmed = report.Objects, report.Skips, report.Bytes, report.Verdict, report.Confirmed
	r.Attempts = dec.attempts
	r.Outcome, r.Reason = dec.final, dec.reason
	if dec.problem != nil && dec.problem.Sample != nil {
		r.Error = printable(dec.problem.Sample.Error(), maxErrorHeader)
	}
	for _, f := range report.Failures {
		r.Failures = append(r.Failures, prestage.Failure{URI: f.URI, Error: printable(f.Error, maxErrorHeader)})
	}
	if dec.final == Warm {
		r.WarmAt = time.Now().UTC()
		r.EventToWarmSeconds = max(r.WarmAt.Sub(r.StreamTime).Seconds(), 0)
	}
}

// postpone records what has been tried and asks for the message again later.
func (l *Lane) postpone(ctx, start context.Context, d *delivery, key string, rev uint64, r Receipt, dec decision) Settlement {
	delay := dec.delay + rand.N(dec.delay/10+1)
	r.Outcome, r.FirstRefusal, r.BusySince, r.Busy = Pending, dec.refusedSince, dec.busySince, dec.busy
	r.RetryAt = time.Now().Add(delay).UTC()
	stored, won, err := l.receipts.write(ctx, key, r, rev)
	if err != nil {
		return l.cutShort(ctx, start, d, err)
	}
	if !won { // another replica has brought it to an end meanwhile
		return l.complete(ctx, start, d, stored)
	}
	l.count(stored)
	l.tell(ctx, d, stored, slog.LevelWarn, slog.String("retry_in", delay.Round(time.Millisecond).String()))
	return Settlement{Action: Retry, Delay: delay}
}

// complete does what a final receipt says, however often it is called.
func (l *Lane) complete(ctx, start context.Context, d *delivery, r Receipt) Settlement {
	s := Settlement{Action: Ack}
	if r.Outcome == DeadLettered {
		s = Settlement{Action: Reject, Reason: r.Reason}
		if err := l.outbox.sendLetter(ctx, d, r); err != nil {
			if ctx.Err() == nil && errors.Is(err, errFull) {
				tracing.Note(ctx, slog.LevelError, slog.Any("error", err))
				if l.full.Now() {
					l.log.LogAttrs(ctx, slog.LevelError, "dead letter not stored, such events wait: purge or enlarge the stream",
						slog.String("stream", dlq.Stream), slog.String("event", r.EventID), slog.Any("error", err))
				}
				return Settlement{Action: Retry, Delay: l.waits.pause(time.Now())}
			}
			return l.cutShort(ctx, start, d, err)
		}
	}
	failpoint.Hit("letter-sent")
	if r.Outcome != Skipped {
		if err := l.outbox.sendResult(ctx, d, r); err != nil {
			return l.cutShort(ctx, start, d, err)
		}
	}
	failpoint.Hit("derived")
	l.closeLetter(ctx, d, r)
	level := slog.LevelInfo
	if r.Outcome == DeadLettered {
		level = slog.LevelError
	}
	l.tell(ctx, d, r, level)
	l.cfg.Replay.ended(r)
	return s
}

// errInterrupted says that shutdown came before the event was done.
var errInterrupted = errors.New("shutting down")

// oddPause is how long an event waits whose settlement failed for a reason that
// nothing here expects; a bare nak would come back at once, for ever.
const oddPause = time.Minute

// cutShort is the settlement of a delivery that was not brought to an end:
// another replica may have it now, unless what it came from is gone.
func (l *Lane) cutShort(ctx, start context.Context, d *delivery, err error) Settlement {
	s := Settlement{Action: Release}
	switch {
	case gone(ctx, start), errors.Is(err, errOutlived):
		s.Action = Abandon
	case start.Err() == nil && ctx.Err() == nil:
		s = Settlement{Action: Retry, Delay: oddPause}
	}
	why := []slog.Attr{slog.Bool("given_back", s.Action == Release), slog.Any("cause", err)}
	tracing.Note(ctx, slog.LevelInfo, why...)
	l.log.LogAttrs(ctx, slog.LevelInfo, "event not finished", append(why, slog.Uint64("seq", d.Seq))...)
	return s
}

// count adds what this process decided to the metrics.
func (l *Lane) count(r Receipt) {
	m := l.cfg.Metrics
	m.events.WithLabelValues(l.name, string(r.Outcome)).Inc()
	switch r.Outcome {
	case Warm:
		if l.cfg.Replay != nil { // its events waited for an operator
			return
		}
		m.toWarm.WithLabelValues(l.name).Observe(r.EventToWarmSeconds)
	case DeadLettered:
		m.deadLetters.WithLabelValues(string(r.Reason)).Inc()
	}
}

// tell logs one line about what came of a delivery, and notes the same in its span.
func (l *Lane) tell(ctx context.Context, d *delivery, r Receipt, level slog.Level, more ...slog.Attr) {
	attrs := []slog.Attr{
		slog.String("outcome", string(r.Outcome)), slog.Int("attempts", r.Attempts), slog.Int("objects", r.Objects.Total),
		slog.Int("filled", r.Objects.Filled), slog.Int("already_warm", r.Objects.AlreadyWarm),
		slog.Int("skipped", r.Objects.Skipped), slog.Int("failed", r.Objects.Failed), slog.Int64("bytes", r.Bytes),
	}
	if r.Verdict != "" {
		attrs = append(attrs, slog.String("verdict", string(r.Verdict)))
	}
	if r.Reason != "" {
		attrs = append(attrs, slog.String("reason", string(r.Reason)))
	}
	if r.Error != "" {
		attrs = append(attrs, slog.String("error", r.Error))
	}
	if r.Outcome == Warm {
		attrs = append(attrs, slog.Float64("event_to_warm_seconds", r.EventToWarmSeconds))
	}
	attrs = append(attrs, more...)
	tracing.Note(ctx, level, attrs...)
	whose := []slog.Attr{slog.String("event", r.EventID), slog.String("source", r.Source), slog.Uint64("seq", d.Seq)}
	if id := tracing.ID(ctx); id != "" {
		whose = append(whose, slog.String("trace_id", id))
	}
	l.log.LogAttrs(ctx, level, "event", append(whose, attrs...)...)
}
