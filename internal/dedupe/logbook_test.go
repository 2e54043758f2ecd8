package dedupe_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// logbook keeps what a ledger logs.
type logbook struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines chan string // what wait has not looked at
}

func newLogbook() *logbook { return &logbook{lines: make(chan string, 1000)} }

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines <- string(line)
	return l.text.Write(line)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logbook) count(part string) int { return strings.Count(l.String(), part) }

// wait returns when a line with part is logged that no wait has passed.
func (l *logbook) wait(t *testing.T, part string) {
	t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		select {
		case line := <-l.lines:
			if strings.Contains(line, part) {
				return
			}
		case <-deadline:
			t.Fatalf("%q is not logged; what is:\n%s", part, l)
		}
	}
}
