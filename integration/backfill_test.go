package integration_test

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestBackfillOfManyObjects replays events of large prefixes, a million objects
// in the long form. The memory that takes doesn't grow with them, and the first
// of a prefix are filled while the rest of it is still being listed.
func TestBackfillOfManyObjects(t *testing.T) {
	t.Parallel()
	const limit = 200 << 20
	prefixes, each := 3, 8_000
	if os.Getenv("INTEGRATION_LONG") == "1" {
		prefixes, each = 10, 100_000
	}
	total := prefixes * each
	w := newWorld(t, func(o *lotasim.Options) { o.HistoryLimit = 2 * total })
	w.run(t).stop(t) // makes the stream
	for i := range prefixes {
		prefix := fmt.Sprintf("run-7/step-%d/", i)
		if err := w.store.AddRange(bucket, prefix+"shard-%06d.pt", each, large); err != nil {
			t.Fatal(err)
		}
		w.checkpoint(t, prefix, map[string]any{"uri": uri(prefix), "complete": true, "total_objects": each})
	}

	var peak int64
	began := time.Now()
	p := launch(t, plainBuild, w.environ(t, "PRESTAGE_CONFIRM=response"), "replay", "--name", "backfill", "--concurrency", "300")
	for asked := int64(0); asked < int64(total); { // it may take longer than patience, but not without progress
		eventually(t, "more objects are asked for", func() error {
			n := w.lota.Counters().RangeRequests
			if n == asked {
				return fmt.Errorf("still %d", n)
			}
			asked = n
			return nil
		})
		peak = p.peakMemory(t) // the process is gone soon after its last object
	}
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	took := time.Since(began)
	t.Logf("%d objects took %d MiB at most and %.1f s", total, peak>>20, took.Seconds())
	if peak > limit {
		t.Errorf("peak memory is %d MiB, want at most %d MiB", peak>>20, limit>>20)
	}
	done := replayLines(t, p)["done"]
	if diff := cmp.Diff([]int{prefixes, total, total}, []int{done.Events, done.Objects, done.Filled}); diff != "" {
		t.Errorf("events, objects, filled (-want +got):\n%s", diff)
	}
	asked := w.lota.asked()
	if len(asked) != total {
		t.Errorf("%d objects were asked for, want %d", len(asked), total)
	}
	for key, n := range asked {
		if n != 1 {
			t.Errorf("%s was asked for %d times", key, n)
		}
	}
	w.overlapped(t, prefixes, each)
}

// overlapped checks of each prefix that a part of it was asked for before its
// last page was listed.
func (w *world) overlapped(t *testing.T, prefixes, each int) {
	t.Helper()
	heads, early := map[string]int{}, map[string]int{}
	for _, r := range w.lota.History(lotasim.Filter{}) {
		if at, err := url.Parse(r.URI); err == nil && at.Query().Has("list-type") {
			prefix := at.Query().Get("prefix")
			early[prefix] = heads[prefix]
		} else if r.Method == "HEAD" && r.Range != "" {
			heads[r.Key[:strings.LastIndexByte(r.Key, '/')+1]]++
		}
	}
	if len(early) != prefixes {
		t.Fatalf("%d prefixes were listed, want %d", len(early), prefixes)
	}
	for prefix, n := range early {
		if n < each/4 {
			t.Errorf("of %d objects below %s %d were asked for before the end of the listing, want at least a quarter", each, prefix, n)
		}
	}
}
