package integration_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestDryRun has a dry run and the live program take the same events, the dry
// run first.
func TestDryRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, synchronous)
	w.put("run-7/a.pt", "run-7/b.pt")
	w.store.Put(bucket, "run-7/small.json", small)
	dry := w.run(t, "PRESTAGE_DRY_RUN=true", "PRESTAGE_BUCKETS="+bucket)

	would := map[string]string{}
	prefix := w.checkpoint(t, "prefix", map[string]any{"uri": uri("run-7/"), "complete": true})
	again := w.object(t, "again", "run-7/a.pt")
	for s, text := range map[sent]string{
		prefix: "warm",
		again:  "warm",
		w.checkpoint(t, "small", map[string]any{"objects": []map[string]any{{"uri": uri("run-7/small.json"), "size": small}}}): "skipped: too_small",
		w.checkpoint(t, "elsewhere", map[string]any{"uri": "s3://elsewhere/last.ckpt"}):                                        "dead_lettered: bucket_not_allowed",
	} {
		would[s.id] = text
	}
	w.settledOn(t, checkpointDurable+"-dry")
	got := map[string]string{}
	for _, entry := range w.entries(t, receiptsBucket) {
		r := readReceipt(t, entry)
		if r.Outcome != "skipped" || r.Reason != "dry_run" || r.Verdict != "" || !strings.HasSuffix(entry.Key(), ".dry") {
			t.Errorf("receipt %s: %+v", entry.Key(), r)
		}
		got[r.EventID] = r.Would
		if r.EventID == "prefix" && (r.Objects.Total != 3 || r.Objects.Filled+r.Objects.Failed != 0 || r.Bytes != 2*large) {
			t.Errorf("the prefix would be %+v, %d bytes", r.Objects, r.Bytes)
		}
	}
	if diff := cmp.Diff(would, got); diff != "" {
		t.Errorf("what would have become of events (-want +got):\n%s", diff)
	}
	nothing := map[string]uint64{}
	for _, stream := range []string{resultsStream, lettersStream} {
		if diff := cmp.Diff(nothing, w.subjects(t, stream)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", stream, diff)
		}
	}
	if entries := w.entries(t, "prestage_objects"); len(entries) != 0 {
		t.Errorf("the ledger has %d records", len(entries))
	}
	if asked := w.lota.History(lotasim.Filter{Range: "bytes=0-0"}); len(asked) != 0 {
		t.Errorf("a dry run sent %d ranged requests", len(asked))
	}
	if _, err := w.js.Consumer(t.Context(), "EVENTS", checkpointDurable); err == nil {
		t.Error("a dry run made a live durable")
	}

	w.run(t, "PRESTAGE_BUCKETS="+bucket)
	w.ends(t, prefix, "warm")
	w.ends(t, again, "warm")
	w.settled(t)
	w.lota.mustHaveAsked(t, once("run-7/a.pt", "run-7/b.pt"))
	dry.stop(t)
}
