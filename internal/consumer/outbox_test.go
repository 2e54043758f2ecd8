package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

const (
	letterSubject = "prestage.dlq.c1.EVENTS.42"
	failedSubject = "prestage.failed.c1.EVENTS.42"
)

func deadLetter() Receipt {
	r := testReceipt(DeadLettered)
	r.Reason, r.Attempts, r.Error = outcome.Malformed, 1, "no sense"
	return r
}

// stored are the messages of a stream, in order.
func stored(t *testing.T, s jetstream.Stream) []*jetstream.RawStreamMsg {
	t.Helper()
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []*jetstream.RawStreamMsg
	for seq := info.State.FirstSeq; seq != 0 && seq <= info.State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func TestOutboxWritesOnce(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	d, r := testDelivery(nil, []byte("{broken")), deadLetter()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 3 {
				if err := rig.lane.outbox.sendLetter(t.Context(), d, r); err != nil {
					t.Errorf("letter: %v", err)
				}
				if err := rig.lane.outbox.sendResult(t.Context(), d, r); err != nil {
					t.Errorf("result: %v", err)
				}
			}
		})
	}
	all.Wait()
	letters, results := stored(t, rig.letters), stored(t, rig.results)
	if len(letters) != 1 || len(results) != 1 {
		t.Fatalf("%d letters and %d results, want one of each", len(letters), len(results))
	}
	if letters[0].Subject != letterSubject || string(letters[0].Data) != "{broken" {
		t.Errorf("letter %s: %s", letters[0].Subject, letters[0].Data)
	}
	var ce struct{ Type string }
	if err := json.Unmarshal(results[0].Data, &ce); err != nil || results[0].Subject != failedSubject || ce.Type != TypeWarmFailed {
		t.Errorf("result %s: %s, %v", results[0].Subject, results[0].Data, err)
	}
}

func TestOutboxSubjects(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	if err := rig.lane.outbox.sendResult(t.Context(), testDelivery(nil, nil), testReceipt(Warm)); err != nil {
		t.Fatal(err)
	}
	got := stored(t, rig.results)
	if len(got) != 1 || got[0].Subject != "prestage.warmed.c1.EVENTS.42" {
		t.Errorf("results: %v", got)
	}
}

// TestOutboxKeepsEarlierIncarnation: the message of a stream that was deleted
// and made anew stands beside the old one of the same sequence.
func TestOutboxKeepsEarlierIncarnation(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	old, now := testDelivery(nil, []byte("old")), testDelivery(nil, []byte("new"))
	now.Time = old.Time.Add(time.Nanosecond)
	for _, d := range []*delivery{old, now, now} {
		if err := rig.lane.outbox.sendLetter(t.Context(), d, deadLetter()); err != nil {
			t.Fatal(err)
		}
	}
	var bodies []string
	for _, m := range stored(t, rig.letters) {
		bodies = append(bodies, string(m.Data)+" "+m.Header.Get(dlq.HeaderTime))
	}
	want := []string{"old 2026-11-20T10:00:00.123456789Z", "new 2026-11-20T10:00:00.12345679Z"}
	if diff := cmp.Diff(want, bodies); diff != "" {
		t.Error(diff)
	}
}

// TestOutboxAfterPurge: a letter that was removed, because it was redriven,
// say, is written again when it has to be.
func TestOutboxAfterPurge(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	for range 2 {
		if err := rig.lane.outbox.sendLetter(t.Context(), testDelivery(nil, nil), deadLetter()); err != nil {
			t.Fatal(err)
		}
		if n := count(t, rig.letters); n != 1 {
			t.Fatalf("%d letters", n)
		}
		if err := rig.letters.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOutboxFullLetters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]jetstream.StreamConfig{
		"messages": {MaxMsgs: 1, Discard: jetstream.DiscardNew},
		"bytes":    {MaxBytes: 1200, Discard: jetstream.DiscardNew},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, setup{letters: c})
			if _, err := rig.js.Publish(t.Context(), "prestage.dlq.other", make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			seq := rig.publish(t, "{broken")
			_, s := rig.process(t)
			if s.Action != Retry || s.Delay <= time.Second || s.Delay > 10*time.Second { // whoever makes room sees it go on, and nothing spins
				t.Fatalf("settled as %+v", s)
			}
			if !rig.log.has(`"level":"ERROR"`, "dead letter not stored", dlq.Stream) {
				t.Errorf("nothing said: %s", rig.log)
			}
			d := &delivery{Stream: "EVENTS", Seq: seq, Time: rig.timeOf(t, seq), Subject: testSubject, Data: []byte("{broken")}
			if s := rig.lane.process(t.Context(), t.Context(), d); s.Action != Retry || rig.log.count("dead letter not stored") != 1 {
				t.Errorf("again: %+v, told %d times", s, rig.log.count("dead letter not stored"))
			}
			if n := count(t, rig.results); n != 0 {
				t.Errorf("%d results of a letter that is not stored", n)
			}
			if r, _ := rig.receipt(t, seq); r.Outcome != DeadLettered {
				t.Errorf("receipt says %q", r.Outcome)
			}
			if n := rig.value(t, "prestage_dead_letters_total", "malformed"); n != 1 {
				t.Errorf("counted %v times", n)
			}

			// Room is made: the redelivery completes what the receipt says.
			if err := rig.letters.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := rig.lane.process(t.Context(), t.Context(), d); s.Action != Reject || s.Reason != outcome.Malformed {
				t.Errorf("settled as %+v", s)
			}
			if l, r := count(t, rig.letters), count(t, rig.results); l != 1 || r != 1 {
				t.Errorf("%d letters, %d results", l, r)
			}
			if n := rig.value(t, "prestage_dead_letters_total", "malformed"); n != 1 {
				t.Errorf("counted %v times in the end", n)
			}
		})
	}
}

func (r *rig) timeOf(t *testing.T, seq uint64) time.Time {
	t.Helper()
	m, err := r.events.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	return m.Time
}

// closing refuses the first message as a store does that is being closed.
type closing struct {
	jetstream.JetStream
	refused atomic.Bool
}

func (c *closing) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if !c.refused.Swap(true) {
		return nil, &jetstream.APIError{Code: 503, ErrorCode: 10077, Description: "store closed"}
	}
	return c.JetStream.PublishMsg(ctx, m, opts...)
}

// TestOutboxServerStops: a server that stops answers like a full one. That must
// not cost the result.
func TestOutboxServerStops(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	rig.lane.outbox.js = &closing{JetStream: rig.js}
	if err := rig.lane.outbox.sendResult(t.Context(), testDelivery(nil, nil), testReceipt(Warm)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, rig.results); n != 1 {
		t.Errorf("%d results", n)
	}
}

// TestOutboxFullResults: results hold nothing up.
func TestOutboxFullResults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]jetstream.StreamConfig{
		"full":      {MaxMsgs: 1, Discard: jetstream.DiscardNew},
		"too small": {MaxMsgSize: 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, setup{results: c})
			if _, err := rig.js.Publish(t.Context(), "prestage.failed.other", nil); err != nil {
				t.Fatal(err)
			}
			rig.publish(t, oneObject)
			if _, s := rig.process(t); s.Action != Ack {
				t.Errorf("settled as %+v", s)
			}
			if !rig.log.has(`"level":"WARN"`, "result not stored", ResultsStream) {
				t.Errorf("nothing said: %s", rig.log)
			}
		})
	}
}

func TestOutboxOmitsLargePayload(t *testing.T) {
	t.Parallel()
	const limit = 8 << 10
	tests := map[string]struct {
		setup   setup
		payload int
		omitted bool
	}{
		"fits":                        {setup{maxPayload: limit}, limit / 2, false},
		"the server's largest":        {setup{maxPayload: limit}, limit, true},
		"the stream's largest":        {setup{letters: jetstream.StreamConfig{MaxMsgSize: limit}}, limit, true},
		"the default's largest":       {setup{}, 1 << 20, true},
		"larger than headers can add": {setup{letters: jetstream.StreamConfig{MaxMsgSize: limit}}, 100 << 10, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, tt.setup)
			header := nats.Header{"Ce-Id": {string(bytes.Repeat([]byte("i"), 1000))}}
			if err := rig.lane.outbox.sendLetter(t.Context(), testDelivery(header, make([]byte, tt.payload)), deadLetter()); err != nil {
				t.Fatal(err)
			}
			got := stored(t, rig.letters)
			if len(got) != 1 {
				t.Fatalf("%d letters", len(got))
			}
			if omitted := got[0].Header.Get(dlq.HeaderPayload) == dlq.PayloadOmitted; omitted != tt.omitted || omitted != (len(got[0].Data) == 0) {
				t.Errorf("omitted: %v with %d bytes left, want %v", omitted, len(got[0].Data), tt.omitted)
			}
			if got[0].Header.Get(dlq.HeaderReason) != "malformed" {
				t.Errorf("headers: %v", got[0].Header)
			}
		})
	}
}

// TestOutboxShortensResults: a result that is too long for its stream loses
// failures, not itself.
func TestOutboxShortensResults(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{results: jetstream.StreamConfig{MaxMsgSize: 4 << 10}})
	r := deadLetter()
	for range prestage.MaxFailures {
		r.Failures = append(r.Failures, prestage.Failure{URI: "s3://ckpt/a", Error: strings.Repeat("e", 200)})
	}
	if err := rig.lane.outbox.sendResult(t.Context(), testDelivery(nil, nil), r); err != nil {
		t.Fatal(err)
	}
	got := stored(t, rig.results)
	if len(got) != 1 {
		t.Fatalf("%d results", len(got))
	}
	var ce struct{ Data Receipt }
	if err := json.Unmarshal(got[0].Data, &ce); err != nil || len(ce.Data.Failures) == 0 || len(ce.Data.Failures) == prestage.MaxFailures {
		t.Errorf("%d failures: %v", len(ce.Data.Failures), err)
	}
}

// TestOutboxLimitChangedMeanwhile: the stream got a smaller limit after it was
// looked at; its refusal counts.
func TestOutboxLimitChangedMeanwhile(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	c := rig.letters.CachedInfo().Config
	c.MaxMsgSize = 2 << 10
	if _, err := rig.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := rig.lane.outbox.sendLetter(t.Context(), testDelivery(nil, make([]byte, 4<<10)), deadLetter()); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, rig.letters); len(got) != 1 || got[0].Header.Get(dlq.HeaderPayload) != dlq.PayloadOmitted {
		t.Errorf("letters: %v", got)
	}
}

func TestOutboxWaitsForNATS(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	rig.srv.Stop()
	sent := make(chan error, 1)
	go func() { sent <- rig.lane.outbox.sendLetter(t.Context(), testDelivery(nil, nil), deadLetter()) }()
	eventually(t, "the outage is told", func() bool { return rig.log.has("nats does not answer") })
	rig.srv.Restart(t)
	if err := soon(t, "the letter", sent); err != nil {
		t.Fatal(err)
	}
	if n := count(t, rig.letters); n != 1 {
		t.Errorf("%d letters", n)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if err := rig.lane.outbox.sendLetter(ctx, testDelivery(nil, nil), deadLetter()); !errors.Is(err, why) {
		t.Errorf("after the end: %v", err)
	}
}
