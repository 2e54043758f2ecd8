package prestage

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

func TestMemoryDoesNotGrow(t *testing.T) {
	const objects = 50_000
	store := crowd{list: listing(objects)}
	r := newRigOf(t, &fakeStore{}, 300)
	r.planner.store, r.warmer.store, r.ledger = &store, &store, forgetful{lostRecords{}}
	before := heapInUse()
	store.look = func() { store.most = max(store.most, heapInUse()-before) }
	done := NewProgress()
	got := r.warmer.Warm(t.Context(), t.Context(), Request{Prefix: ckpt("p/")}, done)
	if n := store.fills.Load(); got.Objects.Filled != objects || n != objects {
		t.Errorf("%d ranged HEADs, %+v", n, got.Objects)
	}
	// Of each object 11 to 16 bytes for the event and as many for the listing's
	// keys, and what 300 fills need.
	t.Logf("heap grew by %d KiB", store.most>>10)
	if store.most > 8<<20 {
		t.Error("that is more than it should be")
	}
	runtime.KeepAlive(done)
}

// TestMemoryOfAMillionObjects has an event that has filled a million objects
// but one, and is tried again. They are listed twice.
func TestMemoryOfAMillionObjects(t *testing.T) {
	const objects = 1_000_000
	store := crowd{list: listing(objects)}
	r := newRigOf(t, &fakeStore{}, 300)
	r.planner.store, r.warmer.store, r.ledger = &store, &store, forgetful{lostRecords{}}
	before := heapInUse()
	store.look = func() { store.most = max(store.most, heapInUse()-before) }
	req, done := Request{Prefix: ckpt("p/")}, NewProgress()
	done.begin(r.planner.room)
	for token, n := "", 0; n < objects-1; {
		p, err := store.list("p/", token)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range p.Objects[:min(len(p.Objects), objects-1-n)] {
			done.fill(hashOf(Item{Attrs: a}), a.Size, fill{Answer: answerOf("e"), verdict: outcome.Accepted})
			n++
		}
		token = p.Next
	}
	done.end()
	kept := heapInUse() - before
	got := r.warmer.Warm(t.Context(), t.Context(), req, done)
	want := Report{Objects: Counts{Total: objects, Filled: objects}, Bytes: 1000 * objects, Verdict: outcome.Accepted}
	if diff := cmp.Diff(want, got); diff != "" || store.fills.Load() != 1 {
		t.Errorf("%d ranged HEADs, report (-want +got):\n%s", store.fills.Load(), diff)
	}
	t.Logf("heap grew by %d MiB, of which %d MiB stay between the attempts", store.most>>20, kept>>20)
	if store.most > 40<<20 || kept > 17<<20 {
		t.Error("that is more than it should be")
	}
	runtime.KeepAlive(done)
}

// crowd is a store of many objects. The heap is looked at now and then.
type crowd struct {
	Catalogue
	list  func(prefix, token string) (Page, error)
	fills atomic.Int64
	look  func()
	pages int
	most  int64
}

func (c *crowd) List(_ context.Context, _, prefix, token string) (Page, error) {
	if c.pages++; c.pages%100 == 0 {
		c.look()
	}
	return c.list(prefix, token)
}

func (c *crowd) Fill(context.Context, object.Ref) (Answer, error) {
	c.fills.Add(1)
	return answerOf("e"), nil
}

func (c *crowd) Head(context.Context, object.Ref) (Answer, error) { return answerOf("e"), nil }

// heapInUse is what is in use of it.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below
}

func TestMemoryOfAManifest(t *testing.T) {
	const objects = 100_000
	text := []byte{'['}
	for i := range objects {
		text = fmt.Appendf(text, `"s3://ckpt/%06d",`, i)
	}
	text[len(text)-1] = ']'
	r := newRig(t, &fakeStore{get: func(object.Ref) ([]byte, error) { return text, nil }})
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most, found := uint64(0), 0
	_, err := r.planner.Walk(t.Context(), Request{Manifest: ckpt("m")}, func(Item) error {
		if found++; found%20_000 == 1 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		return nil
	})
	if err != nil || found != objects {
		t.Fatalf("%d objects, error %v", found, err)
	}
	grown := int64(most) - int64(before.HeapAlloc)
	t.Logf("heap grew by %d KiB", grown>>10)
	if grown > 2<<20 { // the text is there anyway
		t.Errorf("heap grew by %d KiB", grown>>10)
	}
}

// lostRecords confirms and keeps nothing.
type lostRecords struct{ dedupe.Ledger }

func (lostRecords) Put(_ context.Context, _ dedupe.Entry, _ uint64, done func(error)) { go done(nil) }

func BenchmarkWarm(b *testing.B) {
	for b.Loop() {
		r := newRigOf(b, &fakeStore{list: listing(10_000), fill: always("e")}, 300)
		if got := r.warm(b, Request{Prefix: ckpt("p/"), Complete: true}); got.Objects.Filled != 10_000 {
			b.Fatalf("%+v", got)
		}
	}
}
