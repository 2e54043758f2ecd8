package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Keyring holds the secrets of a route: fixed ones, and those of a file, one a
// line, which is read again while the program runs.
type Keyring struct {
	fixed []string
	file  string
	log   *slog.Logger

	mu     sync.Mutex
	text   []byte // of the file, as it was last read
	lines  []string
	looked time.Time
	broken bool // the file could not be read when last looked at
}

const (
	lookEvery    = time.Second // at the file
	maxFileBytes = 64 << 10
)

// NewKeyring returns the secrets in fixed and in file, "" for none. The file has
// to be readable now; later its last content counts for as long as it is not.
// Empty secrets are left out: they would let in whoever sends none.
func NewKeyring(fixed []string, file string, log *slog.Logger) (*Keyring, error) {
	k := &Keyring{fixed: nonEmpty(fixed), file: file, log: log}
	if file == "" {
		return k, nil
	}
	var err error
	k.looked = time.Now()
	if k.text, err = readFile(file); err != nil {
		return nil, err
	}
	k.lines = nonEmpty(strings.Split(string(k.text), "\n"))
	return k, nil
}

func nonEmpty(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxFileBytes)
	}
	return text, nil
}

// Secrets are those that count now.
func (k *Keyring) Secrets(ctx context.Context) []string {
	if k == nil {
		return nil
	}
	if k.file == "" {
		return k.fixed
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) >= lookEvery {
		k.look(ctx)
	}
	return append(slices.Clip(k.lines), k.fixed...)
}

// look reads the file again. What was read before stays when that fails: a
// secret is withdrawn by a file without it, not by a file system that hiccups.
func (k *Keyring) look(ctx context.Context) {
	k.looked = time.Now()
	text, err := readFile(k.file)
	if err != nil {
		if !k.broken {
			k.log.LogAttrs(ctx, slog.LevelError, "secrets not read again, the old ones stay", slog.Any("error", err))
		}
		k.broken = true
		return
	}
	k.broken = false
	if bytes.Equal(text, k.text) {
		return
	}
	k.text, k.lines = text, nonEmpty(strings.Split(string(text), "\n"))
	k.log.LogAttrs(ctx, slog.LevelInfo, "secrets read again",
		slog.String("file", k.file), slog.Int("count", len(k.lines)))
}

// anyMatches says that given is what want makes of one of secrets. How long that
// takes tells nothing of a secret but its length.
func anyMatches(secrets []string, given string, want func(secret string) string) bool {
	have := sha256.Sum256([]byte(given))
	found := 0
	for _, s := range secrets {
		sum := sha256.Sum256([]byte(want(s)))
		found |= subtle.ConstantTimeCompare(have[:], sum[:])
	}
	return found == 1
}
