package integration_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/confirm"
	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/object"
)

// forbiddenBucket is outside PRESTAGE_BUCKETS: nothing may be asked of it.
const forbiddenBucket = "elsewhere"

// end is how an event ends.
type end struct {
	outcome string
	reason  string // "" of one that is warm
}

// told is an event with what must come of it.
type told struct {
	sent
	name string
	end  end
	asks []string // URIs that are asked for on its behalf, and not on that of an earlier event
}

// keepReceipts makes the receipts' bucket so that it keeps what it held before,
// which is how a test sees that no final receipt is ever changed.
func (w *world) keepReceipts(t *testing.T) {
	t.Helper()
	_, err := w.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: receiptsBucket, History: 64})
	if err != nil {
		t.Fatal(err)
	}
}

// checkInvariants holds all that has happened against what is promised, once
// every event of the stream has come to its end. Domain is LOTA's. Repeats is
// how many fills may have been asked for once more than the events call for,
// because a failure came between the asking and its record.
func (w *world) checkInvariants(t *testing.T, events []told, domain string, repeats int) {
	t.Helper()
	for _, lane := range []string{checkpointDurable, modelDurable} {
		w.settledOn(t, lane)
	}
	w.checkReceipts(t, events)
	w.checkDerived(t, events)
	w.checkRequests(t, events, domain, repeats)
}

// checkReceipts wants each event to have exactly one final receipt.
func (w *world) checkReceipts(t *testing.T, events []told) {
	t.Helper()
	kv, err := w.js.KeyValue(t.Context(), receiptsBucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		history, err := kv.History(t.Context(), e.key())
		if err != nil {
			t.Errorf("receipts of %s: %v", e.name, err)
			continue
		}
		finals := 0
		var r receipt
		for _, entry := range history {
			if r = readReceipt(t, entry); r.Outcome != "pending" {
				finals++
			}
		}
		if got := (end{r.Outcome, r.Reason}); got != e.end || finals != 1 {
			t.Errorf("event %s: %d final receipts, the last says %+v, want one that says %+v: %+v", e.name, finals, got, e.end, r)
		}
		if c := r.Objects; c.Total != c.Filled+c.AlreadyWarm+c.Skipped+c.Failed {
			t.Errorf("event %s: the receipt's counts don't add up: %+v", e.name, c)
		}
	}
	if got := len(w.entries(t, receiptsBucket)); got != len(events) {
		t.Errorf("%d receipts, want %d", got, len(events))
	}
}

// checkDerived wants the results and dead letters to be those that the
// receipts call for, once each.
func (w *world) checkDerived(t *testing.T, events []told) {
	t.Helper()
	results, letters := map[string]uint64{}, map[string]uint64{}
	for _, e := range events {
		switch e.end.outcome {
		case "warm":
			results[e.subject("warmed")] = 1
		case "dead_lettered":
			results[e.subject("failed")] = 1
			letters[e.subject("dlq")] = 1
			if got := w.letter(t, e.sent).Header.Get("Prestage-Reason"); got != e.end.reason {
				t.Errorf("letter of %s gives the reason %q, want %q", e.name, got, e.end.reason)
			}
		}
	}
	if diff := cmp.Diff(results, w.subjects(t, resultsStream)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(letters, w.subjects(t, lettersStream)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

// checkRequests wants each object to be asked for with success as often as the
// events call for, in the one way that fills, and nothing else to be asked for
// with a range, but for the few bytes that are read to learn whether it was filled.
// LOTA has checked the signature of what succeeded.
func (w *world) checkRequests(t *testing.T, events []told, domain string, repeats int) {
	t.Helper()
	want, got := make(map[string]int), make(map[string]int)
	for _, e := range events {
		for _, u := range e.asks {
			want[u]++
		}
	}
	for _, r := range w.lota.History(lotasim.Filter{}) {
		switch {
		case r.Listener != lotasim.ListenerLOTA, r.Bucket == forbiddenBucket:
			t.Errorf("a request that must not be: %+v", r)
		case r.Range == "":
			continue
		case r.Method == "GET" && isFewBytes(r.Range) && r.Host == r.Bucket+"."+domain && r.AccessKeyID == accessKey:
			continue
		case r.Method != "HEAD", r.Range != "bytes=0-0", r.Host != r.Bucket+"."+domain, !r.RangeSigned, r.AccessKeyID != accessKey:
			t.Errorf("a ranged request that is not the one that fills: %+v", r)
		}
		if slices.Contains([]int{http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable}, r.Status) {
			got[object.Ref{Bucket: r.Bucket, Key: r.Key}.String()]++
		}
	}
	for u, n := range want {
		if more := min(max(got[u]-n, 0), repeats); more > 0 {
			got[u] -= more
			repeats -= more
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ranged HEADs that succeeded, by object (-want +got):\n%s", diff)
	}
}

// isFewBytes says that a Range header is that of a read that confirms a fill.
func isFewBytes(header string) bool {
	var first, last int64
	n, err := fmt.Sscanf(header, "bytes=%d-%d", &first, &last)
	return n == 2 && err == nil && last-first+1 <= confirm.ReadBytes
}
