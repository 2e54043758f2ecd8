package confirm

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 8))
	for _, size := range []int64{MinBytes, CacheableBytes + 1, 10 * mb, 50 * mb, 50*mb + 1, 120 * mb, 349 * mb, 350*mb + 1, 400 * mb, 401 * mb, 5_000_000 * mb} {
		for i := range 50 {
			witnesses := i % (doubtful + 1)
			got := places(size, witnesses, rnd)
			if want := min(max(int((size+stratum-1)/stratum), 1)+witnesses, maxPlaces); len(got) != want || count(size, witnesses) != want {
				t.Fatalf("size %d: %d places, want %d", size, len(got), want)
			}
			if !slices.Contains(got, size-ReadBytes) {
				t.Errorf("size %d: the last bytes are not among %v", size, got)
			}
			width := max(size/maxPlaces, stratum)
			for from := int64(0); from < size; from += width {
				in := func(p int64) bool { return p >= from && p < from+width }
				if size-from >= width/2 && !slices.ContainsFunc(got, in) {
					t.Errorf("size %d: no place from %d on: %v", size, from, got)
				}
			}
			for _, p := range slices.Concat(got, placesBefore(size, rnd)) {
				if p < 0 || p+ReadBytes > size {
					t.Errorf("size %d: place %d", size, p)
				}
			}
		}
		if slices.Equal(places(size, doubtful, rnd), places(size, doubtful, rnd)) {
			t.Errorf("size %d: the same places again", size)
		}
	}
}
