package confirm

import "math/rand/v2"

const (
	// stratum is the length of which each gets a place: CoreWeave recommends
	// parts of 50 MB, which LOTA spreads over its nodes ("How do I optimize
	// object storage performance with LOTA").
	stratum   = 50_000_000
	maxPlaces = 8
	nearEnd   = 1_000_000

	// ReadBytes is how much is read at a place.
	ReadBytes = 64

	beforeReads = 4 // of an object before its fill

	// hopeful witnesses are added to the places of strata in any case: one miss in
	// some tens could come fast without anybody knowing. More are added where
	// something speaks against an object, or nothing is known yet.
	hopeful, doubtful = 1, 2
)

// CacheableBytes is the largest size that LOTA does not cache: "LOTA only caches
// objects larger than 4 MB" (CoreWeave, best practices).
const CacheableBytes = 4_000_000

// MinBytes is the size of the smallest object that has places to be read at.
const MinBytes = 1_000

// strata is in how many parts an object is looked at, and their length.
func strata(size int64) (n, width int64) {
	if size > maxPlaces*stratum {
		return maxPlaces, size / maxPlaces
	}
	return (size + stratum - 1) / stratum, stratum
}

// count is how many places of an object are read in a round, of which so many
// are witnesses.
func count(size int64, witnesses int) int {
	n, _ := strata(size)
	return min(int(n)+witnesses, maxPlaces)
}

// places are offsets to read: a fresh one in each stratum, of the last the last
// bytes, which a fill that is under way or was cut short lacks. As far as there is
// room, witnesses are added: the first near the last bytes, others anywhere.
func places(size int64, witnesses int, rnd *rand.Rand) []int64 {
	n, width := strata(size)
	last := size - ReadBytes
	out := make([]int64, 0, maxPlaces)
	for i := range n - 1 {
		out = append(out, i*width+rnd.Int64N(width-ReadBytes))
	}
	for i := range count(size, witnesses) - int(n) {
		if i == 0 {
			out = append(out, last-ReadBytes-rnd.Int64N(min(nearEnd, size/2)))
		} else {
			out = append(out, rnd.Int64N(last))
		}
	}
	return append(out, last)
}

// placesBefore are where an object is read before its fill.
func placesBefore(size int64, rnd *rand.Rand) []int64 {
	out := []int64{size - ReadBytes}
	for len(out) < beforeReads {
		out = append(out, rnd.Int64N(size-2*ReadBytes))
	}
	return out
}
