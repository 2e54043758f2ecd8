package integration_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
)

// reconciled is what the command prints in JSON.
type reconciled struct {
	findings []finding
	summary  struct {
		Objects map[string]int `json:"objects"`
		Bytes   int64          `json:"bytes"`
		Stopped bool           `json:"stopped"`
		Cost    *float64       `json:"max_tier_cost_usd"`
	}
	code   int
	stderr string
}

type finding struct {
	URI     string `json:"uri"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
	Why     string `json:"why"`
	EventID string `json:"event_id"`
	Seq     uint64 `json:"stream_seq"`
}

func read(t *testing.T, p *program) reconciled {
	t.Helper()
	r := reconciled{code: p.wait(t), stderr: p.stderr.String()}
	lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
	for n, line := range lines {
		var f finding
		var to any = &f
		if n == len(lines)-1 {
			to = &r.summary
		}
		if err := json.Unmarshal([]byte(line), to); err != nil {
			t.Fatalf("line %d: %v: %q; exit code %d, standard error %q", n+1, err, line, r.code, r.stderr)
		}
		r.findings = append(r.findings, f)
	}
	r.findings = r.findings[:len(lines)-1]
	return r
}

// reconcile makes a pass to its end and compares the objects by state.
func (w *world) reconcile(t *testing.T, want map[string]int, args ...string) reconciled {
	t.Helper()
	r := read(t, launch(t, raceBuild, w.environ(t), append([]string{"reconcile", "--output=json"}, args...)...))
	if diff := cmp.Diff(want, r.summary.Objects); diff != "" || (r.code != 0) != (want["failed"] > 0) {
		t.Errorf("%q: exit code %d, objects by state (-want +got):\n%s%s", args, r.code, diff, r.stderr)
	}
	return r
}

// warms waits for the events of a pass.
func (w *world) warms(t *testing.T, r reconciled) {
	t.Helper()
	for _, f := range r.findings {
		if f.State == "published" {
			w.ends(t, sent{cluster: "default", id: f.EventID, source: "/prestage/reconcile", seq: f.Seq}, "warm")
		}
	}
	w.settled(t)
}

// TestReconcile follows a prefix of which one object had an event.
func TestReconcile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("run-7/told.pt", "run-7/untold 1.pt", "run-7/untold-2.pt", "alone.pt")
	w.store.Put(bucket, "run-7/index.json", small)
	w.run(t, "PRESTAGE_BUCKETS="+bucket)
	w.ends(t, w.object(t, "told", "run-7/told.pt"), "warm")
	w.settled(t)
	prefix, alone := uri("run-7/"), uri("alone.pt")

	// What would be: three objects, nothing is published.
	dry := w.reconcile(t, map[string]int{"missing": 3, "warm": 1, "skipped": 1}, prefix, alone, "--dry-run")
	if s := dry.summary; s.Bytes != 3*large || s.Cost == nil || *s.Cost <= 0 {
		t.Errorf("a dry run's summary: %+v", s)
	}
	w.lota.mustHaveAsked(t, once("run-7/told.pt"))

	first := w.reconcile(t, map[string]int{"published": 3, "warm": 1, "skipped": 1}, prefix, alone)
	w.warms(t, first)
	all := []string{"run-7/told.pt", "run-7/untold 1.pt", "run-7/untold-2.pt", "alone.pt"}
	w.lota.mustHaveAsked(t, once(all...))
	if dry.findings[0].EventID != first.findings[0].EventID {
		t.Errorf("the event %s has the id %s in a dry run", first.findings[0].EventID, dry.findings[0].EventID)
	}

	// Nothing more is missing, until an object is overwritten.
	w.reconcile(t, map[string]int{"warm": 4, "skipped": 1}, prefix, alone)
	etag := w.store.Put(bucket, "run-7/told.pt", large)
	over := w.reconcile(t, map[string]int{"published": 1, "warm": 3, "skipped": 1}, prefix, alone)
	if !strings.Contains(over.findings[0].Why, "overwritten") {
		t.Errorf("%+v", over.findings)
	}
	w.warms(t, over)
	w.lota.mustHave(t, "run-7/told.pt", etag)
	w.reconcile(t, map[string]int{"warm": 4, "skipped": 1}, prefix, alone)

	// What was filled before now is filled once more, once.
	since := time.Now()
	eventually(t, "a second has passed", func() error {
		if d := time.Since(since); d < time.Second {
			return fmt.Errorf("only %s", d)
		}
		return nil
	})
	older := "--older-than=" + time.Since(since).String()
	again := w.reconcile(t, map[string]int{"published": 4, "skipped": 1}, prefix, alone, older)
	w.warms(t, again)
	w.reconcile(t, map[string]int{"warm": 4, "skipped": 1}, prefix, alone, "--older-than=1h")
	want := map[string]int{"run-7/told.pt": 3, "run-7/untold 1.pt": 2, "run-7/untold-2.pt": 2, "alone.pt": 2}
	w.lota.mustHaveAsked(t, want)
}

// TestReconcileTwice makes passes at once, while two replicas fill, and kills
// one of them.
func TestReconcileTwice(t *testing.T) {
	t.Parallel()
	const objects = 200
	w := newWorld(t, nil)
	var keys []string
	for n := range objects {
		keys = append(keys, fmt.Sprintf("run-7/shard-%03d.pt", n))
	}
	w.put(keys...)
	w.run(t)
	w.run(t)
	before := w.messages(t)
	var passes []*program
	for range 3 {
		passes = append(passes, launch(t, raceBuild, w.environ(t), "reconcile", "--output=json", uri("run-7/")))
	}
	eventually(t, "a first event is published", func() error {
		if n := w.messages(t); n == before {
			return fmt.Errorf("%d messages", n)
		}
		return nil
	})
	passes[0].kill(t)
	for _, p := range passes[1:] {
		if r := read(t, p); r.code != 0 || r.summary.Objects["failed"] > 0 {
			t.Errorf("exit code %d: %+v", r.code, r.summary)
		}
	}
	w.settled(t)
	w.reconcile(t, map[string]int{"warm": objects}, uri("run-7/"))
	w.lota.mustHaveAsked(t, once(keys...))
	if n := w.messages(t) - before; n != objects {
		t.Errorf("%d events for %d objects", n, objects)
	}
}

// messages counts those of the stream of events.
func (w *world) messages(t *testing.T) uint64 {
	t.Helper()
	s, err := w.js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// TestReconcileTells looks at what a pass leaves alone, and says so.
func TestReconcileTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("a.pt", "b.pt", "c.pt", "m/model-00001.safetensors")
	w.store.PutBytes(bucket, "m/model.safetensors.index.json",
		[]byte(`{"weight_map":{"x":"model-00001.safetensors","y":"model-00002.safetensors"}}`))
	w.run(t, "PRESTAGE_MAX_ATTEMPTS=1").stop(t)

	// Stored and not begun: only the stream knows, in its window.
	w.reconcile(t, map[string]int{"published": 1}, uri("a.pt"))
	w.reconcile(t, map[string]int{"in_stream": 1, "published": 1}, uri("a.pt"), uri("b.pt"), "--max-events=1")
	hold, err := w.lota.Hold(lotasim.Match{Ranged: true})
	if err != nil {
		t.Fatal(err)
	}
	daemon := w.run(t, "PRESTAGE_MAX_ATTEMPTS=1")
	w.held(t, 2)
	hold.Release()
	w.settled(t)

	// A bounded pass, and the next one.
	w.put("d/1", "d/2", "d/3")
	if r := w.reconcile(t, map[string]int{"published": 2}, uri("d/"), "--max-events=2"); !r.summary.Stopped {
		t.Error("it does not say that it stopped")
	} else {
		w.warms(t, r)
	}
	w.warms(t, w.reconcile(t, map[string]int{"published": 1, "warm": 2}, uri("d/"), "--max-events=2"))

	// An event that was dead-lettered is not published again for that version.
	daemon.stop(t)
	r := w.reconcile(t, map[string]int{"published": 1}, uri("c.pt"), "--kind=model")
	daemon = w.run(t, "PRESTAGE_BUCKETS=other")
	dead := sent{cluster: "default", id: r.findings[0].EventID, source: "/prestage/reconcile", seq: r.findings[0].Seq}
	w.ends(t, dead, "dead_lettered")
	w.settled(t)
	daemon.stop(t)
	if r := w.reconcile(t, map[string]int{"dead_lettered": 1}, uri("c.pt")); r.findings[0].Reason != "bucket_not_allowed" {
		t.Errorf("%+v", r.findings)
	}
	w.put("c.pt")
	w.reconcile(t, map[string]int{"published": 1}, uri("c.pt"))

	// What is wrong is told, and holds up nothing.
	w.put("dcp/step-1/__0_0.distcp")
	r = w.reconcile(t, map[string]int{"incomplete": 2, "published": 2, "skipped": 1, "failed": 2, "warm": 1},
		uri("m/"), uri("dcp/step-1/"), uri("nothing/"), uri("a.pt"), uri("gone.pt"))
	for prefix, missing := range map[string]string{"m/": "model-00002.safetensors", "dcp/step-1/": ".metadata"} {
		i := slices.IndexFunc(r.findings, func(f finding) bool { return f.State == "incomplete" && f.URI == uri(prefix) })
		if i < 0 || !strings.Contains(r.findings[i].Why, missing) {
			t.Errorf("%s: %+v", prefix, r.findings)
		}
	}
}
