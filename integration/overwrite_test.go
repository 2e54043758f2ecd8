package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOverwrittenKeyIsFilledAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.run(t)
	for i := range 3 {
		etag := w.store.Put(bucket, "last.ckpt", large)
		r := w.ends(t, w.object(t, fmt.Sprintf("step-%d", i), "last.ckpt"), "warm")
		if diff := cmp.Diff(counts{Total: 1, Filled: 1}, r.Objects); diff != "" {
			t.Errorf("receipt's counts (-want +got):\n%s", diff)
		}
		w.lota.mustHaveAsked(t, map[string]int{"last.ckpt": i + 1})
		w.lota.mustHave(t, "last.ckpt", etag)
	}
}

// TestOverwrittenWhileFilling overwrites an object whose fill is under way: its
// end says nothing about the new version.
func TestOverwrittenWhileFilling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, synchronous)
	w.put("last.ckpt")
	hold := w.lota.holdFills(t)
	w.run(t)
	first := w.object(t, "first", "last.ckpt")
	w.lota.filling(t, 1)

	etag := w.store.Put(bucket, "last.ckpt", large)
	second := w.object(t, "second", "last.ckpt")
	w.held(t, 2)
	w.nobodyElseAsks(t, "last.ckpt")
	hold.Release()

	w.ends(t, first, "warm")
	w.ends(t, second, "warm")
	w.settled(t)
	w.lota.mustHave(t, "last.ckpt", etag)
	w.lota.mustHaveAsked(t, map[string]int{"last.ckpt": 2})
}

// TestSameEventFiveTimes is a producer that repeats itself, without a message
// id that the stream could tell it by: at once, and after the fill.
func TestSameEventFiveTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, synchronous)
	w.put("last.ckpt")
	hold := w.lota.holdFills(t)
	w.run(t)
	var events []sent
	for range 4 {
		events = append(events, w.object(t, "same", "last.ckpt"))
	}
	w.held(t, 4)
	w.lota.filling(t, 1)
	w.nobodyElseAsks(t, "last.ckpt")
	hold.Release()
	w.settled(t)
	events = append(events, w.object(t, "same", "last.ckpt"))

	filled := 0
	for _, s := range events {
		r := w.ends(t, s, "warm")
		filled += r.Objects.Filled
		if r.Objects.Filled+r.Objects.AlreadyWarm != 1 {
			t.Errorf("receipt %d counts %+v", s.seq, r.Objects)
		}
	}
	w.settled(t)
	w.lota.mustHaveAsked(t, once("last.ckpt"))
	if got := w.subjects(t, resultsStream); len(got) != 5 {
		t.Errorf("results: %v, want one for each of the five messages", got)
	}
	if filled < 1 {
		t.Errorf("no receipt says that the object was filled")
	}
}

// nobodyElseAsks checks for a second that one fill of key is enough for all
// messages in hand, and that none of them ends without it.
func (w *world) nobodyElseAsks(t *testing.T, key string) {
	t.Helper()
	throughout(t, time.Second, func() {
		w.lota.mustHaveAsked(t, once(key))
		if got := w.receipts(t); len(got) > 0 {
			t.Errorf("before the end of the fill there are receipts: %+v", got)
		}
	})
}
