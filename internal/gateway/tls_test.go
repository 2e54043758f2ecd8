package gateway

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
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

// TestHandshakesThatFail: whoever knows no TLS must not fill the log.
func TestHandshakesThatFail(t *testing.T) {
	t.Parallel()
	cert, key := natstest.NewAuthority(t).Issue(t)
	said := &record{}
	log := slog.New(slog.NewTextHandler(said, nil))
	c, err := NewTLS(cert, key, log)
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(New(Config{Log: log, TLS: c}))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.ServeTLS(l, "", "")
	}()
	const tries = 300
	for range tries {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn) // until it has been told off
		_ = conn.Close()
	}
	_ = server.Close()
	<-served
	if n := strings.Count(said.String(), "level=WARN"); n == 0 || n > tries/2 {
		t.Errorf("%d lines for %d handshakes", n, tries)
	}
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
