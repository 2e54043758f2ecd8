package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	lookEvery = time.Second // at the files
	// settle is how long new content has to stay. Who writes a file anew mostly
	// empties it first.
	settle       = 50 * time.Millisecond
	maxFileBytes = 64 << 10
)

// live is what some files hold. They are read again while the program runs, and
// what they held before stays for as long as they cannot be read, or are just being
// written: a secret is withdrawn by a file without it, not by a file system that
// hiccups.
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
	now, err := l.contents()
	before := l.held
	for tries := 0; err == nil && l.held != nil && !same(now, before); tries++ {
		if tries == 10 {
			return false, errors.New("they change all the time")
		}
		before = now
		time.Sleep(settle)
		now, err = l.contents()
	}
	if err != nil || same(now, l.held) {
		return false, err
	}
	value, err := l.parse(now)
	if err != nil {
		return false, err
	}
	l.held, l.value = now, value
	return true, nil
}

func (l *live[T]) contents() ([][]byte, error) {
	var all [][]byte
	for _, name := range l.files {
		text, err := readFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}

func same(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name) // to open a pipe would wait for somebody to write to it
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
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
