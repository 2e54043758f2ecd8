package reconcile

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/publish"
)

func newStream(t *testing.T) *JetStream {
	t.Helper()
	js := natstest.Start(t).JetStream(t)
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}})
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "prestage_receipts"})
	if err != nil {
		t.Fatal(err)
	}
	return &JetStream{JS: js, Events: s, Receipts: kv, Cluster: "c", Subject: "events.x"}
}

func TestSend(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	p, _ := newFakes().pass(nil)
	for _, duplicate := range []bool{false, true} {
		sent, err := s.Send(t.Context(), p.event(item("a"), dedupe.Entry{}))
		if err != nil || sent.Seq != 1 || sent.Duplicate != duplicate || sent.Stream != "EVENTS" {
			t.Errorf("%+v, %v", sent, err)
		}
	}
	if _, err := s.Send(t.Context(), p.event(item("${X}"), dedupe.Entry{})); !errors.Is(err, outcome.Permanent) {
		t.Errorf("a key that no event can name: %v", err)
	}
	s.Subject = "nobody.here"
	if _, err := s.Send(t.Context(), p.event(item("a"), dedupe.Entry{})); err == nil || errors.As(err, new(*outcome.Error)) {
		t.Errorf("no stream: %v", err)
	}
}

// TestFate: a receipt that is not final tells nothing once its message is gone.
func TestFate(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	p, _ := newFakes().pass(nil)
	var sent publish.Sent
	for _, key := range []string{"a", "b"} {
		var err error
		if sent, err = s.Send(t.Context(), p.event(item(key), dedupe.Entry{})); err != nil {
			t.Fatal(err)
		}
	}
	m, err := s.Events.GetMsg(t.Context(), sent.Seq)
	if err != nil {
		t.Fatal(err)
	}
	put := func(seq uint64, r consumer.Receipt, more string) {
		t.Helper()
		r.Stream, r.StreamSeq = "EVENTS", seq
		value, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Receipts.Put(t.Context(), consumer.ReceiptKey("c", "e", Source, "EVENTS", seq)+more, value); err != nil {
			t.Fatal(err)
		}
	}
	mustBe := func(name string, want consumer.Outcome) {
		t.Helper()
		if r, err := s.Fate(t.Context(), "e"); r.Outcome != want || err != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	mustBe("none", "")
	put(9, consumer.Receipt{Outcome: consumer.Skipped}, ".dry")
	mustBe("a dry run's", "")
	put(1, consumer.Receipt{Outcome: consumer.DeadLettered}, "")
	mustBe("final", consumer.DeadLettered)
	put(sent.Seq, consumer.Receipt{Outcome: consumer.Pending, StreamTime: m.Time}, "")
	mustBe("a later one", consumer.Pending)
	put(sent.Seq, consumer.Receipt{Outcome: consumer.Pending, StreamTime: m.Time.Add(-time.Hour)}, "")
	mustBe("of another stream", "")
	put(sent.Seq, consumer.Receipt{Outcome: consumer.Pending, StreamTime: m.Time}, "")
	if err := s.Events.DeleteMsg(t.Context(), sent.Seq); err != nil {
		t.Fatal(err)
	}
	mustBe("of a deleted message", "")
	put(sent.Seq, consumer.Receipt{Outcome: consumer.Warm, StreamTime: m.Time}, "")
	mustBe("final, of a deleted message", consumer.Warm)
	if _, err := s.Receipts.PutString(t.Context(), consumer.ReceiptKey("c", "e", Source, "EVENTS", 11), "{"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fate(t.Context(), "e"); err == nil {
		t.Error("a receipt that cannot be read is taken for none")
	}
}
