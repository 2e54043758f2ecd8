package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	lookEvery    = time.Second // at the files
	maxFileBytes = 64 << 10
)

// live is what some files hold. They are read again while the program runs, and
// what they held before stays for as long as they cannot be read: a secret is
// withdrawn by a file without it, not by a file system that hiccups.
type live[T any] struct {
	files []string
	parse func(contents [][]byte) (T, error)
	log   *slog.Logger

	mu     sync.Mutex
	held   [][]byte // as it was last read
	value  T        // what parse made of it
	looked time.Time
	broken bool // when last looked at
}

// newLive reads files, which have to be readable and in order now.
func newLive[T any](parse func([][]byte) (T, error), log *slog.Logger, files ...string) (*live[T], error) {
	l := &live[T]{files: files, parse: parse, log: log, looked: time.Now()}
	_, err := l.read()
	return l, err
}

// get is what the files hold now.
func (l *live[T]) get(ctx context.Context) T {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.looked) >= lookEvery {
		l.look(ctx)
	}
	return l.value
}

func (l *live[T]) look(ctx context.Context) {
	l.looked = time.Now()
	changed, err := l.read()
	switch {
	case err != nil && !l.broken:
		l.log.LogAttrs(ctx, slog.LevelError, "files cannot be read again, what they held stays", slog.Any("files", l.files), slog.Any("error", err))
	case changed:
		l.log.LogAttrs(ctx, slog.LevelInfo, "files have changed and were read again", slog.Any("files", l.files))
	}
	l.broken = err != nil
}

// read says whether the files hold something else than before.
func (l *live[T]) read() (changed bool, err error) {
	now := make([][]byte, len(l.files))
	for i, name := range l.files {
		if now[i], err = readFile(name); err != nil {
			return false, err
		}
	}
	if slices.EqualFunc(now, l.held, bytes.Equal) {
		return false, nil
	}
	value, err := l.parse(now)
	if err != nil {
		return false, err
	}
	l.held, l.value = now, value
	return true, nil
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
