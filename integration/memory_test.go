package integration_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMemoryOfALargePrefix has 100,000 objects in one prefix. The program holds
// some pages of the listing, not all of it, also when it lists them again.
func TestMemoryOfALargePrefix(t *testing.T) {
	t.Parallel()
	for name, complete := range map[string]bool{"complete": true, "not said to be complete": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testMemory(t, complete)
		})
	}
}

func testMemory(t *testing.T, complete bool) {
	t.Helper()
	const (
		objects = 100_000
		limit   = 200 << 20
	)
	w := newWorld(t, nil)
	if err := w.store.AddRange(bucket, "run-7/step-100/shard-%06d.pt", objects, large); err != nil {
		t.Fatal(err)
	}
	p := launch(t, plainBuild, w.environ(t)).ready(t)
	s := w.checkpoint(t, "step-100", map[string]any{"uri": uri("run-7/step-100/"), "complete": complete, "total_objects": objects})

	w.progress(t, objects)
	r := w.ends(t, s, "warm")
	peak := p.peakMemory(t)
	t.Logf("%d objects took %d MiB at most and %.1f s", objects, peak>>20, r.Seconds)
	if peak > limit {
		t.Errorf("peak memory is %d MiB, want at most %d MiB", peak>>20, limit>>20)
	}
	if diff := cmp.Diff(counts{Total: objects, Filled: objects}, r.Objects); diff != "" {
		t.Errorf("receipt's counts (-want +got):\n%s", diff)
	}
	asked := w.lota.asked()
	if len(asked) != objects {
		t.Errorf("%d objects were asked for, want %d", len(asked), objects)
	}
	for key, n := range asked {
		if n != 1 {
			t.Errorf("%s was asked for %d times", key, n)
		}
	}
	w.settled(t)
}

// progress waits until so many ranged HEADs were sent. It may take longer than
// patience, but not without progress.
func (w *world) progress(t *testing.T, want int64) {
	t.Helper()
	for asked := int64(0); asked < want; {
		eventually(t, "more objects are asked for", func() error {
			n := w.lota.Counters().RangeRequests
			if n == asked {
				return fmt.Errorf("still %d", n)
			}
			asked = n
			return nil
		})
	}
}

// peakMemory is the largest resident set so far, in bytes.
func (p *program) peakMemory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("peak memory is read from /proc, on Linux only: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("/proc tells no VmHWM")
	return 0
}
