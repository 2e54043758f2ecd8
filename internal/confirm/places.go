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
)

// CacheableBytes is the largest size that LOTA does not cache: "LOTA only caches
// objects larger than 4 MB" (CoreWeave, best practices). There is nothing to
// confirm of such an object.
const CacheableBytes = 4_000_000

// strata is in how many parts an object is looked at, and their length.
func strata(size int64) (n, width int64) {
	if size > maxPlaces*stratum {
		return maxPlaces, size / maxPlaces
	}
	return (size + stratum - 1) / stratum, stratum
}

// count is how many places of an object are read in a round.
func count(size int64) int {
	n, _ := strata(size)
	return int(min(n+2, maxPlaces))
}

// places are offsets to read: a fresh one in each stratum, of the last the last
// bytes, which a fill that is under way or was cut short lacks. Where there is
// room, one near them is a second witness, and one is anywhere.
func places(size int64, rnd *rand.Rand) []int64 {
	n, width := strata(size)
	last := size - ReadBytes
	out := make([]int64, 0, maxPlaces)
	for i := range n - 1 {
		out = append(out, i*width+rnd.Int64N(width-ReadBytes))
	}
	if n < maxPlaces {
		out = append(out, last-ReadBytes-rnd.Int64N(nearEnd))
	}
	if n < maxPlaces-1 {
		out = append(out, rnd.Int64N(last))
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
