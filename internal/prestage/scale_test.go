package prestage

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
)

func TestMemoryDoesNotGrow(t *testing.T) {
	const objects = 100_000
	store := &fakeStore{list: listing(objects)}
	var most, before runtime.MemStats
	var fills atomic.Int64
	store.fill = func(context.Context, object.Ref) (Answer, error) {
		if n := fills.Add(1); n%20_000 == 0 {
			store.mu.Lock()
			store.log = nil
			var now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&now)
			if now.HeapAlloc > most.HeapAlloc {
				most = now
			}
			store.mu.Unlock()
		}
		return answerOf("e"), nil
	}
	r := newRigOf(t, store, 300)
	r.ledger = forgetful{lostRecords{}}
	runtime.GC()
	runtime.ReadMemStats(&before)
	got := r.warm(t, Request{Prefix: ckpt("p/")})
	if got.Objects.Filled != objects {
		t.Fatalf("%+v", got)
	}
	// Progress and the keys of the first listing, some 80 bytes an object, and
	// what 300 fills need.
	grown := int64(most.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("heap grew by %d KiB", grown>>10)
	if grown > 24<<20 {
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
