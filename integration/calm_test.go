package integration_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Bounds of what a program may do in a second while all that it can do is wait.
// It has heartbeats, tries again every few seconds, and says so once in a while;
// one that spins does thousands of either.
const (
	calmLines    = 20
	calmMessages = 200
	calmShare    = 0.5 // of one processor
)

// received counts the messages that were sent to the server; those to a server
// in another process are not known.
func (w *world) received(t *testing.T) int64 {
	t.Helper()
	if w.nats == nil {
		return 0
	}
	return w.nats.Received(t)
}

// staysCalm wants p to wait for d, rather than to spin: of an event that cannot
// be settled nothing is gained by trying at once. It returns after d.
func (w *world) staysCalm(t *testing.T, p *program, d time.Duration) {
	t.Helper()
	lines, used, sent := p.lines(), p.processor(t), w.received(t)
	start := time.Now()
	throughout(t, d, func() {
		select {
		case <-p.exited:
			t.Errorf("the program ended with exit code %d", p.cmd.ProcessState.ExitCode())
		default:
		}
	})
	seconds := time.Since(start).Seconds()
	for _, got := range []struct {
		what      string
		rate, max float64
	}{
		{"lines logged", float64(p.lines()-lines) / seconds, calmLines},
		{"messages sent to NATS", float64(w.received(t)-sent) / seconds, calmMessages},
		{"processor seconds used", (p.processor(t) - used).Seconds() / seconds, calmShare},
	} {
		t.Logf("%s: %.2f a second", got.what, got.rate)
		if got.rate > got.max {
			t.Errorf("%s: %.1f a second, want at most %v", got.what, got.rate, got.max)
		}
	}
}

func (p *program) lines() int { return strings.Count(p.stderr.String(), "\n") }

// processor is the processor time used so far; zero where there is no /proc.
func (p *program) processor(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// What follows the name, which may hold anything: state is field 3, the
	// times in user and kernel mode are 14 and 15, in hundredths of a second.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		t.Fatalf("/proc tells %q", stat)
	}
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
