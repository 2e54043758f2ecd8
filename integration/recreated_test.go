package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStreamMadeAnew deletes the stream and uses it again: the same names, and
// the same sequences. The records of the old messages stand in nobody's way.
func TestStreamMadeAnew(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"under the running program": true, "while the program is down": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			p := w.run(t)
			first := w.warmAndMalformed(t)

			if !running {
				p.stop(t)
			}
			if err := w.js.DeleteStream(t.Context(), "EVENTS"); err != nil {
				t.Fatal(err)
			}
			if !running {
				w.run(t)
			}
			w.streamIsBack(t)
			second := w.warmAndMalformed(t)

			for i := range first {
				if first[i].StreamSeq != second[i].StreamSeq || !second[i].StreamTime.After(first[i].StreamTime) {
					t.Errorf("receipt of %s/%d is followed by that of %s/%d, want the same sequence and a later time",
						first[i].StreamTime, first[i].StreamSeq, second[i].StreamTime, second[i].StreamSeq)
				}
			}
			w.lota.mustHaveAsked(t, map[string]int{"last.ckpt": 2})
			good, bad := sent{cluster: "default", seq: 1}, sent{cluster: "default", seq: 2}
			want := map[string]uint64{good.subject("warmed"): 2, bad.subject("failed"): 2}
			if diff := cmp.Diff(want, w.subjects(t, resultsStream)); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]uint64{bad.subject("dlq"): 2}, w.subjects(t, lettersStream)); diff != "" {
				t.Errorf("dead letters (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStreamMadeAnewDuringAFill deletes the stream while its messages are in
// hand, as many as one lane takes, so that only the other lane can notice. What
// comes of them must not be told to the new stream, whose message of the same
// sequence has an end of its own; nor are they waited for.
func TestStreamMadeAnewDuringAFill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, synchronous)
	w.put("last.ckpt")
	hold := w.lota.holdFills(t)
	w.run(t, "PRESTAGE_DRAIN_TIMEOUT=10m")
	first := w.object(t, "event-1", "last.ckpt")
	for i := 2; i <= 64; i++ {
		w.object(t, fmt.Sprintf("event-%d", i), "last.ckpt")
	}
	w.held(t, 64)
	w.lota.filling(t, 1)
	if err := w.js.DeleteStream(t.Context(), "EVENTS"); err != nil {
		t.Fatal(err)
	}
	w.streamIsBack(t)

	etag := w.store.Put(bucket, "last.ckpt", large)
	second := w.object(t, "event-1", "last.ckpt")
	if second != first {
		t.Fatalf("the new stream has %+v, want what the old one had: %+v", second, first)
	}
	w.lota.filling(t, 2) // the old version's, which nobody waits for, and the new one's
	stored := w.storedAt(t, second.seq)
	w.stillInHand(t, second, time.Second)
	hold.Release()

	if r := w.ends(t, second, "warm"); !r.StreamTime.Equal(stored.Time) || r.Attempts != 1 {
		t.Errorf("receipt is of %s after %d attempts, want %s after 1", r.StreamTime, r.Attempts, stored.Time)
	}
	w.settled(t)
	w.lota.mustHave(t, "last.ckpt", etag)
	if diff := cmp.Diff(map[string]uint64{second.subject("warmed"): 1}, w.subjects(t, resultsStream)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// TestStoreDeleted deletes what the program writes to, with work in hand. It
// makes it anew and goes on.
func TestStoreDeleted(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{resultsStream, lettersStream, "KV_" + receiptsBucket, "KV_prestage_objects"} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, synchronous)
			w.put("last.ckpt", "next.ckpt")
			hold := w.lota.holdFills(t)
			p := w.run(t)
			events := []sent{w.object(t, "in-hand", "last.ckpt")}
			w.held(t, 1)
			if err := w.js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			hold.Release()
			bad := w.checkpoint(t, "bad", map[string]any{"uri": "not a URI"})
			events = append(events, w.object(t, "after", "next.ckpt"))
			eventually(t, "/readyz tells of it", func() error {
				status, body, err := p.get(t, "/readyz")
				if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "deleted: ") {
					return fmt.Errorf("%d %q %w", status, body, err)
				}
				return nil
			})
			p.ready(t)
			info := w.settled(t)
			if info.NumRedelivered > 0 {
				t.Errorf("%d messages were given back", info.NumRedelivered)
			}
			for _, s := range events {
				w.ends(t, s, "warm")
				w.last(t, resultsStream, s.subject("warmed"))
			}
			w.ends(t, bad, "dead_lettered")
			w.letter(t, bad)
			w.last(t, resultsStream, bad.subject("failed"))
			w.lota.mustHaveAsked(t, once("last.ckpt", "next.ckpt"))
		})
	}
}

// TestReceiptOfAnotherIncarnation finds final receipts where those of the stream's
// messages belong, written for messages of another time: the stream was made
// anew or restored from a backup, or its server's clock was set back.
func TestReceiptOfAnotherIncarnation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("a.ckpt", "b.ckpt")
	w.run(t).stop(t)
	kv, err := w.js.KeyValue(t.Context(), receiptsBucket)
	if err != nil {
		t.Fatal(err)
	}
	var events []sent
	for key, off := range map[string]time.Duration{"a.ckpt": -time.Hour, "b.ckpt": time.Hour} {
		s := w.object(t, key, key)
		other := fmt.Sprintf(`{"event_id":%q,"source":%q,"cluster":"default","outcome":"dead_lettered","reason":"not_found","stream":"EVENTS","stream_seq":%d,"stream_time":%q}`,
			s.id, s.source, s.seq, stamp(w.storedAt(t, s.seq).Time.Add(off)))
		if _, err := kv.PutString(t.Context(), s.key(), other); err != nil {
			t.Fatal(err)
		}
		events = append(events, s)
	}
	w.run(t)
	w.settled(t)
	for _, s := range events {
		stored := w.storedAt(t, s.seq)
		if r := w.ends(t, s, "warm"); !r.StreamTime.Equal(stored.Time) || r.Attempts != 1 {
			t.Errorf("receipt of %s is of %s after %d attempts, want %s after 1", s.id, r.StreamTime, r.Attempts, stored.Time)
		}
	}
	w.lota.mustHaveAsked(t, once("a.ckpt", "b.ckpt"))
}

// streamIsBack waits until the program has made stream and durables anew.
func (w *world) streamIsBack(t *testing.T) {
	t.Helper()
	eventually(t, "the stream is there again", func() error {
		_, err := w.js.Consumer(t.Context(), "EVENTS", checkpointDurable)
		return err
	})
}

// warmAndMalformed publishes the first two messages of a stream and waits for
// the end of both.
func (w *world) warmAndMalformed(t *testing.T) []receipt {
	t.Helper()
	etag := w.store.Put(bucket, "last.ckpt", large)
	events := []sent{
		w.object(t, "good", "last.ckpt"),
		w.checkpoint(t, "bad", map[string]any{"uri": "not a URI"}),
	}
	var out []receipt
	for i, outcome := range []string{"warm", "dead_lettered"} {
		if events[i].seq != uint64(i+1) {
			t.Fatalf("event %s has the sequence %d, want %d", events[i].id, events[i].seq, i+1)
		}
		stored := w.storedAt(t, events[i].seq)
		r := w.until(t, events[i], outcome+" in this stream", func(r receipt) bool {
			return r.Outcome == outcome && r.StreamTime.Equal(stored.Time)
		})
		out = append(out, r)
	}
	w.settled(t)
	w.lota.mustHave(t, "last.ckpt", etag)
	letter := w.letter(t, events[1])
	if got := letter.Header.Get("Prestage-Time"); got != stamp(out[1].StreamTime) {
		t.Errorf("the latest letter is of %s, want %s", got, stamp(out[1].StreamTime))
	}
	if t.Failed() {
		t.FailNow()
	}
	return out
}
