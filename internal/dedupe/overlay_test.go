package dedupe_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/dedupe/dedupetest"
	"github.com/prestage/prestage/internal/object"
)

func TestOverlay(t *testing.T) {
	t.Parallel()
	dedupetest.Run(t, func(*testing.T) dedupe.Ledger { return dedupe.NewOverlay(dedupe.NewMemory()) })
}

// TestOverlayKeepsTheOther reads through to the other ledger and writes nothing
// to it.
func TestOverlayKeepsTheOther(t *testing.T) {
	t.Parallel()
	base := dedupe.NewMemory()
	put(t, base, dedupetest.Entry("below"), 0)
	o := dedupe.NewOverlay(base)
	below, err := o.Get(t.Context(), object.Ref{Bucket: "ckpt", Key: "below"})
	if err != nil || below.Size != 5<<40 {
		t.Fatalf("below: %+v, %v", below, err)
	}
	changed := dedupetest.Entry("below")
	changed.Size = 7
	put(t, o, changed, below.Revision)
	put(t, o, dedupetest.Entry("above"), 0)
	if r, err := o.Get(t.Context(), changed.Ref); err != nil || r.Size != 7 || r.Revision == below.Revision {
		t.Errorf("changed: %+v, %v", r, err)
	}
	if r, err := base.Get(t.Context(), changed.Ref); err != nil || r.Size != 5<<40 {
		t.Errorf("the other ledger has %+v, %v", r, err)
	}
	if _, err := base.Get(t.Context(), object.Ref{Bucket: "ckpt", Key: "above"}); !errors.Is(err, dedupe.ErrNotFound) {
		t.Errorf("the other ledger has what was written above it: %v", err)
	}
}

// TestOverlayForgets writes more than it keeps.
func TestOverlayForgets(t *testing.T) {
	t.Parallel()
	const room = 100_000
	o := dedupe.NewOverlay(dedupe.NewMemory())
	key := func(i int) string { return fmt.Sprint("k", i) }
	done := make(chan error, 2*room+1)
	for i := range 2*room + 1 {
		o.Put(t.Context(), dedupetest.Entry(key(i)), 0, func(err error) { done <- err })
	}
	for range 2*room + 1 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	has := func(i int) bool {
		_, err := o.Get(t.Context(), object.Ref{Bucket: "ckpt", Key: key(i)})
		return err == nil
	}
	if has(0) || has(room-1) || !has(room) || !has(2*room) {
		t.Errorf("kept the first: %t %t, the last: %t %t", has(0), has(room-1), has(room), has(2*room))
	}
}

func put(t *testing.T, l dedupe.Ledger, e dedupe.Entry, prev uint64) {
	t.Helper()
	done := make(chan error, 1)
	l.Put(t.Context(), e, prev, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
