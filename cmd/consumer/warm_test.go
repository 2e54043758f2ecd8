package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/prestage"
)

// shell is a LOTA with a bucket, and the environment of somebody who uses it.
type shell struct {
	sim     *lotasim.Sim
	store   *lotasim.Catalogue
	environ []string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	credentials(t)
	store := lotasim.NewCatalogue(lotasim.CatalogueOptions{
		Credentials: []lotasim.Credential{{AccessKeyID: "AKIATEST", SecretAccessKey: "hush"}},
	})
	sim, err := lotasim.New(lotasim.Fast(), store.Backends())
	if err != nil {
		t.Fatal(err)
	}
	server, err := lotasim.Listen(t.Context(), sim, lotasim.Addrs{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); sim.Close() })
	store.Put("ckpt", "run/a", 5_000_000)
	store.Put("ckpt", "run/b", 6_000_000)
	store.Put("ckpt", "run/small", 1000)
	store.Put("ckpt", "other", 5_000_000)
	return &shell{sim: sim, store: store, environ: []string{"LOTA_DIAL=" + server.LOTAAddr()}}
}

// credentials are in the process's own environment, where the AWS SDK reads them.
func credentials(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_REGION", "US-EAST-04A")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
}

// ranged is how many ranged HEADs have arrived.
func (s *shell) ranged() int {
	return s.sim.Count(lotasim.Filter{Method: "HEAD", Range: "bytes=0-0"})
}

func (s *shell) run(stdin string, environ []string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, world{
		environ: append(environ, s.environ...), stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs,
	})
	return code, out.String(), errs.String()
}

func TestPlan(t *testing.T) {
	s := newShell(t)
	code, stdout, stderr := s.run("", nil, "plan", "s3://ckpt/run/")
	want := `fill "s3://ckpt/run/a" (5000000 bytes)
fill "s3://ckpt/run/b" (6000000 bytes)
skip "s3://ckpt/run/small" (1000 bytes): too_small
s3://ckpt/run/: 3 objects, 11001000 bytes; 1 skipped: too_small
tier cost: $0 if all of it is hot already, at most $0.0002 over 30 days if all of it is cold (prices of 2025-10-31)
`
	if code != exitDone || stderr != "" {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Error(diff)
	}

	code, stdout, _ = s.run("", nil, "plan", "--output", "json", "s3://ckpt/run/")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var sum plannedSummary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil || code != exitDone || len(lines) != 4 {
		t.Fatalf("exit %d, %v: %s", code, err, stdout)
	}
	if sum.Objects != 3 || sum.FillBytes != 11_000_000 || sum.Skipped["too_small"] != 1 {
		t.Errorf("summary %+v", sum)
	}

	// Nobody tells the size of a single object: the store is asked.
	_, stdout, _ = s.run("", nil, "plan", "s3://ckpt/run/a", "s3://ckpt/run/small")
	want = `fill "s3://ckpt/run/a" (5000000 bytes)
skip "s3://ckpt/run/small" (1000 bytes): too_small
2 objects: 2 objects, 5001000 bytes; 1 skipped: too_small
tier cost: $0 if all of it is hot already, at most $0.0001 over 30 days if all of it is cold (prices of 2025-10-31)
`
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Error(diff)
	}
	if code, _, stderr := s.run("", nil, "plan", "s3://ckpt/nothing"); code != exitFailed || !strings.Contains(stderr, "404") {
		t.Errorf("a missing object: exit %d, %q", code, stderr)
	}

	// The store will not say: nor do we.
	if _, err := s.sim.AddRule(lotasim.Rule{Match: lotasim.Match{Key: "run/b"}, Do: lotasim.AnswerStatus, Status: 403}); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr = s.run("", nil, "plan", "s3://ckpt/run/a", "s3://ckpt/run/b"); code != exitFailed || !strings.Contains(stderr, "not all of it could be looked at: head") || !strings.Contains(stdout, "tier cost: unknown, since the size of 1 objects is") || !strings.Contains(stdout, "forbidden") {
		t.Errorf("a size that is not known: exit %d, %q, %s", code, stderr, stdout)
	}
	if _, stdout, _ = s.run("", nil, "plan", "--output", "json", "s3://ckpt/run/b"); !strings.Contains(stdout, `"unsized":1`) || !strings.Contains(stdout, `"max_tier_cost_usd":null`) {
		t.Errorf("a size that is not known: %s", stdout)
	}

	if code, _, stderr := s.run("", nil, "plan", "s3://ckpt/nothing/"); code != exitFailed {
		t.Errorf("an empty prefix: exit %d, %q", code, stderr)
	}
	if n := s.ranged(); n != 0 {
		t.Errorf("%d ranged HEADs were sent", n)
	}
}

func TestWarm(t *testing.T) {
	s := newShell(t)
	code, stdout, stderr := s.run("s3://ckpt/other\n\ncw://ckpt/run/a\n", nil, "warm", "-", "s3://ckpt/run/")
	if code != exitDone || stderr != "" {
		t.Fatalf("exit %d, %q, %q", code, stdout, stderr)
	}
	for _, key := range []string{"run/a", "run/b", "other"} {
		if !s.sim.Truth("ckpt", key).Cached {
			t.Errorf("%s is not cached", key)
		}
	}
	if s.sim.Truth("ckpt", "run/small").RangedHeads != 0 {
		t.Error("the small one was asked for")
	}
	if n := s.ranged(); n != 3 {
		t.Errorf("%d ranged HEADs, want one for each large object", n)
	}
	if !strings.Contains(stdout, "2 objects: warm (accepted): 2 filled") ||
		!strings.Contains(stdout, "s3://ckpt/run/: warm (accepted): 1 filled, 1 already warm, 1 skipped, 0 failed") {
		t.Errorf("said %s", stdout)
	}
}

func TestWarmDryRunSendsNothing(t *testing.T) {
	s := newShell(t)
	code, stdout, _ := s.run("", nil, "warm", "--dry-run", "--whole-bucket", "s3://ckpt/")
	if code != exitDone || !strings.Contains(stdout, "4 objects, 16001000 bytes") || s.ranged() != 0 {
		t.Errorf("exit %d, %d ranged HEADs: %s", code, s.ranged(), stdout)
	}
}

func TestWarmFails(t *testing.T) {
	s := newShell(t)
	code, stdout, stderr := s.run("", nil, "warm", "--output", "json", "s3://ckpt/missing", "s3://ckpt/run/a")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	oneLine(t, stderr, "1 of 1 targets failed")
	var r receipt
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	want := prestage.Counts{Total: 2, Filled: 1, Failed: 1}
	if r.Outcome != "failed" || r.Reason != "not_found" || r.Objects != want || len(r.Failures) != 1 {
		t.Errorf("receipt %+v", r)
	}
	for _, tt := range []struct{ uri, want string }{
		{"s3://ckpt/", "--whole-bucket"},
		{"/tmp/x", "URI 1: not an object URI"},
		{"-", "standard input named no URI"},
	} {
		code, _, stderr := s.run("", nil, "warm", tt.uri)
		if code != exitUsage {
			t.Errorf("%s: exit %d", tt.uri, code)
		}
		oneLine(t, stderr, tt.want)
	}
	if code, _, _ := s.run("", []string{"PRESTAGE_BUCKETS=other"}, "warm", "s3://ckpt/run/a"); code != exitFailed {
		t.Errorf("a bucket outside: exit %d", code)
	}
}

// With NATS_URL the ledger is the daemon's, and --force looks past it.
func TestWarmWithLedger(t *testing.T) {
	s := newShell(t)
	ns := natstest.Start(t)
	kv, err := ns.JetStream(t).CreateKeyValue(t.Context(), dedupe.BucketConfig(3600e9, 1))
	if err != nil {
		t.Fatal(err)
	}
	environ := []string{"NATS_URL=" + ns.URL()}
	for i, tt := range []struct {
		args   []string
		ranged int
	}{
		{[]string{"warm", "s3://ckpt/run/"}, 2},
		{[]string{"warm", "s3://ckpt/run/"}, 2},
		{[]string{"warm", "--force", "s3://ckpt/run/"}, 4},
	} {
		if code, stdout, stderr := s.run("", environ, tt.args...); code != exitDone {
			t.Fatalf("exit %d, %q, %q", code, stdout, stderr)
		}
		if n := s.ranged(); n != tt.ranged {
			t.Errorf("after call %d: %d ranged HEADs, want %d", i+1, n, tt.ranged)
		}
	}
	ledger := dedupe.NewKV(ns.JetStream(t), kv, "default", dedupe.KVOptions{})
	rec, err := ledger.Get(t.Context(), object.Ref{Bucket: "ckpt", Key: "run/a"})
	if err != nil || rec.Size != 5_000_000 {
		t.Errorf("on record: %+v, %v", rec, err)
	}

	if err := ns.JetStream(t).DeleteKeyValue(t.Context(), dedupe.Bucket); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := s.run("", environ, "warm", "s3://ckpt/run/")
	if code != exitFailed {
		t.Errorf("without the bucket: exit %d", code)
	}
	oneLine(t, stderr, jetstream.ErrBucketNotFound.Error())
}

func TestByteText(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 5 << 40: "5.0 TiB"} {
		if got := byteText(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestTierCost(t *testing.T) {
	t.Parallel()
	// 1 TiB: 7 days hot and 23 warm instead of 30 cold.
	if got := fmt.Sprintf("%.2f", tierCost(1<<40)); got != "22.53" {
		t.Errorf("1 TiB costs $%s", got)
	}
}

// TestForgottenSlash: who names a directory like an object is told, and nothing of
// it is filled.
func TestForgottenSlash(t *testing.T) {
	s := newShell(t)
	for _, args := range [][]string{{"plan", "s3://ckpt/run"}, {"warm", "s3://ckpt/run"}, {"warm", "--dry-run", "s3://ckpt/run", "s3://ckpt/none"}} {
		if code, stdout, stderr := s.run("", nil, args...); code != exitFailed || !strings.Contains(stdout+stderr, "did you mean s3://ckpt/run/?") {
			t.Errorf("%q: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
	if n := s.ranged(); n != 1 {
		t.Errorf("%d ranged HEADs, want the one of the key that was named", n)
	}
}

// TestHostileKeys: nothing of a key reaches the terminal as it is.
func TestHostileKeys(t *testing.T) {
	s := newShell(t)
	s.store.Put("ckpt", "evil/\u009b31m\u202e\x7f", 5_000_000)
	for _, args := range []string{
		"plan", "plan --output=json", "plan --explain", "warm --dry-run", "warm --dry-run --output=json", "warm", "warm --output=json",
	} {
		code, stdout, stderr := s.run("", nil, append(strings.Fields(args), "s3://ckpt/evil/", "s3://ckpt/evil/\u009b31m\u202e\x7f")...)
		if code != exitDone {
			t.Errorf("%s: exit %d, %s", args, code, stderr)
		}
		for _, c := range stdout + stderr {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Errorf("%s prints %q: %q", args, c, stdout+stderr)
				break
			}
		}
	}
}
