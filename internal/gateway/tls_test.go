package gateway

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prestage/prestage/internal/natstest"
)

// TestTLSIsReadAgain renews a certificate under the gateway, its two files one
// after the other.
func TestTLSIsReadAgain(t *testing.T) {
	t.Parallel()
	authority := natstest.NewAuthority(t)
	oldCert, oldKey := authority.Issue(t)
	newCert, newKey := authority.Issue(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	move := func(from, to string) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	of := func(cert, key string) []byte {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Certificate[0]
	}
	was, now := of(oldCert, oldKey), of(newCert, newKey)
	move(oldCert, cert)
	move(oldKey, key)
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		c, err := NewTLS(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		want := func(when string, der []byte) {
			t.Helper()
			pair, err := c.GetCertificate(&tls.ClientHelloInfo{})
			if err != nil || !bytes.Equal(pair.Certificate[0], der) {
				t.Errorf("%s: another certificate, or %v", when, err)
			}
		}
		want("at first", was)
		move(newCert, cert)
		time.Sleep(lookEvery)
		want("a certificate without its key", was)
		time.Sleep(lookEvery)
		want("and still", was)
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d complaints, want 1:\n%s", n, &log)
		}
		move(newKey, key)
		time.Sleep(lookEvery)
		want("the pair", now)
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		want("without a key", now)
	})
}

func TestTLSRefuses(t *testing.T) {
	t.Parallel()
	authority := natstest.NewAuthority(t)
	cert, key := authority.Issue(t)
	_, other := authority.Issue(t)
	for name, files := range map[string][2]string{
		"another's key":   {cert, other},
		"the other way":   {key, cert},
		"no certificate":  {filepath.Join(t.TempDir(), "none"), key},
		"no key":          {cert, filepath.Join(t.TempDir(), "none")},
		"not even a file": {cert, t.TempDir()},
	} {
		if _, err := NewTLS(files[0], files[1], slog.New(slog.DiscardHandler)); err == nil || strings.Contains(err.Error(), "-----") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
