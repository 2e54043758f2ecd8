package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestKilledInALargeEvent kills the program in the middle of 2,000 fills. What
// was on record then is not asked for again.
func TestKilledInALargeEvent(t *testing.T) {
	t.Parallel()
	const (
		objects     = 2000
		concurrency = 50
		unconfirmed = 256 // ledger writes that a crash may lose
	)
	w := newWorld(t, nil)
	if err := w.store.AddRange(bucket, "run-7/step-100/shard-%04d.pt", objects, large); err != nil {
		t.Fatal(err)
	}
	rule := lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.Latency, For: 50 * time.Millisecond}
	if _, err := w.lota.AddRule(rule); err != nil {
		t.Fatal(err)
	}
	settings := []string{"PRESTAGE_ACK_WAIT=5s", fmt.Sprintf("PRESTAGE_CONCURRENCY=%d", concurrency)}
	first := w.run(t, settings...)
	s := w.checkpoint(t, "step-100", map[string]any{"uri": uri("run-7/step-100/"), "complete": true})
	eventually(t, "half of the objects were asked for", func() error {
		if n := w.lota.Count(lotasim.Filter{Range: "bytes=0-0"}); n < objects/2 {
			return fmt.Errorf("%d were", n)
		}
		return nil
	})
	first.kill(t)
	before := w.lota.Count(lotasim.Filter{Range: "bytes=0-0"})
	if before == objects {
		t.Fatal("the kill came too late to be in the middle of the event")
	}
	if r, found := w.receipt(t, s); found && r.Outcome != "pending" {
		t.Fatalf("the receipt says %s already", r.Outcome)
	}

	w.run(t, settings...)
	r := w.ends(t, s, "warm")
	w.settled(t)
	if r.Objects.Filled+r.Objects.AlreadyWarm != objects || r.Objects.Total != objects {
		t.Errorf("receipt's counts are %+v, want %d objects, all warm", r.Objects, objects)
	}
	if got := len(w.lota.Objects()); got != objects {
		t.Errorf("%d objects are cached, want %d", got, objects)
	}
	repeated := w.lota.Count(lotasim.Filter{Range: "bytes=0-0"}) - objects
	t.Logf("killed after %d ranged HEADs, %d were repeated", before, repeated)
	if repeated > concurrency+unconfirmed {
		t.Errorf("%d ranged HEADs were repeated, want at most the %d in flight and %d unconfirmed", repeated, concurrency, unconfirmed)
	}
	if before < objects/2+concurrency+unconfirmed && r.Objects.AlreadyWarm == 0 {
		t.Error("nothing was found on record")
	}
}

// TestKilledAtEachStep kills the program at each step of the outcome protocol.
// Whatever the step, a restart brings the event to one end.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		event string
		steps []string
	}{
		{"warm", []string{"decoded", "receipt-read", "filled", "finalised", "letter-sent", "derived"}},
		{"malformed", []string{"decoded", "receipt-read", "finalised", "letter-sent", "derived"}},
	} {
		for _, step := range tt.steps {
			t.Run(tt.event+" at "+step, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, nil)
				w.put("last.ckpt")
				doomed := launch(t, failpointBuild, w.environ(t, "PRESTAGE_ACK_WAIT=5s", "FAILPOINT="+step)).ready(t)
				data := map[string]any{"uri": uri("last.ckpt")}
				if tt.event == "malformed" {
					data = map[string]any{"uri": "not a URI"}
				}
				s := w.checkpoint(t, "event-1", data)
				if code := doomed.wait(t); code != -1 {
					t.Fatalf("exit code %d at the step, want the end by SIGKILL", code)
				}
				atDeath, found := w.receipt(t, s)
				if final := step == "finalised" || step == "letter-sent" || step == "derived"; found != final {
					t.Fatalf("there is a receipt: %t, want %t", found, final)
				}

				launch(t, failpointBuild, w.environ(t, "PRESTAGE_ACK_WAIT=5s")).ready(t)
				w.checkOneEnd(t, s, tt.event, atDeath)
			})
		}
	}
}

// checkOneEnd wants an event to have one receipt, one result and, if malformed,
// one letter. atDeath is the receipt at the crash, if there was one.
func (w *world) checkOneEnd(t *testing.T, s sent, event string, atDeath receipt) {
	t.Helper()
	outcome, asked := "warm", once("last.ckpt")
	results, letters := map[string]uint64{s.subject("warmed"): 1}, map[string]uint64{}
	if event == "malformed" {
		outcome, asked = "dead_lettered", map[string]int{}
		results, letters = map[string]uint64{s.subject("failed"): 1}, map[string]uint64{s.subject("dlq"): 1}
	}
	w.settled(t)
	r := w.ends(t, s, outcome)
	if atDeath.Outcome != "" {
		if diff := cmp.Diff(atDeath, r, cmp.AllowUnexported(receipt{})); diff != "" {
			t.Errorf("the receipt was changed after the crash (-then +now):\n%s", diff)
		}
	}
	if got := w.receipts(t); len(got) != 1 {
		t.Errorf("%d receipts, want 1: %+v", len(got), got)
	}
	if diff := cmp.Diff(results, w.subjects(t, resultsStream)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(letters, w.subjects(t, lettersStream)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	w.lota.mustHaveAsked(t, asked)
}

// TestPanic has the program panic whenever an event's objects have been filled.
// That is a failure of each such event; the program goes on.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt", "other.ckpt")
	p := launch(t, failpointBuild, w.environ(t, "FAILPOINT_PANIC=filled", "PRESTAGE_MAX_ATTEMPTS=2")).ready(t)
	events := []sent{w.object(t, "event-1", "last.ckpt"), w.object(t, "event-2", "other.ckpt")}
	for _, s := range events {
		r := w.ends(t, s, "dead_lettered")
		if r.Reason != "fill_failed" || r.Attempts != 2 || !strings.Contains(r.Error, "fail point filled") {
			t.Errorf("event %s: %s after %d attempts: %s", s.id, r.Reason, r.Attempts, r.Error)
		}
		w.checkLetter(t, s, "fill_failed", "2", nil)
	}
	w.settled(t)
	w.lota.mustHaveAsked(t, once("last.ckpt", "other.ckpt"))
	stacks := 0
	for _, line := range p.logged("panic while handling an event") {
		if stack, _ := line["stack"].(string); strings.Contains(stack, "failpoint.Hit") {
			stacks++
		}
	}
	if stacks != 4 {
		t.Errorf("%d stacks in the log, want one for each attempt", stacks)
	}
	p.stop(t)
}
