package integration_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// rubbish is what a test fills a stream with.
const rubbish = 64 << 10

// TestFull has each of the places that the program writes to be full, and refuse.
// It waits or goes on without, as promised, and says which.
func TestFull(t *testing.T) {
	t.Parallel()
	for stream, tt := range map[string]struct {
		subject string // of what it is full of
		held    int    // how many of three good events and a bad one wait
		says    string
	}{
		"KV_" + receiptsBucket: {"$KV." + receiptsBucket + ".rubbish.>", 4, "maximum bytes exceeded"},
		"KV_prestage_objects":  {"$KV.prestage_objects.rubbish.>", 0, "ledger has no room for a record, going on without it"},
		resultsStream:          {"prestage.warmed.rubbish.>", 0, "result not stored"},
		lettersStream:          {"prestage.dlq.rubbish.>", 1, "dead letter not stored"},
	} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.run(t).stop(t) // makes the stream as it should be
			s, err := w.js.Stream(t.Context(), stream)
			if err != nil {
				t.Fatal(err)
			}
			c := s.CachedInfo().Config
			c.MaxBytes, c.Discard = 2*rubbish, jetstream.DiscardNew
			if _, err := w.js.UpdateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			w.fill(t, tt.subject)

			p := w.run(t)
			good := w.load(t, 0, 3)
			bad := w.checkpoint(t, "bad", map[string]any{"uri": "not a URI"})
			p.says(t, tt.says)
			w.held(t, tt.held)
			w.staysCalm(t, p, 5*time.Second)
			w.held(t, tt.held)

			if err := s.Purge(t.Context(), jetstream.WithPurgeSubject(tt.subject)); err != nil {
				t.Fatal(err)
			}
			// A letter is tried again after seconds.
			for end := time.Now().Add(patience); w.durable(t, checkpointDurable).NumAckPending > 0 && time.Now().Before(end); {
				time.Sleep(100 * time.Millisecond)
			}
			w.settled(t)
			for _, e := range good {
				w.ends(t, e, "warm")
			}
			w.ends(t, bad, "dead_lettered")
			w.letter(t, bad)
			w.lota.mustHaveAsked(t, once("run-7/shard-000.pt", "run-7/shard-001.pt", "run-7/shard-002.pt"))
			for subject, n := range w.subjects(t, resultsStream) {
				if n != 1 {
					t.Errorf("%d results on %s", n, subject)
				}
			}
		})
	}
}

// fill publishes below subject, which ends in ".>", in smaller and smaller pieces
// until nothing more is taken.
func (w *world) fill(t *testing.T, subject string) {
	t.Helper()
	taken := 0
	for size := rubbish; size > 0; {
		_, err := w.js.Publish(t.Context(), strings.Replace(subject, ">", strconv.Itoa(taken), 1), make([]byte, size))
		var api *jetstream.APIError
		switch {
		case err == nil:
			taken++
		case errors.As(err, &api):
			size /= 2
		default:
			t.Fatal(err)
		}
	}
	if taken == 0 {
		t.Fatalf("%s took nothing", subject)
	}
}
