package rules

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLive: a new file counts, a broken one does not, and a warning says so once.
func TestLive(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rules: [{name: first}]")
	var log bytes.Buffer
	l, err := Open(path, anyBucket, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		change            func()
		wantRule, wantErr string
		wantLines         int
	}{
		{func() {}, "first", "", 0},
		{func() { write("rules: [{name: second}]") }, "second", "", 1},
		{func() { write("rules: [{name: third, lane: up}]") }, "second", `"up": want model or checkpoint`, 2},
		{func() { write("rules: [{name: third, lane: down}]") }, "second", `"down": want model or checkpoint`, 3},
		{func() { remove(t, path) }, "second", "no such file or directory", 4},
		{func() { write("") }, "", "", 5},
		{func() { write("rules: [{name: third, lane: up}]") }, "", `"up": want model or checkpoint`, 6},
		{func() { write("") }, "", "", 7}, // as it was
	} {
		step.change()
		for range 3 { // seen three times, told once
			l.look(t.Context())
		}
		if got := l.Set().For("", "a", "b").Name; got != step.wantRule {
			t.Errorf("step %d: rule %q, want %q", i, got, step.wantRule)
		}
		if err := l.Err(); (err == nil) != (step.wantErr == "") || (err != nil && !strings.HasSuffix(err.Error(), step.wantErr)) {
			t.Errorf("step %d: error %v, want %q", i, err, step.wantErr)
		}
		if got := strings.Count(log.String(), "\n"); got != step.wantLines {
			t.Errorf("step %d: %d lines, want %d: %s", i, got, step.wantLines, log.String())
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestLiveWaitsForTheWriter: half of a file is no file, even if it is legal.
func TestLiveWaitsForTheWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	l := &Live{path: path, allow: anyBucket, log: slog.New(slog.DiscardHandler)}
	l.now.Store(&loaded{set: &Set{Rules: []Rule{{Name: "old"}}}})
	for _, step := range []struct{ file, want string }{
		{"", "old"}, {"rules: [{name: a}]", "old"}, {"rules: [{name: new}]", "old"}, {"rules: [{name: new}]", "new"},
	} {
		if err := os.WriteFile(path, []byte(step.file), 0o600); err != nil {
			t.Fatal(err)
		}
		l.look(t.Context())
		if got := l.Set().For("", "a", "b").Name; got != step.want {
			t.Errorf("after %q: rule %q, want %q", step.file, got, step.want)
		}
	}
}

// TestWatch: two looks after a change it counts.
func TestWatch(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(path, anyBucket, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			l.Watch(ctx)
			close(done)
		}()
		if err := os.WriteFile(path, []byte("rules: [{name: new}]"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*lookEvery + 1)
		if got := l.Set().For("", "a", "b").Name; got != "new" {
			t.Errorf("rule %q", got)
		}
		cancel()
		<-done
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	none, err := Open("", anyBucket, slog.New(slog.DiscardHandler))
	if err != nil || none.Set() != nil || none.Err() != nil {
		t.Errorf("no file: %v, %v", none, err)
	}
	none.Watch(t.Context())
	if l, err := Open(filepath.Join(t.TempDir(), "none"), anyBucket, slog.New(slog.DiscardHandler)); err == nil || l != nil {
		t.Errorf("a missing file: %v, %v", l, err)
	}
}
