package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/lotasim"
)

// distinct gives hits and misses times that no busy machine confuses.
func distinct(o *lotasim.Options) { o.Timing.BackendFirstByte = time.Second }

// neverFills is an endpoint where nothing is ever cached.
func neverFills(o *lotasim.Options) {
	distinct(o)
	o.DropProbability = 1
}

// TestProbe warms objects, in one event after another, where fills go on after the
// answer and where they end before it: what is called verified is there.
func TestProbe(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*lotasim.Options){
		"asynchronous": distinct,
		"synchronous":  func(o *lotasim.Options) { distinct(o); synchronous(o) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, change)
			p := w.run(t, "PRESTAGE_CONFIRM=probe")
			for i := range 3 {
				key := fmt.Sprintf("step-%d.ckpt", i)
				w.put(key)
				r := w.ends(t, w.object(t, key, key), "warm")
				if r.Verdict != "verified" || r.Confirmed == nil || r.Confirmed.Sampled != 1 || r.Confirmed.Of != 1 {
					t.Errorf("%s: verdict %s, confirmed %+v", key, r.Verdict, r.Confirmed)
				}
				w.lota.mustHave(t, key, "")
			}
			if _, metrics, err := p.get(t, "/metrics"); err != nil || !strings.Contains(metrics, "\nprestage_confirm_discriminates 1\n") {
				t.Errorf("the endpoint does not tell, %v", err)
			}
		})
	}
}

// TestProbeIsStrict: what never comes is a failed attempt each time, then a dead
// letter.
func TestProbeIsStrict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, neverFills)
	w.run(t, "PRESTAGE_CONFIRM=probe", "PRESTAGE_MAX_ATTEMPTS=2")
	w.put("last.ckpt")
	s := w.object(t, "lost", "last.ckpt")
	w.endsFor(t, s, "unconfirmed")
	if r := w.final(t, s); r.Attempts != 2 || r.Verdict != "" || r.Objects.Failed != 1 {
		t.Errorf("%+v", r)
	}
}

// TestAutoClaimsNothing of an endpoint that has shown nothing, and warns once.
func TestAutoClaimsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, neverFills)
	p := w.run(t)
	for _, key := range []string{"a", "b", "c"} {
		w.put(key)
		if r := w.ends(t, w.object(t, key, key), "warm"); r.Verdict != "accepted" || r.Confirmed != nil {
			t.Errorf("%s: verdict %s, confirmed %+v", key, r.Verdict, r.Confirmed)
		}
	}
	w.lota.mustHaveAsked(t, once("a", "b", "c"))
	if _, metrics, err := p.get(t, "/metrics"); err != nil || !strings.Contains(metrics, "\nprestage_confirm_discriminates 0\n") {
		t.Errorf("the endpoint is said to tell, %v", err)
	}
	if n := strings.Count(p.stderr.String(), "known as accepted only"); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
}

// TestAutoReadsLittle: at most a tenth of the requests are reads, and each object
// is asked for once.
func TestAutoReadsLittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var keys []string
	for i := range 600 {
		keys = append(keys, fmt.Sprintf("step-1/%04d.pt", i))
	}
	w.put(keys...)
	w.run(t)
	w.ends(t, w.checkpoint(t, "step-1", map[string]any{"uri": uri("step-1/"), "complete": true}), "warm")
	w.lota.mustHaveAsked(t, once(keys...))
	reads, all := 0, 0
	for _, r := range w.lota.History(lotasim.Filter{}) {
		all++
		if r.Method == "GET" && r.Range != "" {
			reads++
		}
	}
	if 10*reads > all {
		t.Errorf("%d of %d requests are reads", reads, all)
	}
	if reads == 0 {
		t.Error("nothing was read to learn from")
	}
}
