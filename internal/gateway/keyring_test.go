package gateway

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKeyring(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(dir, "secrets")
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want := func(k *Keyring, secrets ...string) {
			t.Helper()
			if diff := cmp.Diff(secrets, k.Secrets(t.Context())); diff != "" {
				t.Error(diff)
			}
		}
		write("one\n two \r\n\n")
		var log strings.Builder
		k, err := NewKeyring([]string{" fixed ", ""}, file, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		want(k, "one", "two", "fixed")

		time.AfterFunc(lookEvery-settle/2, func() { write("") }) // rotated by who empties the file first
		time.AfterFunc(lookEvery+settle/2, func() { write("two\nthree") })
		time.Sleep(lookEvery)
		want(k, "two", "three", "fixed")
		write("one\n two \r\n\n")
		time.Sleep(lookEvery)
		want(k, "one", "two", "fixed")

		write("two\nthree")
		want(k, "one", "two", "fixed")
		time.Sleep(lookEvery)
		want(k, "two", "three", "fixed")

		if err := os.Remove(file); err != nil { // while it is being replaced
			t.Fatal(err)
		}
		time.Sleep(2 * lookEvery)
		want(k, "two", "three", "fixed")
		time.Sleep(2 * lookEvery)
		want(k, "two", "three", "fixed")
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d complaints, want 1:\n%s", n, &log)
		}

		write(strings.Repeat("x", maxFileBytes+1))
		time.Sleep(lookEvery)
		want(k, "two", "three", "fixed")

		write("") // withdrawn
		time.Sleep(lookEvery)
		want(k, "fixed")
		if strings.Contains(log.String(), "three") {
			t.Errorf("the log tells a secret:\n%s", &log)
		}
	})
}

func TestKeyringRefuses(t *testing.T) {
	t.Parallel()
	if _, err := NewKeyring(nil, filepath.Join(t.TempDir(), "none"), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file that does not exist is taken")
	}
	var none *Keyring
	if got := none.Secrets(t.Context()); got != nil {
		t.Errorf("got %v of no keyring", got)
	}
}
