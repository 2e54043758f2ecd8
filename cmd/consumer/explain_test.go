package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someRules = `
rules:
  - name: models
    match: {subjects: [events.model.published]}
    lane: model
  - name: no-b
    match: {buckets: [ckpt], prefixes: [run/]}
    exclude: [b]
    min_bytes: 0
`

// rulesFile is the setting of a rules file that holds text.
func rulesFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "PRESTAGE_RULES=" + path
}

func TestPlanExplains(t *testing.T) {
	s := newShell(t)
	env := []string{rulesFile(t, someRules)}
	code, stdout, stderr := s.run("", env, "plan", "--explain", "s3://ckpt/run/", "s3://ckpt/other")
	want := `fill "s3://ckpt/other" (5000000 bytes); no rule
s3://ckpt/other: 1 objects, 5000000 bytes
tier cost: $0 if all of it is hot already, at most $0.0001 over 30 days if all of it is cold (prices of 2025-10-31)
fill "s3://ckpt/run/a" (5000000 bytes); rule "no-b"
skip "s3://ckpt/run/b" (6000000 bytes): excluded; rule "no-b", in exclude: b
fill "s3://ckpt/run/small" (1000 bytes); rule "no-b"
s3://ckpt/run/: rule "models" does not match: subject
s3://ckpt/run/: rule "no-b" matches: exclude: [b], min_bytes: 0
s3://ckpt/run/: 3 objects, 11001000 bytes; 1 skipped: excluded
tier cost: $0 if all of it is hot already, at most $0.0001 over 30 days if all of it is cold (prices of 2025-10-31)
`
	if code != exitDone || stderr != "" {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Error(diff)
	}

	_, stdout, _ = s.run("", env, "plan", "--explain", "--output", "json", "--subject", "events.model.published.x", "s3://ckpt/run/")
	for _, part := range []string{
		`{"uri":"s3://ckpt/run/b","size":6000000,"action":"fill","rule":"models"}`,
		`"explain":["rule \"models\" matches: lane: model"]`,
	} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%s is not in %s", part, stdout)
		}
	}
	if _, stdout, _ = s.run("", nil, "plan", "--explain", "s3://ckpt/run/"); !strings.Contains(stdout, "no rules file: the defaults hold") {
		t.Errorf("without a file: %s", stdout)
	}
}

// TestWarmByRules: what a rule leaves out is not asked for.
func TestWarmByRules(t *testing.T) {
	s := newShell(t)
	code, stdout, _ := s.run("", []string{rulesFile(t, someRules)}, "warm", "s3://ckpt/run/")
	if code != exitDone || !strings.Contains(stdout, "2 filled, 0 already warm, 1 skipped") {
		t.Errorf("exit %d: %s", code, stdout)
	}
	if s.sim.Truth("ckpt", "run/b").RangedHeads != 0 || s.ranged() != 2 {
		t.Errorf("%d ranged HEADs, of the excluded one %d", s.ranged(), s.sim.Truth("ckpt", "run/b").RangedHeads)
	}
}

// TestPlanOfSources: what a registry names is planned where a source says it is.
func TestPlanOfSources(t *testing.T) {
	s := newShell(t)
	env := []string{rulesFile(t, `
sources:
  huggingface: [{repo: "acme/*", ref: "*", uri: "s3://ckpt/{ref}/"}]
  wandb: [{collection: run, uri: "s3://ckpt/{collection}/{version}"}]
`)}
	code, stdout, stderr := s.run("", env, "plan", "hf://acme/llm@run", "wandb://run:a")
	for _, want := range []string{
		`hf://acme/llm@run is s3://ckpt/run/, found by sources.huggingface[0] of the rules file`,
		`fill "s3://ckpt/run/b" (6000000 bytes)`,
		`wandb://run:a is s3://ckpt/run/a, found by sources.wandb[0] of the rules file`,
	} {
		if code != exitDone || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("exit %d, %q: %q is not in %s", code, stderr, want, stdout)
		}
	}
	for _, uri := range []string{"hf://other/x", "wandb://x:y", "oci://ml/x@sha256:y"} {
		code, _, stderr := s.run("", env, "plan", uri)
		if code != exitFailed {
			t.Errorf("%s: exit %d", uri, code)
		}
		oneLine(t, stderr, "PRESTAGE_RULES")
	}
}
