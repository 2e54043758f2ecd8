package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

func mustDecode(t *testing.T, d *delivery) events.Event {
	t.Helper()
	ev, err := d.decode(events.KindCheckpoint, false)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// TestLaneOrder sees the steps of the outcome protocol on the wire.
func TestLaneOrder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body   string
		report prestage.Report
		want   []string
	}{
		"warm":    {oneObject, filled(), []string{"receipt", "result", "+ACK"}},
		"skipped": {oneObject, prestage.Report{Skips: map[outcome.Reason]int{outcome.Empty: 1}}, []string{"receipt", "+ACK"}},
		"dead-lettered": {
			oneObject, failing(outcome.Permanent, outcome.Unsupported),
			[]string{"receipt", "letter", "result", "+TERM unsupported"},
		},
		"malformed": {"{broken", filled(), []string{"receipt", "letter", "result", "+TERM malformed"}},
		"retry":     {oneObject, failing(outcome.Refused, outcome.Forbidden), []string{"receipt", "-NAK"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entered, release := make(chan struct{}), make(chan struct{})
			rig := newRig(t, setup{warm: func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
				close(entered)
				<-release
				return tt.report
			}})
			sp := newSpy(t, rig)
			rig.run(t)
			rig.publish(t, tt.body)
			var before []string
			if tt.body == oneObject {
				soon(t, "the fill", entered)
				before = sp.rest(t, rig)
			}
			close(release)
			var got []string
			for range tt.want {
				step, _, _ := strings.Cut(sp.next(t), " {")
				got = append(got, step)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if len(before) != 0 {
				t.Errorf("before the fill: %v", before)
			}
		})
	}
}

// TestLaneBeats: while it fills the message stays ours, afterwards nobody beats.
func TestLaneBeats(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	w, calls := counting(func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
		<-release
		return filled()
	})
	rig := newRig(t, setup{ackWait: time.Second, warm: w})
	sp := newSpy(t, rig)
	stop := rig.run(t)
	rig.publish(t, oneObject)
	for range 6 { // twice the AckWait
		if step := sp.next(t); step != "+WPI" {
			t.Fatalf("%q while filling", step)
		}
	}
	close(release)
	var got []string
	for len(got) == 0 || got[len(got)-1] != "+ACK" {
		if step := sp.next(t); step != "+WPI" || len(got) > 1 { // one may have come just before the receipt
			got = append(got, step)
		}
	}
	if diff := cmp.Diff([]string{"receipt", "result", "+ACK"}, got); diff != "" {
		t.Error(diff)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if rest := sp.rest(t, rig); len(rest) != 0 {
		t.Errorf("after the ack: %v", rest)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("warmed %d times", n)
	}
}

// TestLaneBeatsFollowTheConsumer: an AckWait that somebody shortens is what the
// message in hand is kept by from then on.
func TestLaneBeatsFollowTheConsumer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	rig := newRig(t, setup{ackWait: time.Hour, warm: func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
		<-release
		return filled()
	}})
	sp := newSpy(t, rig)
	stop := rig.run(t)
	rig.publish(t, oneObject)
	rig.wait(t, "in hand", func(i *jetstream.ConsumerInfo) bool { return i.NumAckPending == 1 })
	c := rig.info(t).Config
	c.AckWait = 3 * time.Second
	if _, err := rig.events.UpdateConsumer(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := rig.lane.lag(t.Context(), rig.events, rig.cons); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if step := sp.next(t); step != "+WPI" {
			t.Fatalf("%q while filling", step)
		}
	}
	close(release)
	rig.wait(t, "acked", func(i *jetstream.ConsumerInfo) bool { return i.AckFloor.Stream == 1 })
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestLaneSlots: the lane never holds a message that nobody works on.
func TestLaneSlots(t *testing.T) {
	t.Parallel()
	const events = 200
	var working, most atomic.Int64
	entered, release := make(chan struct{}, events), make(chan struct{})
	rig := newRig(t, setup{warm: func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
		n := working.Add(1)
		defer working.Add(-1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		entered <- struct{}{}
		<-release
		return filled()
	}})
	for range events {
		rig.publish(t, oneObject)
	}
	stop := rig.run(t)
	for range Slots {
		soon(t, "a slot in use", entered)
	}
	for range 50 {
		if i := rig.info(t); i.NumAckPending != Slots || i.NumWaiting != 0 {
			t.Fatalf("%d in hand and %d pulls waiting, with %d slots in use", i.NumAckPending, i.NumWaiting, Slots)
		}
	}
	close(release)
	rig.wait(t, "all settled", func(i *jetstream.ConsumerInfo) bool { return i.NumPending == 0 && i.NumAckPending == 0 })
	if n := most.Load(); n != Slots {
		t.Errorf("%d at once", n)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := rig.value(t, "prestage_events_total", "checkpoint", "warm"); n != events {
		t.Errorf("%v events counted as warm", n)
	}
	if n := rig.value(t, "prestage_event_to_warm_seconds", "checkpoint"); n != events {
		t.Errorf("%v times from event to warm", n)
	}
}

func TestLanePanicGoesOn(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{warm: func(_, _ context.Context, req prestage.Request, _ *prestage.Progress) prestage.Report {
		if req.Objects[0].Key == "bad" {
			panic("bad")
		}
		return filled()
	}})
	stop := rig.run(t)
	bad := rig.publish(t, `{"uri":"s3://ckpt/bad"}`)
	good := rig.publish(t, oneObject)
	eventually(t, "both handled", func() bool {
		b, _ := rig.receipt(t, bad)
		g, _ := rig.receipt(t, good)
		return b.Attempts >= 1 && g.Outcome == Warm
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// gate is closed until it is opened.
type gate chan struct{}

func (g gate) Wait(ctx context.Context) error {
	select {
	case <-g:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestLaneWaitsAtTheGate(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	open := make(gate)
	rig.lane.cfg.Gate = open
	rig.publish(t, oneObject)
	stop := rig.run(t)
	for range 20 {
		if i := rig.info(t); i.NumWaiting != 0 || i.NumAckPending != 0 {
			t.Fatalf("%d pulls and %d messages before the gate opened", i.NumWaiting, i.NumAckPending)
		}
	}
	close(open)
	rig.wait(t, "acked", func(i *jetstream.ConsumerInfo) bool { return i.AckFloor.Stream == 1 })
	if err := stop(); err != nil {
		t.Error(err)
	}

	rig.lane.cfg.Gate = make(gate)
	if err := rig.run(t)(); err != nil {
		t.Errorf("the end at a closed gate: %v", err)
	}
}

// TestLaneGivesBack: what is not filling when fetching ends is somebody else's
// at once; what is filling may end.
func TestLaneGivesBack(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}, 2), make(chan struct{})
	rig := newRig(t, setup{warm: func(_, start context.Context, req prestage.Request, _ *prestage.Progress) prestage.Report {
		entered <- struct{}{}
		if req.Objects[0].Key == "filling" {
			<-release
			return filled()
		}
		<-start.Done()
		return failing(outcome.Interrupted, "")
	}})
	filling := rig.publish(t, `{"uri":"s3://ckpt/filling"}`)
	waiting := rig.publish(t, `{"uri":"s3://ckpt/waiting"}`)
	stop := rig.run(t)
	soon(t, "the first", entered)
	soon(t, "the second", entered)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	again := rig.receive(t)
	if n := deliveries(t, again); again.Seq != waiting || n != 2 { // 3: the lane's last pull got it once more
		t.Errorf("given back: message %d, delivery %d", again.Seq, n)
	}
	select {
	case err := <-stopped:
		t.Fatalf("ended before the fill did: %v", err)
	default:
	}
	close(release)
	if err := soon(t, "the end", stopped); err != nil {
		t.Error(err)
	}
	if r, _ := rig.receipt(t, filling); r.Outcome != Warm {
		t.Errorf("the fill under way ended as %q", r.Outcome)
	}
}

// TestLaneGivesBackWhatComesLate: a message that came with the end of fetching
// is given back without any work.
func TestLaneGivesBackWhatComesLate(t *testing.T) {
	t.Parallel()
	w, calls := counting(reporting(filled()))
	rig := newRig(t, setup{warm: w})
	seq := rig.publish(t, oneObject)
	d := rig.receive(t)
	start, cancel := context.WithCancel(t.Context())
	cancel()
	withdrawn := make(chan struct{})
	close(withdrawn)
	rig.lane.work(t.Context(), start, withdrawn, d.msg)
	if again := rig.receive(t); again.Seq != seq || deliveries(t, again) != 2 {
		t.Errorf("message %d, delivery %d", again.Seq, deliveries(t, again))
	}
	if calls.Load() != 0 {
		t.Error("work was begun")
	}
}

// deleted runs a lane whose consumer is deleted, and says how it ended and which
// verbs were sent afterwards.
func deleted(t *testing.T, r *rig, parked func(*jetstream.ConsumerInfo) bool) (verbs []string, err error) {
	t.Helper()
	fetch, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.lane.Run(context.Background(), fetch, r.cons) }()
	r.wait(t, "the lane as the test wants it", parked)
	sp := newSpy(t, r)
	if err := r.events.DeleteConsumer(t.Context(), "lane"); err != nil {
		t.Fatal(err)
	}
	err = soon(t, "the end", ended)
	for _, step := range sp.rest(t, r) {
		if step != "+WPI" {
			verbs = append(verbs, step)
		}
	}
	return verbs, err
}

func TestLaneConsumerDeletedUnderPull(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	_, err := deleted(t, rig, func(i *jetstream.ConsumerInfo) bool { return i.NumWaiting == 1 })
	if !errors.Is(err, ErrGone) {
		t.Errorf("ended with %v", err)
	}
}

// TestLaneConsumerGoneBefore: a pull to a consumer that is not there has no
// answer at all.
func TestLaneConsumerGoneBefore(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"consumer", "stream"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, setup{})
			var err error
			if what == "consumer" {
				err = rig.events.DeleteConsumer(t.Context(), "lane")
			} else {
				err = rig.js.DeleteStream(t.Context(), "EVENTS")
			}
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- rig.lane.Run(t.Context(), t.Context(), rig.cons) }()
			if err := soon(t, "the end", ended); !errors.Is(err, ErrGone) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// TestLaneAbandons: a new consumer of the same name gives the old reply
// subjects a new meaning, so nothing in hand is settled.
func TestLaneAbandons(t *testing.T) {
	t.Parallel()
	for name, report := range map[string]prestage.Report{"cut": failing(outcome.Interrupted, ""), "filled": filled()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, setup{warm: func(ctx, _ context.Context, _ prestage.Request, _ *prestage.Progress) prestage.Report {
				<-ctx.Done()
				return report
			}})
			rig.publish(t, oneObject)
			verbs, err := deleted(t, rig, func(i *jetstream.ConsumerInfo) bool { return i.NumWaiting == 1 && i.NumAckPending == 1 })
			if !errors.Is(err, ErrGone) {
				t.Errorf("ended with %v", err)
			}
			if len(verbs) != 0 {
				t.Errorf("sent for a consumer that is gone: %v", verbs)
			}
		})
	}
}

// TestLaneAbandonsWithAnother: the stream was deleted, and another lane was the
// first to see it.
func TestLaneAbandonsWithAnother(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	rig := newRig(t, setup{warm: func(_, start context.Context, _ prestage.Request, _ *prestage.Progress) prestage.Report {
		close(entered)
		<-start.Done()
		return failing(outcome.Interrupted, "")
	}})
	rig.publish(t, oneObject)
	fetch, end := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- rig.lane.Run(t.Context(), fetch, rig.cons) }()
	soon(t, "the fill", entered)
	sp := newSpy(t, rig)
	end(fmt.Errorf("%w: the other lane says so", ErrGone))
	if err := soon(t, "the end", ended); err != nil {
		t.Errorf("ended with %v", err)
	}
	if steps := sp.rest(t, rig); len(steps) != 0 {
		t.Errorf("sent for a consumer that is gone: %v", steps)
	}
}

// beating holds the beat of a message until it is told to go on.
type beating struct {
	jetstream.Msg
	entered chan struct{}
	release chan struct{}
}

func (m beating) InProgress() error {
	select {
	case m.entered <- struct{}{}:
	default:
	}
	<-m.release
	return nil
}

// TestLaneAbandonsInTheLastMoment: the consumer goes after the protocol is
// through and before the message is settled.
func TestLaneAbandonsInTheLastMoment(t *testing.T) {
	t.Parallel()
	m := beating{entered: make(chan struct{}, 1), release: make(chan struct{})}
	rig := newRig(t, setup{warm: func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
		<-m.entered
		return filled()
	}})
	rig.publish(t, oneObject)
	m.Msg = rig.receive(t).msg
	sp := newSpy(t, rig)
	rig.lane.ackWait.set(30 * time.Millisecond)
	ctx, abandon := context.WithCancelCause(t.Context())
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		rig.lane.work(ctx, t.Context(), nil, m)
	}()
	eventually(t, "the protocol is through", func() bool { return rig.log.has(`"msg":"event"`, `"outcome":"warm"`) })
	abandon(fmt.Errorf("%w: deleted", ErrGone))
	close(m.release)
	soon(t, "the end", worked)
	if diff := cmp.Diff([]string{"receipt", "result"}, sp.rest(t, rig)); diff != "" {
		t.Error(diff)
	}
}

func TestLaneConnectionClosed(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	ended := make(chan error, 1)
	go func() { ended <- rig.lane.Run(t.Context(), t.Context(), rig.cons) }()
	rig.wait(t, "a pull", func(i *jetstream.ConsumerInfo) bool { return i.NumWaiting == 1 })
	rig.nc.Close()
	if err := soon(t, "the end", ended); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("ended with %v", err)
	}
}

func TestLaneOverRestart(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	stop := rig.run(t)
	rig.wait(t, "a pull", func(i *jetstream.ConsumerInfo) bool { return i.NumWaiting == 1 })
	rig.srv.Restart(t)
	eventually(t, "connected again", rig.nc.IsConnected)
	seq := rig.publish(t, oneObject)
	eventually(t, "warm", func() bool {
		r, _ := rig.receipt(t, seq)
		return r.Outcome == Warm
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
}
