package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/natstest"
)

// TestGone has events about objects that are not there. Those that are older
// than an hour are not waited for: trainers delete old checkpoints.
func TestGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("there.ckpt")
	old, young := time.Now().Add(-2*time.Hour), time.Now().Add(-50*time.Minute)
	var events []sent
	var msgs []natstest.Dated
	for i, e := range []struct {
		key string
		at  time.Time
	}{{"deleted.ckpt", old}, {"deleted/", old}, {"there.ckpt", old}, {"late.ckpt", young}} {
		s := sent{cluster: "default", id: fmt.Sprintf("event-%d", i), source: source, seq: uint64(i + 1)}
		events = append(events, s)
		msgs = append(msgs, natstest.Dated{Msg: checkpointEvent(t, s.id, map[string]any{"uri": uri(e.key)}), Time: e.at})
	}
	w.nats.CreateDated(t, "EVENTS", "events", msgs...)
	w.run(t)

	for _, s := range events[:2] {
		r := w.ends(t, s, "skipped")
		if r.Reason != "gone" || r.Attempts != 1 || !r.StreamTime.Equal(old) {
			t.Errorf("event %s of %s ended as %q after %d attempts, want gone after 1 of %s", s.id, r.StreamTime, r.Reason, r.Attempts, old)
		}
		if diff := cmp.Diff(counts{Total: 1, Skipped: 1}, r.Objects); diff != "" {
			t.Errorf("counts of %s (-want +got):\n%s", s.id, diff)
		}
	}
	w.ends(t, events[2], "warm")
	w.until(t, events[3], "pending", func(r receipt) bool { return r.Outcome == "pending" && r.Attempts > 0 })
	w.put("late.ckpt")
	w.ends(t, events[3], "warm")
	w.settled(t)
	w.lota.mustHaveAsked(t, map[string]int{"deleted.ckpt": 1, "there.ckpt": 1, "late.ckpt": w.lota.asked()["late.ckpt"]})
	if got := w.subjects(t, lettersStream); len(got) > 0 {
		t.Errorf("dead letters: %v", got)
	}
}
