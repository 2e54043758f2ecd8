package consumer

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// counting says how often w was called.
func counting(w warmFunc) (warmFunc, *atomic.Int64) {
	n := new(atomic.Int64)
	return func(ctx, start context.Context, req prestage.Request, p *prestage.Progress) prestage.Report {
		n.Add(1)
		return w(ctx, start, req, p)
	}, n
}

func reporting(r prestage.Report) warmFunc {
	return func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report { return r }
}

func TestProcess(t *testing.T) {
	t.Parallel()
	type want struct {
		Action   Action
		Reason   outcome.Reason
		Outcome  Outcome
		Attempts int
		Calls    int64
		Letters  uint64
		Results  uint64
	}
	tests := map[string]struct {
		body   string
		report prestage.Report
		want   want
	}{
		"warm": {
			oneObject, filled(),
			want{Action: Ack, Outcome: Warm, Attempts: 1, Calls: 1, Results: 1},
		},
		"all skipped": {
			oneObject,
			prestage.Report{Objects: prestage.Counts{Total: 1, Skipped: 1}, Skips: map[outcome.Reason]int{outcome.TooSmall: 1}},
			want{Action: Ack, Outcome: Skipped, Attempts: 1, Calls: 1},
		},
		"malformed": {
			"{broken", filled(),
			want{Action: Reject, Reason: outcome.Malformed, Outcome: DeadLettered, Attempts: 1, Letters: 1, Results: 1},
		},
		"a test ping": {
			`{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-20T10:00:00.000Z","Bucket":"ckpt","RequestId":"1","HostId":"2"}`, filled(),
			want{Action: Ack, Outcome: Skipped, Attempts: 1},
		},
		"permanent": {
			oneObject, failing(outcome.Permanent, outcome.BucketNotAllowed),
			want{Action: Reject, Reason: outcome.BucketNotAllowed, Outcome: DeadLettered, Attempts: 1, Calls: 1, Letters: 1, Results: 1},
		},
		"its own failure": {
			oneObject, failing(outcome.Failed, outcome.NotFound),
			want{Action: Retry, Outcome: Pending, Attempts: 1, Calls: 1},
		},
		"refused": {
			oneObject, failing(outcome.Refused, outcome.Forbidden),
			want{Action: Retry, Outcome: Pending, Calls: 1},
		},
		"unreachable": {
			oneObject, failing(outcome.Unreachable, ""),
			want{Action: Retry, Outcome: Pending, Calls: 1},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, calls := counting(reporting(tt.report))
			rig := newRig(t, setup{warm: w})
			seq := rig.publish(t, tt.body)
			d, s := rig.process(t)
			r, _ := rig.receipt(t, seq)
			got := want{s.Action, s.Reason, r.Outcome, r.Attempts, calls.Load(), count(t, rig.letters), count(t, rig.results)}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
			if n := rig.value(t, "prestage_events_total", "checkpoint", string(tt.want.Outcome)); n != 1 {
				t.Errorf("prestage_events_total{%s} is %v", tt.want.Outcome, n)
			}
			if !r.StreamTime.Equal(d.Time) || r.StreamSeq != seq || r.Stream != "EVENTS" || r.Cluster != testCluster {
				t.Errorf("the receipt is of %s/%d at %s", r.Stream, r.StreamSeq, r.StreamTime)
			}
			if tt.want.Outcome == Pending {
				return
			}
			// The redelivery of a final one does no work and says the same.
			again := *d
			if s2 := rig.lane.process(t.Context(), t.Context(), &again); s2 != s {
				t.Errorf("first %+v, then %+v", s, s2)
			}
			if n := calls.Load(); n != tt.want.Calls {
				t.Errorf("%d calls after a redelivery", n)
			}
			if n := rig.value(t, "prestage_events_total", "checkpoint", string(tt.want.Outcome)); n != 1 {
				t.Errorf("counted again: %v", n)
			}
			// What a crash kept from being written is made up for.
			for _, s := range []interface{ Purge() error }{purger{t, rig, dlq.Stream}, purger{t, rig, ResultsStream}} {
				if err := s.Purge(); err != nil {
					t.Fatal(err)
				}
			}
			if s3 := rig.lane.process(t.Context(), t.Context(), &again); s3 != s {
				t.Errorf("first %+v, then %+v", s, s3)
			}
			if l, r := count(t, rig.letters), count(t, rig.results); l != tt.want.Letters || r != tt.want.Results {
				t.Errorf("%d letters and %d results after a crash, want %d and %d", l, r, tt.want.Letters, tt.want.Results)
			}
		})
	}
}

type purger struct {
	t    *testing.T
	r    *rig
	name string
}

func (p purger) Purge() error {
	s, err := p.r.js.Stream(p.t.Context(), p.name)
	if err != nil {
		return err
	}
	return s.Purge(p.t.Context())
}

func TestProcessRequest(t *testing.T) {
	t.Parallel()
	var got prestage.Request
	rig := newRig(t, setup{warm: func(_, _ context.Context, req prestage.Request, _ *prestage.Progress) prestage.Report {
		got = req
		return filled()
	}})
	rig.publish(t, `{"uri":"s3://ckpt/run-7/step-1/","complete":true,"total_objects":3,"total_bytes":9}`)
	d, _ := rig.process(t)
	if got.Prefix.String() != "s3://ckpt/run-7/step-1/" || !got.Complete || got.TotalObjects != 3 || got.TotalBytes != 9 {
		t.Errorf("asked for %+v", got)
	}
	if got.Subject != d.Subject || got.Subject == "" {
		t.Errorf("subject %q", got.Subject)
	}
	if !got.EventTime.Equal(d.Time) || got.Seen != d.Received || got.MissingIsGone {
		t.Errorf("times %s and %s, gone %v", got.EventTime, got.Seen, got.MissingIsGone)
	}
	d.Time = d.Time.Add(-goneAfter - time.Second)
	if !Request(mustDecode(t, d), d.Subject, d.Time, d.Received).MissingIsGone {
		t.Error("an object missing for more than an hour is not gone")
	}
}

func TestProcessAttempts(t *testing.T) {
	t.Parallel()
	var progress []*prestage.Progress
	rig := newRig(t, setup{warm: func(_, _ context.Context, req prestage.Request, p *prestage.Progress) prestage.Report {
		if progress = append(progress, p); req.Last != (len(progress) == 3) {
			t.Errorf("attempt %d is said to be the last: %t", len(progress), req.Last)
		}
		return failing(outcome.Failed, outcome.NotFound)
	}})
	rig.lane.cfg.Policy.MaxAttempts = 3
	seq := rig.publish(t, oneObject)
	d := rig.receive(t)
	var first Receipt
	for attempt := 1; attempt <= 3; attempt++ {
		d.Received = d.Received.Add(time.Minute) // the receipt keeps the first
		s := rig.lane.process(t.Context(), t.Context(), d)
		r, _ := rig.receipt(t, seq)
		if attempt == 1 {
			first = r
		}
		if r.Attempts != attempt || !r.Received.Equal(first.Received) || r.Error == "" || len(r.Failures) != 1 {
			t.Fatalf("attempt %d: %+v", attempt, r)
		}
		if attempt == 3 {
			if s.Action != Reject || s.Reason != outcome.NotFound || r.Outcome != DeadLettered {
				t.Fatalf("the last attempt is settled as %+v, receipt %s", s, r.Outcome)
			}
			break
		}
		low := schedule[attempt-1]
		if s.Action != Retry || s.Delay < low || s.Delay > low+low/10+1 {
			t.Errorf("attempt %d is settled as %+v", attempt, s)
		}
		if wait := time.Until(r.RetryAt); wait > s.Delay || wait < s.Delay-10*time.Second {
			t.Errorf("attempt %d: the next at %s, in %s", attempt, r.RetryAt, wait)
		}
		rig.due(t, seq)
	}
	if n := rig.value(t, "prestage_events_total", "checkpoint", "pending"); n != 2 {
		t.Errorf("%v pending attempts counted", n)
	}
	if n := rig.value(t, "prestage_dead_letters_total", "not_found"); n != 1 {
		t.Errorf("%v dead letters counted", n)
	}
	for _, p := range progress {
		if p != progress[0] {
			t.Error("an attempt forgot what an earlier one has filled")
		}
	}
}

// due makes an event's next attempt due.
func (r *rig) due(t *testing.T, seq uint64) {
	t.Helper()
	have, ok := r.receipt(t, seq)
	if !ok {
		t.Fatal("no receipt")
	}
	have.RetryAt = time.Now()
	r.put(t.Context(), t, seq, have)
}

func (r *rig) put(ctx context.Context, t *testing.T, seq uint64, receipt Receipt) {
	t.Helper()
	value, err := json.Marshal(receipt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.receipts.Put(ctx, keyOf(seq), value); err != nil {
		t.Fatal(err)
	}
}

// TestProcessEarlyRedelivery: after a crash a message comes back by AckWait, not
// by the attempts' schedule. That is no attempt.
func TestProcessEarlyRedelivery(t *testing.T) {
	t.Parallel()
	w, calls := counting(reporting(filled()))
	rig := newRig(t, setup{warm: w})
	seq := rig.publish(t, oneObject)
	d := rig.receive(t)
	pending := Receipt{Outcome: Pending, Attempts: 2, StreamTime: d.Time, RetryAt: time.Now().Add(longestWait - time.Second)}
	rig.put(t.Context(), t, seq, pending)
	s := rig.lane.process(t.Context(), t.Context(), d)
	if s.Action != Retry || s.Delay > longestWait || s.Delay < longestWait-time.Minute || calls.Load() != 0 {
		t.Errorf("settled as %+v after %d calls", s, calls.Load())
	}
	if r, _ := rig.receipt(t, seq); r.Attempts != 2 {
		t.Errorf("%d attempts", r.Attempts)
	}
	// A little early is in time: a restart of the server rounds.
	pending.RetryAt = time.Now().Add(earlySlack - 500*time.Millisecond)
	rig.put(t.Context(), t, seq, pending)
	if s := rig.lane.process(t.Context(), t.Context(), d); s.Action != Ack || calls.Load() != 1 {
		t.Errorf("settled as %+v after %d calls", s, calls.Load())
	}
	if r, _ := rig.receipt(t, seq); r.Attempts != 3 || r.Outcome != Warm || !r.RetryAt.IsZero() {
		t.Errorf("receipt %+v", r)
	}
}

// TestProcessOtherIncarnation: the final receipt of another incarnation of the
// stream stands in nobody's way, whichever clock was ahead.
func TestProcessOtherIncarnation(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"of an earlier time": -time.Hour, "of a later time": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, calls := counting(reporting(filled()))
			rig := newRig(t, setup{warm: w})
			seq := rig.publish(t, oneObject)
			d := rig.receive(t)
			rig.put(t.Context(), t, seq, Receipt{Outcome: DeadLettered, StreamTime: d.Time.Add(off), RetryAt: time.Now().Add(time.Hour), Attempts: 7})
			if s := rig.lane.process(t.Context(), t.Context(), d); s.Action != Ack || calls.Load() != 1 {
				t.Errorf("settled as %+v after %d calls", s, calls.Load())
			}
			if r, _ := rig.receipt(t, seq); r.Outcome != Warm || r.Attempts != 1 {
				t.Errorf("receipt %+v", r)
			}
		})
	}
}

// TestProcessOutlived: a delivery in hand from before the stream was made anew
// leaves the receipt of the message that is there now alone.
func TestProcessOutlived(t *testing.T) {
	t.Parallel()
	w, calls := counting(reporting(filled()))
	rig := newRig(t, setup{warm: w})
	seq := rig.publish(t, oneObject)
	d := rig.receive(t)
	now := Receipt{Outcome: Pending, StreamTime: d.Time, Attempts: 2}
	rig.put(t.Context(), t, seq, now)
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		stale := *d
		stale.Time = d.Time.Add(off)
		if s := rig.lane.process(t.Context(), t.Context(), &stale); s.Action != Abandon || calls.Load() != 0 {
			t.Errorf("settled as %+v after %d calls", s, calls.Load())
		}
	}
	if r, _ := rig.receipt(t, seq); r.Attempts != 2 {
		t.Errorf("receipt %+v", r)
	}
}

// TestProcessPurgedMeanwhile: a message that gives way and is not in the stream
// any more is not waited for either.
func TestProcessPurgedMeanwhile(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{ackWait: time.Second})
	seq := rig.publish(t, oneObject)
	d := rig.receive(t)
	rig.put(t.Context(), t, seq, Receipt{Outcome: Warm, StreamTime: d.Time.Add(time.Hour)})
	if err := rig.events.DeleteMsg(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
	if s := rig.lane.process(t.Context(), t.Context(), d); s.Action != Abandon {
		t.Errorf("settled as %+v", s)
	}
	rig.run(t) // redeliveries are looked up when somebody asks for a message
	rig.wait(t, "forgotten by the server", func(i *jetstream.ConsumerInfo) bool { return i.NumAckPending == 0 })
}

// TestProcessLoserFollows: another replica ends the event while we work.
func TestProcessLoserFollows(t *testing.T) {
	t.Parallel()
	for name, report := range map[string]prestage.Report{
		"we filled it": filled(), "we would try again": failing(outcome.Failed, outcome.FillFailed),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rig *rig
			var seq uint64
			var at time.Time
			rig = newRig(t, setup{warm: func(ctx, _ context.Context, _ prestage.Request, _ *prestage.Progress) prestage.Report {
				rig.put(ctx, t, seq, Receipt{Cluster: testCluster, Outcome: DeadLettered, Reason: outcome.NotFound, Attempts: 8, StreamTime: at})
				return report
			}})
			seq = rig.publish(t, oneObject)
			d := rig.receive(t)
			at = d.Time
			if s := rig.lane.process(t.Context(), t.Context(), d); s.Action != Reject || s.Reason != outcome.NotFound {
				t.Errorf("settled as %+v", s)
			}
			letters := stored(t, rig.letters)
			if len(letters) != 1 || letters[0].Header.Get(dlq.HeaderReason) != "not_found" || letters[0].Header.Get(dlq.HeaderAttempts) != "8" {
				t.Errorf("letters: %v", letters)
			}
			for _, o := range []Outcome{Pending, Warm, DeadLettered} {
				if n := rig.value(t, "prestage_events_total", "checkpoint", string(o)); n != 0 {
					t.Errorf("the loser counted %v as %s", n, o)
				}
			}
		})
	}
}

// TestProcessBusy: since when an object is throttled outlives the attempt, and
// its patience is its own.
func TestProcessBusy(t *testing.T) {
	t.Parallel()
	report := failing(outcome.Throttled, outcome.FillFailed)
	report.Busy = []prestage.Busy{{Ref: object.Ref{Bucket: "ckpt", Key: "a"}, BucketServedAt: time.Now().Add(time.Hour)}}
	rig := newRig(t, setup{warm: reporting(report)})
	seq := rig.publish(t, oneObject)
	d, s := rig.process(t)
	key := busyKey(report.Busy[0].Ref)
	first, _ := rig.receipt(t, seq)
	if s.Action != Retry || first.Outcome != Pending || first.Attempts != 0 || len(first.Busy) != 1 || first.Busy[key].IsZero() {
		t.Fatalf("settled as %+v: %+v", s, first)
	}
	rig.due(t, seq)
	rig.lane.process(t.Context(), t.Context(), d)
	again, _ := rig.receipt(t, seq)
	if !again.Busy[key].Equal(first.Busy[key]) {
		t.Errorf("throttled since %s, then since %s", first.Busy[key], again.Busy[key])
	}
	again.Busy[key], again.RetryAt = time.Now().Add(-24*time.Hour), time.Now()
	rig.put(t.Context(), t, seq, again)
	s = rig.lane.process(t.Context(), t.Context(), d)
	if r, _ := rig.receipt(t, seq); s.Action != Reject || s.Reason != outcome.FillFailed || r.Outcome != DeadLettered || r.Busy != nil {
		t.Errorf("settled as %+v: %+v", s, r)
	}
}

// TestProcessPanic: a panic is the event's own failure.
func TestProcessPanic(t *testing.T) {
	t.Parallel()
	w, calls := counting(func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
		panic("at the disco\nforged line")
	})
	rig := newRig(t, setup{warm: w})
	seq := rig.publish(t, oneObject)
	if _, s := rig.process(t); s.Action != Retry || calls.Load() != 1 {
		t.Errorf("settled as %+v after %d calls", s, calls.Load())
	}
	r, _ := rig.receipt(t, seq)
	if want := "handle event: panic: at the disco forged line"; r.Outcome != Pending || r.Attempts != 1 || r.Error != want {
		t.Errorf("receipt: %s after %d attempts: %q", r.Outcome, r.Attempts, r.Error)
	}
	if !rig.log.has(`"level":"ERROR"`, "panic while handling an event", "process_test.go") {
		t.Errorf("no stack in the log: %s", rig.log)
	}
}

func TestProcessInterrupted(t *testing.T) {
	t.Parallel()
	var rig *rig
	start, shutDown := context.WithCancel(t.Context())
	rig = newRig(t, setup{warm: func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
		shutDown()
		return failing(outcome.Interrupted, "")
	}})
	seq := rig.publish(t, oneObject)
	if s := rig.lane.process(t.Context(), start, rig.receive(t)); s.Action != Release {
		t.Errorf("settled as %+v", s)
	}
	if r, ok := rig.receipt(t, seq); ok {
		t.Errorf("a receipt: %+v", r)
	}

	// Interrupted with nobody shutting down would come back at once, for ever.
	if s := rig.lane.cutShort(t.Context(), t.Context(), &delivery{}, errInterrupted); s.Action != Retry || s.Delay != oddPause {
		t.Errorf("settled as %+v", s)
	}
	// A message of a consumer that is gone is not even given back.
	ctx, abandon := context.WithCancelCause(t.Context())
	abandon(ErrGone)
	for _, ends := range [][2]context.Context{{ctx, t.Context()}, {t.Context(), ctx}} {
		if s := rig.lane.cutShort(ends[0], ends[1], &delivery{}, errInterrupted); s.Action != Abandon {
			t.Errorf("settled as %+v", s)
		}
	}
}

// TestProcessCut: the drain is over before the receipt could be written.
func TestProcessCut(t *testing.T) {
	t.Parallel()
	ctx, cut := context.WithCancel(t.Context())
	rig := newRig(t, setup{warm: func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
		cut()
		return filled()
	}})
	seq := rig.publish(t, oneObject)
	if s := rig.lane.process(ctx, ctx, rig.receive(t)); s.Action != Release {
		t.Errorf("settled as %+v", s)
	}
	if r, ok := rig.receipt(t, seq); ok {
		t.Errorf("a receipt: %+v", r)
	}
}

// TestFarAttempt has the receipt tell of a next attempt that no replica has set,
// by a clock that was far ahead: the event is not kept waiting for it.
func TestFarAttempt(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	seq := rig.publish(t, oneObject)
	d := rig.receive(t)
	rig.put(t.Context(), t, seq, Receipt{Outcome: Pending, Attempts: 2, StreamTime: d.Time, RetryAt: time.Now().Add(100 * 365 * 24 * time.Hour)})
	if s := rig.lane.process(t.Context(), t.Context(), d); s.Action != Ack {
		t.Fatalf("%+v", s)
	}
	if r, _ := rig.receipt(t, seq); r.Outcome != Warm || r.Attempts != 3 {
		t.Errorf("%+v", r)
	}
}
