package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
)

// archived has run/b of a shell in STANDARD_IA.
func archived(t *testing.T) *shell {
	t.Helper()
	s := newShell(t)
	if !s.store.Archive("ckpt", "run/b") {
		t.Fatal("nothing to archive")
	}
	return s
}

func TestPlanOfAnArchive(t *testing.T) {
	s := archived(t)
	const story = "STANDARD_IA: 1 objects of it, 5.7 MiB. Filling them costs no retrieval fee by default and changes no tier; " +
		"it may come from another data center, and it is not documented that LOTA keeps them\n"
	for name, args := range map[string][]string{
		"plan":           {"plan", "s3://ckpt/run/"},
		"warm --dry-run": {"warm", "--dry-run", "s3://ckpt/run/"},
		"by a HEAD":      {"plan", "s3://ckpt/run/a", "s3://ckpt/run/b"},
	} {
		code, stdout, _ := s.run("", nil, args...)
		if code != exitDone || !strings.HasSuffix(stdout, story) || !strings.Contains(stdout, `fill "s3://ckpt/run/b" (6000000 bytes, STANDARD_IA)`) ||
			!strings.Contains(stdout, "at most $0.0001") { // of run/a alone
			t.Errorf("%s: exit %d\n%s", name, code, stdout)
		}
	}
	_, stdout, _ := s.run("", nil, "plan", "--output", "json", "s3://ckpt/run/")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var sum plannedSummary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil {
		t.Fatal(err)
	}
	if sum.Archived != 1 || sum.ArchBytes != 6_000_000 || sum.FillBytes != 11_000_000 || *sum.MaxTierCost != tierCost(5_000_000) ||
		strings.Count(stdout, `"storage_class":"STANDARD_IA"`) != 1 {
		t.Errorf("%s", stdout)
	}
	if n := s.ranged(); n != 0 {
		t.Errorf("%d ranged HEADs", n)
	}
}

func TestReplayDryRunOfAnArchive(t *testing.T) {
	s := archived(t)
	ns := natstest.Start(t)
	js := ns.JetStream(t)
	const subject = "events.checkpoint.written"
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{subject}}); err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{`{"uri":"s3://ckpt/run/","complete":true}`, `{"uri":"s3://ckpt/run/b"}`, `{"uri":"s3://ckpt/run/a"}`} {
		if _, err := js.Publish(t.Context(), subject, []byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"NATS_URL=" + ns.URL()}
	code, stdout, stderr := s.run("", environ, "replay", "--dry-run", "--output", "json")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var last line
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || code != exitDone {
		t.Fatalf("exit %d, %v: %s%s", code, err, stdout, stderr)
	}
	got := [4]int64{last.Filled, last.Bytes, last.Archived, last.ArchivedBytes}
	if diff := cmp.Diff([4]int64{2, 11_000_000, 1, 6_000_000}, got); diff != "" || *last.MaxTierCost != tierCost(5_000_000) {
		t.Errorf("filled and of the archive (-want +got):\n%s%s", diff, stdout)
	}
	if _, stdout, _ = s.run("", environ, "replay", "--dry-run", "--output", "text"); !strings.Contains(stdout, "STANDARD_IA: 1 objects of it, 5.7 MiB") {
		t.Errorf("%s", stdout)
	}
	if n := s.ranged(); n != 0 {
		t.Errorf("%d ranged HEADs", n)
	}
}

func TestPlanLargerThanTheCache(t *testing.T) {
	s := newShell(t)
	small := []string{"PRESTAGE_CACHE_BYTES=10MB"}
	_, stdout, _ := s.run("", small, "plan", "s3://ckpt/run/")
	if !strings.HasSuffix(stdout, "larger than the cache, which holds 9.5 MiB (PRESTAGE_CACHE_BYTES): it is refused, and nothing of it filled\n") {
		t.Errorf("%s", stdout)
	}
	code, stdout, _ := s.run("", small, "warm", "s3://ckpt/run/")
	if code != exitFailed || !strings.Contains(stdout, "unsupported: ") || !strings.Contains(stdout, "larger than the cache: 2 objects of it have 11000000 bytes, it holds 10000000") {
		t.Errorf("exit %d: %s", code, stdout)
	}
	if n := s.ranged(); n != 0 {
		t.Errorf("%d ranged HEADs", n)
	}
	if code, _, _ := s.run("", []string{"PRESTAGE_CACHE_BYTES=11MB"}, "warm", "s3://ckpt/run/"); code != exitDone || s.ranged() != 2 {
		t.Errorf("what fits: exit %d, %d ranged HEADs", code, s.ranged())
	}
}
