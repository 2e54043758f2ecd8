package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/reconcile"
)

func TestReconcileUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args    []string
		environ []string
		want    string
	}{
		{nil, nil, "name URIs"},
		{[]string{"--mlflow=some"}, nil, "--mlflow"},
		{[]string{"--mlflow=all"}, nil, "set MLFLOW_TRACKING_URI"},
		{[]string{"--mlflow=all"}, []string{"MLFLOW_TRACKING_URI=databricks"}, "MLFLOW_TRACKING_URI"},
		{[]string{"s3://ckpt/a", "--mlflow-workspace=team-a"}, nil, "--mlflow-workspace"},
		{[]string{"s3://ckpt/"}, nil, "whole bucket"},
		{[]string{"/tmp/x"}, nil, "not an object URI"},
		{[]string{"s3://id:hush@ckpt/a"}, nil, "credentials"},
		{[]string{"--from-list=" + filepath.Join(t.TempDir(), "none")}, nil, "--from-list: open"},
		{[]string{"s3://ckpt/a", "--older-than=-1h"}, nil, "--older-than"},
		{[]string{"s3://ckpt/a", "--max-events=0"}, nil, "--max-events"},
		{[]string{"s3://ckpt/a", "--timeout=0s"}, nil, "--timeout"},
		{[]string{"s3://ckpt/a", "--kind=other"}, nil, "--kind"},
		{[]string{"s3://ckpt/a", "--subject=a b"}, nil, "cannot be published to"},
		{[]string{"s3://ckpt/a"}, []string{"PRESTAGE_CHECKPOINT_SUBJECTS=a.*"}, "--subject"},
		{[]string{"s3://ckpt/a"}, []string{"PRESTAGE_MIN_BYTES=few"}, "PRESTAGE_MIN_BYTES"},
	} {
		code, stdout, stderr := program(tt.environ, append([]string{"reconcile"}, tt.args...)...)
		if code != exitUsage || stdout != "" {
			t.Errorf("%q: exit %d, %q", tt.args, code, stdout)
		}
		oneLine(t, stderr, tt.want)
	}
}

// TestReconcile reads the store of post, which has one version of any object.
func TestReconcile(t *testing.T) {
	p := newPost(t)
	js := p.srv.JetStream(t)
	reconcileIt := func(args ...string) (int, string, string) {
		return program(p.environ, append([]string{"reconcile", "s3://ckpt/a"}, args...)...)
	}
	code, stdout, stderr := reconcileIt()
	if code != exitFailed || stdout != "" {
		t.Errorf("no stream: exit %d, %q", code, stdout)
	}
	oneLine(t, stderr, "start prestage run once")

	newEvents(t, js)
	for _, tt := range []struct {
		args []string
		code int
		want []string // of standard output
	}{
		{[]string{"--dry-run"}, exitDone, []string{"missing s3://ckpt/a: nothing is on record\n1 missing\n", "tier cost: $0 if"}},
		{[]string{"--dry-run", "--output=json"}, exitDone, []string{`"state":"missing","size":10000000`, `"dry_run":true,"max_tier_cost_usd":0.0`}},
		{nil, exitDone, []string{"published s3://ckpt/a as EVENTS/1: nothing is on record\n1 published\n"}},
		{[]string{"--kind=model"}, exitDone, []string{"in_stream s3://ckpt/a as EVENTS/1", "1 in_stream\n"}},
		{[]string{"s3://elsewhere/b", "s3://ckpt/c"}, exitFailed, []string{"failed s3://elsewhere/b: bucket_not_allowed", "1 published, 1 in_stream, 1 failed\n"}},
	} {
		code, stdout, stderr := program(append(p.environ, "PRESTAGE_BUCKETS=ckpt"), append([]string{"reconcile", "s3://ckpt/a"}, tt.args...)...)
		if code != tt.code || (stderr == "") != (code == exitDone) {
			t.Errorf("%q: exit %d, %q", tt.args, code, stderr)
		}
		for _, want := range tt.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%q: %q does not say %q", tt.args, stdout, want)
			}
		}
	}
	s, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.GetMsg(t.Context(), 1); err != nil || m.Subject != "events.checkpoint.written.reconcile" || s.CachedInfo().State.Msgs != 2 {
		t.Errorf("%+v, %v, %d messages", m, err, s.CachedInfo().State.Msgs)
	}

	p.status.Store(503) // for ever
	code, _, stderr = reconcileIt("--timeout=300ms")
	if code != exitTimeout {
		t.Errorf("a store that is down: exit %d", code)
	}
	oneLine(t, stderr, "not done after 300ms; call it again")
}

// TestURIList: one request for each prefix, and for each lot of one bucket.
func TestURIList(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for n := range lotSize + 1 {
		fmt.Fprintf(&text, "s3://ckpt/%d\n", n)
	}
	text.WriteString("\n  s3://ckpt/run/ \nnonsense\ns3://ckpt/\ns3://other/a\ns3://ckpt/a\n")
	file := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{file, "-"} {
		l, err := newURIList([]string{"s3://ckpt/named"}, from, strings.NewReader(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		var got, failed []string
		err = l.each(func(r prestage.Request) (bool, error) {
			got = append(got, title(r))
			return true, nil
		}, func(line, _ string) error {
			failed = append(failed, line)
			return nil
		})
		want := []string{"1000 objects", "s3://ckpt/run/", "2 objects", "s3://other/a", "s3://ckpt/a"}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v, %s", err, diff)
		}
		if len(failed) != 2 || !strings.HasSuffix(failed[0], ":1004") || !strings.HasSuffix(failed[1], ":1005") {
			t.Errorf("failed: %q", failed)
		}
	}
	broken := errors.New("broken")
	for name, use := range map[string]func(prestage.Request) (bool, error){
		"enough": func(prestage.Request) (bool, error) { return false, nil },
		"broken": func(prestage.Request) (bool, error) { return false, broken },
	} {
		calls := 0
		l, err := newURIList([]string{"s3://ckpt/a/"}, "-", strings.NewReader("s3://ckpt/b/\n"))
		if err != nil {
			t.Fatal(err)
		}
		err = l.each(func(r prestage.Request) (bool, error) { calls++; return use(r) }, nil)
		if calls != 1 || (err != nil) != (name == "broken") {
			t.Errorf("%s: %d calls, %v", name, calls, err)
		}
	}
	l, err := newURIList(nil, "-", strings.NewReader(strings.Repeat("x", 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.each(nil, nil); err == nil || !strings.Contains(err.Error(), "standard input") {
		t.Errorf("an endless line: %v", err)
	}
}

func TestReconcileTell(t *testing.T) {
	t.Parallel()
	f := reconcile.Finding{
		URI: "s3://ckpt/" + hostile, State: reconcile.Incomplete, Reason: "incomplete", Why: "less\x1b[0m", Newest: time.Now().Add(-3 * time.Hour),
	}
	for output, want := range map[string]string{"text": "nothing new for 3h\n", "json": `"newest":`} {
		var out bytes.Buffer
		if err := (reconcileCmd{Output: output}).tell(&out, f); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%v, %q", err, out.String())
		}
		if text := out.String(); strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\x1b\u009b\u202e\x00\n\r") {
			t.Errorf("%q would act on a terminal", text)
		}
	}
}
