package rules

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Live is a rules file that is read again while the program runs. A nil Live is
// that of no file.
type Live struct {
	path  string
	allow func(bucket string) bool
	log   *slog.Logger
	now   atomic.Pointer[loaded]

	// seen and judged are what the file held at the last look, and when it was
	// last parsed; nil: it could not be read. They are Watch's own.
	seen, judged []byte
}

// loaded is what counts now.
type loaded struct {
	set *Set
	err error // why the file as it is now does not count
}

// lookEvery is the time between looks at the file. All of it is read: what a
// ConfigMap holds changes by way of a link, and the times of files tell little.
const lookEvery = 2 * time.Second

// Open reads the file at path, as Load does; "" is no file, and no Live.
func Open(path string, allow func(bucket string) bool, log *slog.Logger) (*Live, error) {
	if path == "" {
		return nil, nil
	}
	data, err := readFile(path)
	if err != nil {
		return nil, &Error{File: path, Text: err.Error()}
	}
	set, err := parse(path, data, allow)
	if err != nil {
		return nil, err
	}
	l := &Live{path: path, allow: allow, log: log, seen: data, judged: data}
	l.now.Store(&loaded{set: set})
	return l, nil
}

// Set is the last good content of the file.
func (l *Live) Set() *Set {
	if l == nil {
		return nil
	}
	return l.now.Load().set
}

// Err says why the file as it is now does not count, or nil.
func (l *Live) Err() error {
	if l == nil {
		return nil
	}
	return l.now.Load().err
}

// Watch reads the file again when it has changed, until ctx ends. Of a file that
// cannot be read, or is wrong, the last good content stays, and a warning says so
// once.
func (l *Live) Watch(ctx context.Context) {
	if l == nil {
		return
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.look(ctx)
		}
	}
}

func (l *Live) look(ctx context.Context) {
	data, err := readFile(l.path)
	if err != nil {
		l.seen, l.judged = nil, nil
		l.refuse(ctx, &Error{File: l.path, Text: err.Error()})
		return
	}
	settled := same(l.seen, data) // what is just being written is looked at again
	l.seen = data
	if !settled || same(l.judged, data) {
		return
	}
	l.judged = data
	set, err := parse(l.path, data, l.allow)
	if err != nil {
		l.refuse(ctx, err)
		return
	}
	l.now.Store(&loaded{set: set})
	l.log.LogAttrs(ctx, slog.LevelInfo, "rules read again", slog.String("file", l.path), slog.Int("rules", len(set.Rules)))
}

// refuse keeps the rules and says why, once.
func (l *Live) refuse(ctx context.Context, err error) {
	was := l.now.Load()
	if was.err != nil && was.err.Error() == err.Error() {
		return
	}
	l.now.Store(&loaded{set: was.set, err: err})
	l.log.LogAttrs(ctx, slog.LevelWarn, "rules not read again, the old ones stay", slog.Any("error", err))
}

func same(a, b []byte) bool { return a != nil && bytes.Equal(a, b) }
