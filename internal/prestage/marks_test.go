package prestage

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// TestMarkSet holds the set against a map. Few different hashes make them meet
// often, and near ones make them crowd.
func TestMarkSet(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		hashes := make([]uint64, 3000)
		for i := range hashes {
			hashes[i] = rnd.Uint64()
			if seed%2 == 1 {
				hashes[i] = ^uint64(0) - 4*rnd.Uint64N(4000) // all at the end of the table
			}
		}
		var s markSet
		want := make(map[uint64]mark)
		check := func() {
			t.Helper()
			for _, h := range hashes {
				if got := s.get(h); got != want[h&^3] {
					t.Fatalf("seed %d: %x is marked %b, want %b", seed, h, got, want[h&^3])
				}
			}
			if s.n != len(want) {
				t.Fatalf("seed %d: %d objects, want %d", seed, s.n, len(want))
			}
		}
		check()
		for range 2 {
			for range len(hashes) {
				h, m := hashes[rnd.IntN(len(hashes))], mark(1+rnd.IntN(3))
				s.add(h, m)
				want[h&^3] |= m
			}
			check()
			s.keep(filled)
			for h := range want {
				if want[h] &= filled; want[h] == 0 {
					delete(want, h)
				}
			}
			check()
		}
	}
}

func TestMarkSetIsSmall(t *testing.T) {
	const n = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var s markSet
	for i := range uint64(n) {
		s.add(i*0x9e3779b97f4a7c15, filled)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.1f bytes an object", each)
	if each > 16.1 || s.n != n {
		t.Errorf("%d objects, %.1f bytes each", s.n, each)
	}
	runtime.KeepAlive(&s)
}

func BenchmarkMarkSet(b *testing.B) {
	var s markSet
	rnd := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		if s.n == maxRemembered {
			s = markSet{}
		}
		s.add(rnd.Uint64(), filled)
	}
}
