package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestRules: what the file says is filled, in the cluster that it says, and a
// file that changes counts while the program runs.
func TestRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	path := filepath.Join(t.TempDir(), "rules.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(`
rules:
  - {name: urgent, match: {subjects: [events.model.published]}, min_bytes: 0}
  - {name: east, match: {prefixes: [east/]}, clusters: [us-east]}
  - {name: whole, match: {buckets: [hot-bucket]}, whole_bucket: true}
  - {name: rest, exclude: ["*.opt"], max_bytes: 20000000}
`)
	east := w.run(t, "PRESTAGE_CLUSTER=us-east", "PRESTAGE_RULES="+path)
	w.run(t, "PRESTAGE_CLUSTER=us-west", "PRESTAGE_RULES="+path)

	w.put("run/a", "run/b.opt", "east/a", "east/b")
	w.store.Put(bucket, "run/huge", 2*large+1)
	w.store.Put(bucket, "tiny", 10)
	w.store.Put("hot-bucket", "a", large)
	in := func(cluster string, s sent) sent {
		s.cluster = cluster
		return s
	}
	prefix := w.checkpoint(t, "prefix", map[string]any{"uri": uri("run/"), "complete": true})
	fanned := w.checkpoint(t, "fanned", map[string]any{"uri": uri("east/"), "complete": true})
	whole := w.checkpoint(t, "whole", map[string]any{"uri": "s3://hot-bucket/", "complete": true})
	refused := w.checkpoint(t, "refused", map[string]any{"uri": "s3://ckpt/", "complete": true})
	m := nats.NewMsg(modelSubject + ".llm")
	m.Data = fmt.Appendf(nil, `{"uri":%q}`, uri("tiny"))
	seq := w.publish(t, m)
	model := sent{id: fmt.Sprintf("EVENTS/%d", seq), seq: seq}

	for _, cluster := range []string{"us-east", "us-west"} {
		if r := w.ends(t, in(cluster, prefix), "warm"); r.Objects != (counts{Total: 3, Filled: 1, Skipped: 2}) {
			t.Errorf("%s: the prefix has %+v", cluster, r.Objects)
		}
		w.ends(t, in(cluster, whole), "warm")
		w.ends(t, in(cluster, model), "warm")
		if r := w.ends(t, in(cluster, refused), "dead_lettered"); r.Reason != "unsupported" {
			t.Errorf("%s: a whole bucket that no rule allows is %s", cluster, r.Reason)
		}
	}
	w.ends(t, in("us-east", fanned), "warm")
	if r := w.ends(t, in("us-west", fanned), "skipped"); r.Reason != "excluded" || r.Objects != (counts{Total: 1, Skipped: 1}) {
		t.Errorf("the event for another cluster: %s, %+v", r.Reason, r.Objects)
	}
	want := once("east/a", "east/b")
	for _, key := range []string{"run/a", "a", "tiny"} {
		want[key] = 2 // both clusters
	}
	w.lota.mustHaveAsked(t, want)
	for rules, code := range map[string]int{path: 0, "": 2} {
		publish := launch(t, raceBuild, w.environ(t, "PRESTAGE_CLUSTER=us-east", "PRESTAGE_RULES="+rules), "publish", "s3://hot-bucket/", "--wait", "--timeout=2m")
		if got := publish.wait(t); got != code {
			t.Errorf("a whole bucket, published with the rules %q: exit code %d, %s", rules, got, publish.stderr.String())
		}
	}

	write("rules: [{name: broken, lane: fast}]")
	eventually(t, "the broken file is refused", func() error {
		if v := east.metric(t, "prestage_rules_refused"); v != 1 {
			return fmt.Errorf("prestage_rules_refused is %v", v)
		}
		return nil
	})
	w.put("run/c.opt")
	after := w.checkpoint(t, "after", map[string]any{"uri": uri("run/c.opt")})
	if r := w.ends(t, in("us-east", after), "skipped"); r.Reason != "excluded" {
		t.Errorf("with a broken file: %s", r.Reason)
	}
	write("rules: []")
	eventually(t, "the new file is read", func() error {
		if n := len(east.logged("rules read again")); n != 1 {
			return fmt.Errorf("logged %d times", n)
		}
		return nil
	})
	w.ends(t, in("us-east", w.checkpoint(t, "later", map[string]any{"uri": uri("run/c.opt")})), "warm")
	if n := len(east.logged("rules not read again, the old ones stay")); n != 1 || east.metric(t, "prestage_rules_refused") != 0 {
		t.Errorf("%d warnings", n)
	}
}
