package integration_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	resultsStream  = "PRESTAGE_RESULTS"
	lettersStream  = "PRESTAGE_DLQ"
	receiptsBucket = "prestage_receipts"

	checkpointDurable = "prestage-default-checkpoint"
	modelDurable      = "prestage-default-model"
)

// receipt is what the contract says that a receipt is.
type receipt struct {
	EventID   string `json:"event_id"`
	Source    string `json:"source"`
	Cluster   string `json:"cluster"`
	Outcome   string `json:"outcome"`
	Reason    string `json:"reason"`
	Would     string `json:"would"`
	Verdict   string `json:"verdict"`
	Objects   counts `json:"objects"`
	Bytes     int64  `json:"bytes"`
	Confirmed *struct {
		Sampled int `json:"sampled"`
		Of      int `json:"of"`
	} `json:"confirmed"`
	EventTime  time.Time `json:"event_time"`
	Received   time.Time `json:"received"`
	WarmAt     time.Time `json:"warm_at"`
	Seconds    float64   `json:"event_to_warm_seconds"`
	Attempts   int       `json:"attempts"`
	Stream     string    `json:"stream"`
	StreamSeq  uint64    `json:"stream_seq"`
	StreamTime time.Time `json:"stream_time"`
	Error      string    `json:"error"`
	Failures   []struct {
		URI   string `json:"uri"`
		Error string `json:"error"`
	} `json:"failures"`

	revision uint64
}

type counts struct {
	Total       int `json:"total"`
	Filled      int `json:"filled"`
	AlreadyWarm int `json:"already_warm"`
	Skipped     int `json:"skipped"`
	Failed      int `json:"failed"`
}

// key is where the receipt of an event is, as the contract says.
func (s sent) key() string {
	return fmt.Sprintf("%s.%x.%x.EVENTS.%d", s.cluster, sha256.Sum256([]byte(s.id)), sha256.Sum256([]byte(s.source)), s.seq)
}

// subject is where a letter or result of an event is: kind is dlq, warmed or failed.
func (s sent) subject(kind string) string {
	return fmt.Sprintf("prestage.%s.%s.EVENTS.%d", kind, s.cluster, s.seq)
}

// receipt reads the receipt of an event. There may be none yet.
func (w *world) receipt(t *testing.T, s sent) (receipt, bool) {
	t.Helper()
	kv, err := w.js.KeyValue(t.Context(), receiptsBucket)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(t.Context(), s.key())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return receipt{}, false
	}
	if err != nil {
		t.Fatalf("receipt of %s: %v", s.id, err)
	}
	return readReceipt(t, entry), true
}

func readReceipt(t *testing.T, entry jetstream.KeyValueEntry) receipt {
	t.Helper()
	r := receipt{revision: entry.Revision()}
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		t.Fatalf("receipt %s: %v", entry.Key(), err)
	}
	return r
}

// receipts reads all of them.
func (w *world) receipts(t *testing.T) []receipt {
	t.Helper()
	var out []receipt
	for _, entry := range w.entries(t, receiptsBucket) {
		out = append(out, readReceipt(t, entry))
	}
	return out
}

// entries reads a whole KV bucket.
func (w *world) entries(t *testing.T, name string) []jetstream.KeyValueEntry {
	t.Helper()
	kv, err := w.js.KeyValue(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := kv.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watcher.Stop() }()
	var out []jetstream.KeyValueEntry
	for entry := range watcher.Updates() {
		if entry == nil { // that was all
			break
		}
		out = append(out, entry)
	}
	return out
}

// until waits for a receipt that ok accepts.
func (w *world) until(t *testing.T, s sent, what string, ok func(receipt) bool) receipt {
	t.Helper()
	var r receipt
	eventually(t, fmt.Sprintf("the receipt of %s is %s", s.id, what), func() error {
		var found bool
		if r, found = w.receipt(t, s); !found || !ok(r) {
			return fmt.Errorf("found %t: %+v", found, r)
		}
		return nil
	})
	return r
}

// final waits for the final receipt.
func (w *world) final(t *testing.T, s sent) receipt {
	t.Helper()
	return w.until(t, s, "final", func(r receipt) bool { return r.Outcome != "" && r.Outcome != "pending" })
}

// ends waits for the final receipt, which must say outcome.
func (w *world) ends(t *testing.T, s sent, outcome string) receipt {
	t.Helper()
	r := w.final(t, s)
	if r.Outcome != outcome {
		t.Fatalf("event %s ended %s, want %s: %+v", s.id, r.Outcome, outcome, r)
	}
	return r
}

// durable tells how a lane stands.
func (w *world) durable(t *testing.T, name string) *jetstream.ConsumerInfo {
	t.Helper()
	c, err := w.js.Consumer(t.Context(), "EVENTS", name)
	if err != nil {
		t.Fatalf("durable %s: %v", name, err)
	}
	return c.CachedInfo()
}

// settled waits until the checkpoint lane has nothing left to do.
func (w *world) settled(t *testing.T) *jetstream.ConsumerInfo {
	t.Helper()
	return w.settledOn(t, checkpointDurable)
}

func (w *world) settledOn(t *testing.T, name string) *jetstream.ConsumerInfo {
	t.Helper()
	var info *jetstream.ConsumerInfo
	eventually(t, name+" has settled all messages", func() error {
		info = w.durable(t, name)
		if info.NumPending > 0 || info.NumAckPending > 0 {
			return fmt.Errorf("%d not delivered, %d not acked", info.NumPending, info.NumAckPending)
		}
		return nil
	})
	return info
}

// held waits until n messages of the checkpoint lane are in hand.
func (w *world) held(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d messages are in hand", n), func() error {
		if info := w.durable(t, checkpointDurable); info.NumAckPending != n {
			return fmt.Errorf("%d are", info.NumAckPending)
		}
		return nil
	})
}

// subjects counts a stream's messages by subject.
func (w *world) subjects(t *testing.T, stream string) map[string]uint64 {
	t.Helper()
	s, err := w.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatalf("stream %s: %v", stream, err)
	}
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatalf("stream %s: %v", stream, err)
	}
	if info.State.Subjects == nil {
		return map[string]uint64{}
	}
	return info.State.Subjects
}

// last waits for a message on a subject and returns the latest.
func (w *world) last(t *testing.T, stream, subject string) *jetstream.RawStreamMsg {
	t.Helper()
	var m *jetstream.RawStreamMsg
	eventually(t, "there is a message on "+subject, func() error {
		s, err := w.js.Stream(t.Context(), stream)
		if err == nil {
			m, err = s.GetLastMsgForSubject(t.Context(), subject)
		}
		return err
	})
	return m
}

// letter waits for the dead letter of an event.
func (w *world) letter(t *testing.T, s sent) *jetstream.RawStreamMsg {
	t.Helper()
	return w.last(t, lettersStream, s.subject("dlq"))
}

// storedAt reads a message of the event stream.
func (w *world) storedAt(t *testing.T, seq uint64) *jetstream.RawStreamMsg {
	t.Helper()
	s, err := w.js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatalf("message %d: %v", seq, err)
	}
	return m
}

// stamp is how letters tell a time.
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
