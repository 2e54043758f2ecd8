package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestEndpointDown takes LOTA away from a busy program, for ten seconds or, with
// INTEGRATION_LONG=1, for a minute. It waits.
func TestEndpointDown(t *testing.T) {
	t.Parallel()
	down := 10 * time.Second
	if os.Getenv("INTEGRATION_LONG") == "1" {
		down = time.Minute
	}
	w, p := busy(t)
	events := w.load(t, 0, 100)
	eventually(t, "some objects were asked for", func() error {
		if n := len(w.lota.asked()); n < 20 {
			return fmt.Errorf("%d were", n)
		}
		return nil
	})
	w.lota.server.StopLOTA()
	events = append(events, w.load(t, 100, 200)...)
	eventually(t, "/readyz tells of the outage", func() error {
		status, body, err := p.get(t, "/readyz")
		if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "LOTA endpoint") {
			return fmt.Errorf("%d %q %w", status, body, err)
		}
		return nil
	})
	throughout(t, down, func() {
		if status, body, err := p.get(t, "/readyz"); err != nil || status != http.StatusServiceUnavailable {
			t.Errorf("/readyz is %d %q, error %v", status, body, err)
		}
	})
	for _, r := range w.receipts(t) {
		if r.Outcome == "dead_lettered" || (r.Outcome == "pending" && r.Attempts > 0) {
			t.Errorf("during the outage a receipt says %+v", r)
		}
	}
	if got := p.metric(t, "prestage_endpoint_up"); got != 0 {
		t.Errorf("prestage_endpoint_up is %v during the outage", got)
	}
	if err := w.lota.server.StartLOTA(t.Context()); err != nil {
		t.Fatal(err)
	}

	w.allWarmOnce(t, events)
	p.ready(t)
	if got := w.subjects(t, lettersStream); len(got) > 0 {
		t.Errorf("dead letters: %v", got)
	}
}

// TestNATSRestart takes NATS away from a busy program.
func TestNATSRestart(t *testing.T) {
	t.Parallel()
	w, p := busy(t)
	events := w.load(t, 0, 100)
	eventually(t, "some objects were asked for", func() error {
		if n := len(w.lota.asked()); n < 20 {
			return fmt.Errorf("%d were", n)
		}
		return nil
	})
	w.nats.Stop()
	eventually(t, "/readyz tells of the outage", func() error {
		status, body, err := p.get(t, "/readyz")
		if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "nats") {
			return fmt.Errorf("%d %q %w", status, body, err)
		}
		return nil
	})
	w.nats.Restart(t)
	p.ready(t)
	events = append(events, w.load(t, 100, 200)...)

	w.allWarmOnce(t, events)
}

// busy runs a program that fills some 100 objects a second at most, so that it
// has work in hand for a while.
func busy(t *testing.T) (*world, *program) {
	t.Helper()
	w := newWorld(t, nil)
	rule := lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.Latency, For: 200 * time.Millisecond}
	if _, err := w.lota.AddRule(rule); err != nil {
		t.Fatal(err)
	}
	return w, w.run(t, "PRESTAGE_CONCURRENCY=20")
}

// load publishes events about objects of their own.
func (w *world) load(t *testing.T, from, to int) []sent {
	t.Helper()
	var events []sent
	for i := from; i < to; i++ {
		key := fmt.Sprintf("run-7/shard-%03d.pt", i)
		w.put(key)
		events = append(events, w.object(t, fmt.Sprintf("event-%d", i), key))
	}
	return events
}

// allWarmOnce waits for the events' objects to be warm, each after one attempt
// and with one result.
func (w *world) allWarmOnce(t *testing.T, events []sent) {
	t.Helper()
	want := make(map[string]uint64)
	for _, s := range events {
		if r := w.ends(t, s, "warm"); r.Attempts != 1 {
			t.Errorf("event %s took %d attempts, want 1", s.id, r.Attempts)
		}
		want[s.subject("warmed")] = 1
	}
	w.settled(t)
	if diff := cmp.Diff(want, w.subjects(t, resultsStream)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if got := len(w.lota.Objects()); got != len(events) {
		t.Errorf("%d objects are cached, want %d", got, len(events))
	}
}
