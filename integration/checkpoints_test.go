package integration_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

// notice publishes what MinIO would tell of a key.
func (w *world) notice(t *testing.T, event, key string) sent {
	t.Helper()
	m := nats.NewMsg("events.object.created")
	m.Data = fmt.Appendf(nil,
		`{"EventName":"s3:%s","Key":%q,"Records":[{"eventVersion":"2.0","eventSource":"minio:s3","eventName":"s3:%s","s3":{"bucket":{"name":%q},"object":{"key":%q}}}]}`,
		event, bucket+"/"+key, event, bucket, url.QueryEscape(key))
	seq := w.publish(t, m)
	return sent{cluster: "default", id: fmt.Sprintf("EVENTS/%d", seq), seq: seq}
}

// TestCheckpointByItsMarker: the notice of what a writer writes, or removes, last
// brings what no notice told of, and nothing twice.
func TestCheckpointByItsMarker(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		keys, texts []string
		told        string // the one object whose notice came
		event, last string
		want        counts
		asked       []string // besides the first two keys
	}{
		"dcp, by a copy": {
			keys: []string{"run 7/step-100/__0_0.distcp", "run 7/step-100/__1_0.distcp", "run 7/step-1000/__0_0.distcp"}, texts: []string{"run 7/step-100/.metadata"},
			told: "run 7/step-100/__0_0.distcp", event: "ObjectCreated:Copy", last: "run 7/step-100/.metadata",
			// A notice without a size: the marker itself is asked for, too.
			want: counts{Total: 3, Filled: 2, AlreadyWarm: 1}, asked: []string{"run 7/step-100/.metadata"},
		},
		"nemo2, by a removal": {
			keys: []string{"r/ck/weights/__0_0.distcp", "r/ck/weights/__1_0.distcp"}, texts: []string{"r/ck/weights/.metadata", "r/ck/context/io.json"},
			told: "r/ck/weights/__1_0.distcp", event: "ObjectRemoved:Delete", last: "r/ck-unfinished",
			want: counts{Total: 4, Filled: 1, AlreadyWarm: 1, Skipped: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.put(tt.keys...)
			for _, key := range tt.texts {
				w.store.PutBytes(bucket, key, []byte("x"))
			}
			w.run(t)
			w.ends(t, w.notice(t, "ObjectCreated:Put", tt.told), "warm")
			r := w.ends(t, w.notice(t, tt.event, tt.last), "warm")
			if diff := cmp.Diff(tt.want, r.Objects); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			again := w.ends(t, w.notice(t, tt.event, tt.last), "warm")
			if again.Objects.Filled != 0 {
				t.Errorf("once more: %+v", again.Objects)
			}
			w.lota.mustHaveAsked(t, once(append(tt.asked, tt.keys[:2]...)...))
		})
	}
}

// TestRemovalsThatCompleteNothing are acknowledged, and so is one of a checkpoint
// that is gone.
func TestRemovalsThatCompleteNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("r/ck/weights/__0_0.distcp")
	w.run(t)
	for _, key := range []string{"r/ck/weights/__1_0.distcp", "r/ck-unfinished", "r/other-unfinished"} {
		if r := w.ends(t, w.notice(t, "ObjectRemoved:Delete", key), "skipped"); r.Reason != "not_actionable" || r.Objects != (counts{}) {
			t.Errorf("%s: %+v", key, r)
		}
	}
	w.lota.mustHaveAsked(t, map[string]int{})
}

// TestHalfWrittenCheckpoint: whoever says that it is written is told what is
// missing; temporary names are never asked for.
func TestHalfWrittenCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("r/step-100/__0_0.distcp", "r/step-100/x.tmp", "r/iter_0000100/mp_rank_00/model_optim_rng.pt")
	w.store.PutBytes(bucket, "r/latest_checkpointed_iteration.txt", []byte("99\n"))
	w.run(t, "PRESTAGE_MAX_ATTEMPTS=1")
	for prefix, missing := range map[string]string{
		"r/step-100/": "r/step-100/.metadata", "r/iter_0000100/": "iter_0000099",
	} {
		r := w.ends(t, w.checkpoint(t, prefix, map[string]any{"uri": uri(prefix)}), "dead_lettered")
		if r.Reason != "incomplete" || !strings.Contains(r.Error, missing) || r.Objects.Filled != 1 {
			t.Errorf("%s: %+v", prefix, r)
		}
	}
	w.lota.mustHaveAsked(t, once("r/step-100/__0_0.distcp", "r/iter_0000100/mp_rank_00/model_optim_rng.pt"))

	// A statement outranks what keys suggest, but not a format that is named.
	stated := map[string]any{"uri": uri("r/step-100/"), "complete": true}
	w.ends(t, w.checkpoint(t, "stated", stated), "warm")
	stated["format"] = "dcp"
	if r := w.ends(t, w.checkpoint(t, "stated and named", stated), "dead_lettered"); r.Reason != "incomplete" {
		t.Errorf("stated and named: %+v", r)
	}

	w.mustPlan(t, "r/step-100/", `a checkpoint of format dcp, "r/step-100/.metadata" is missing`)
	w.mustPlan(t, "r/step-100/", `"layout":"dcp","complete":false`, "--output=json")
	w.store.PutBytes(bucket, "r/step-100/.metadata", []byte("x"))
	w.mustPlan(t, "r/step-100/", "a checkpoint of format dcp, complete\n")
	w.mustPlan(t, "r/step-100/", `"layout":"dcp","complete":true`, "--output=json")
}

func (w *world) mustPlan(t *testing.T, prefix, want string, flags ...string) {
	t.Helper()
	if code, stdout, stderr := finish(t, raceBuild, w.environ(t), append([]string{"plan", uri(prefix)}, flags...)...); code != 0 || !strings.Contains(stdout, want) {
		t.Errorf("plan exits %d: %s%s, want %q", code, stdout, stderr, want)
	}
}

// TestAtomicCheckpoint: where a rule says so nothing of a checkpoint is filled
// before all of it is there, and of that what the rule keeps.
func TestAtomicCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	text := `rules: [{name: serving, match: {prefixes: [r/]}, policy: atomic, keep: serve}]`
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(t, "PRESTAGE_RULES="+rules, "PRESTAGE_MAX_ATTEMPTS=1")

	const (
		first, second, optimizer = "r/checkpoint-5/model-00001-of-00002.safetensors", "r/checkpoint-5/model-00002-of-00002.safetensors", "r/checkpoint-5/optimizer.pt"
		state                    = "r/checkpoint-5/trainer_state.json"
	)
	w.put(first, optimizer)
	w.store.PutBytes(bucket, state, []byte("{}"))
	for key, reason := range map[string]string{first: "awaits_marker", state: "awaits_marker", optimizer: "excluded"} {
		if r := w.ends(t, w.notice(t, "ObjectCreated:Put", key), "skipped"); r.Reason != reason {
			t.Errorf("%s: %+v", key, r)
		}
	}
	if r := w.ends(t, w.checkpoint(t, "too soon", map[string]any{"uri": uri("r/checkpoint-5/"), "complete": true}), "dead_lettered"); r.Reason != "incomplete" {
		t.Errorf("too soon: %+v", r)
	}
	w.lota.mustHaveAsked(t, map[string]int{})

	w.put(second)
	r := w.ends(t, w.notice(t, "ObjectCreated:Put", second), "warm")
	w.lota.mustHaveAsked(t, once(first, second))
	if r.Objects.Filled != 2 || r.Objects.Failed != 0 {
		t.Errorf("counts of the last shard's notice: %+v", r.Objects)
	}
	if r := w.ends(t, w.checkpoint(t, "written", map[string]any{"uri": uri("r/checkpoint-5/")}), "warm"); r.Objects.Filled != 0 || r.Objects.AlreadyWarm != 2 {
		t.Errorf("counts of the event after it: %+v", r.Objects)
	}
}
