package integration_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSupersede lets events gather before the program comes: two runs that share
// a subject, one that rolled back on a subject of its own, and events that name
// no run. LOTA's history tells what was asked for.
func TestSupersede(t *testing.T) {
	t.Parallel()
	for setting, superseded := range map[string]bool{"PRESTAGE_SUPERSEDE=true": true, "PRESTAGE_SUPERSEDE=false": false} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			var keys []string
			written := func(subject, run string, step int) sent {
				key := fmt.Sprintf("%s/step-%d.pt", run, step)
				if run == "" {
					key = fmt.Sprintf("norun/%d.pt", step)
				}
				keys = append(keys, key)
				w.put(key)
				data := map[string]any{"uri": uri(key), "step": step}
				if run != "" {
					data["run"] = run
				}
				id := fmt.Sprintf("%s-%s-%d", subject, run, step)
				m := checkpointEvent(t, id, data)
				m.Subject = checkpointSubject + "." + subject
				return sent{cluster: "default", id: id, source: source, seq: w.publish(t, m)}
			}
			w.run(t).stop(t) // makes the stream

			fates := map[sent]bool{} // superseded?
			fates[written("own", "run-7", 100)] = superseded
			fates[written("own", "run-7", 200)] = superseded
			fates[written("own", "run-7", 50)] = false // rolled back: the newest, whatever its step
			fates[written("shared", "run-8", 1)] = false
			fates[written("shared", "run-9", 1)] = superseded
			fates[written("shared", "run-8", 2)] = false
			fates[written("shared", "run-9", 2)] = false
			fates[written("none", "", 1)] = false
			fates[written("none", "", 2)] = false
			w.run(t, setting)

			want := map[string]int{}
			for s, skipped := range fates {
				if skipped {
					if r := w.ends(t, s, "skipped"); r.Reason != "superseded" {
						t.Errorf("%s is skipped as %q", s.id, r.Reason)
					}
				} else {
					w.ends(t, s, "warm")
				}
			}
			for s, skipped := range fates {
				if !skipped {
					want[keys[s.seq-1]]++
				}
			}
			w.settled(t)
			w.lota.mustHaveAsked(t, want)
			if diff := cmp.Diff(len(want), len(w.subjects(t, resultsStream))); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
		})
	}
}
