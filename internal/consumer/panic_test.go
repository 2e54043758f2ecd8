package consumer

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// nothingWarm is a bucket that panics when a receipt that says warm is written.
type nothingWarm struct{ jetstream.KeyValue }

func (b nothingWarm) Create(ctx context.Context, key string, value []byte, o ...jetstream.KVCreateOpt) (uint64, error) {
	b.check(value)
	return b.KeyValue.Create(ctx, key, value, o...)
}

func (b nothingWarm) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	b.check(value)
	return b.KeyValue.Update(ctx, key, value, revision)
}

func (nothingWarm) check(value []byte) {
	if bytes.Contains(value, []byte(`"outcome":"warm"`)) {
		panic("nothing is warm")
	}
}

// TestProcessPanicIsAnAttempt: outside the Warmer, too, a panic is the event's
// own failure and comes to an end.
func TestProcessPanicIsAnAttempt(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	rig.lane.receipts.kv = nothingWarm{rig.receipts}
	rig.lane.cfg.Policy.MaxAttempts = 2
	seq := rig.publish(t, oneObject)
	d, s := rig.process(t)
	if r, _ := rig.receipt(t, seq); s.Action != Retry || s.Delay < schedule[0] || r.Outcome != Pending || r.Attempts != 1 {
		t.Errorf("settled as %+v, %s after %d attempts", s, r.Outcome, r.Attempts)
	}
	if n := strings.Count(rig.log.String(), `"stack"`); n != 1 || !rig.log.has(`"level":"ERROR"`, "nothing is warm", "panic_test.go") {
		t.Errorf("%d stacks in the log: %s", n, rig.log)
	}
	rig.due(t, seq)
	s = rig.lane.process(t.Context(), t.Context(), d)
	r, _ := rig.receipt(t, seq)
	if s.Action != Reject || s.Reason != outcome.FillFailed || r.Outcome != DeadLettered || r.Attempts != 2 {
		t.Errorf("settled as %+v, %s after %d attempts", s, r.Outcome, r.Attempts)
	}
	if r.Error != "handle event: panic: nothing is warm" || count(t, rig.letters) != 1 {
		t.Errorf("error %q, %d letters", r.Error, count(t, rig.letters))
	}
}

// noReceipts is a bucket that cannot even be read without a panic.
type noReceipts struct{ jetstream.KeyValue }

func (noReceipts) Get(context.Context, string) (jetstream.KeyValueEntry, error) { panic("no receipts") }

// TestProcessPanicForEver: what cannot be counted comes back ever later.
func TestProcessPanicForEver(t *testing.T) {
	t.Parallel()
	w, calls := counting(reporting(filled()))
	rig := newRig(t, setup{warm: w})
	rig.lane.receipts.kv = noReceipts{}
	rig.publish(t, oneObject)
	d := rig.receive(t)
	for deliveries, want := range map[uint64]time.Duration{0: schedule[0], 1: schedule[0], 3: schedule[2], 1000: 10 * time.Minute} {
		d.Deliveries = deliveries
		if s := rig.lane.process(t.Context(), t.Context(), d); s.Action != Retry || s.Delay != want {
			t.Errorf("delivery %d is settled as %+v, want a delay of %s", deliveries, s, want)
		}
	}
	if calls.Load() != 0 {
		t.Error("something was asked for")
	}
}

// TestLanePanicJoinsTheHeartbeat: whoever settles is the message's only owner
// after a panic, too.
func TestLanePanicJoinsTheHeartbeat(t *testing.T) {
	t.Parallel()
	m := beating{entered: make(chan struct{}, 1), release: make(chan struct{})}
	rig := newRig(t, setup{warm: func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
		<-m.entered
		return filled()
	}})
	rig.lane.receipts.kv = nothingWarm{rig.receipts}
	rig.publish(t, oneObject)
	m.Msg = rig.receive(t).msg
	sp := newSpy(t, rig)
	rig.lane.ackWait.set(30 * time.Millisecond)
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		rig.lane.work(t.Context(), t.Context(), nil, m)
	}()
	if step := sp.next(t); step != "receipt" {
		t.Errorf("%q, want the attempt's receipt", step)
	}
	if rest := sp.rest(t, rig); len(rest) != 0 {
		t.Errorf("%v while a beat is under way", rest)
	}
	close(m.release)
	soon(t, "the end", worked)
	if step := sp.next(t); !strings.HasPrefix(step, "-NAK {") {
		t.Errorf("settled by %q", step)
	}
}

// mute is a message of which the server cannot be told anything.
type mute struct {
	jetstream.Msg
	beaten chan struct{}
}

func (m mute) InProgress() error {
	close(m.beaten)
	panic("mute")
}

func (mute) Reply() string { panic("mute") }

// unread is a message that cannot even be looked at.
type unread struct{ jetstream.Msg }

func (unread) Metadata() (*jetstream.MsgMetadata, error) { panic("unread") }

// TestLanePanicBesideTheProtocol: before a message is read, in a heartbeat, and
// when it is settled. The message comes again, and its receipt ends it.
func TestLanePanicBesideTheProtocol(t *testing.T) {
	t.Parallel()
	beaten := make(chan struct{})
	rig := newRig(t, setup{warm: func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
		<-beaten
		return filled()
	}})
	seq := rig.publish(t, oneObject)
	msg := rig.receive(t).msg
	rig.lane.ackWait.set(30 * time.Millisecond)
	for _, step := range []struct {
		msg     jetstream.Msg
		panics  int // in the log by then
		pending int // messages
		outcome Outcome
	}{
		{unread{msg}, 1, 1, ""},
		{mute{msg, beaten}, 3, 1, Warm},
		{msg, 3, 0, Warm},
	} {
		rig.lane.work(t.Context(), t.Context(), nil, step.msg)
		if n := strings.Count(rig.log.String(), "left to redelivery"); n != step.panics {
			t.Errorf("%d panics in the log, want %d: %s", n, step.panics, rig.log)
		}
		if n := rig.info(t).NumAckPending; n != step.pending {
			t.Errorf("%d messages are pending, want %d", n, step.pending)
		}
		if step.outcome == "" {
			continue
		}
		if r, _ := rig.receipt(t, seq); r.Outcome != step.outcome {
			t.Errorf("the receipt says %q", r.Outcome)
		}
	}
}
