package lotasim

import (
	"hash/fnv"
	"strconv"

	"github.com/prestage/prestage/internal/object"
)

// draw is a number in [0, 1) that depends on nothing but its arguments. What is
// drawn for the nth time for an object is thus the same in every run with the
// same seed, however concurrent requests of other objects interleave.
func draw(seed uint64, what string, ref object.Ref, n uint64) float64 {
	h := fnv.New64a()
	for _, s := range []string{strconv.FormatUint(seed, 16), what, ref.Bucket, ref.Key, strconv.FormatUint(n, 16)} {
		_, _ = h.Write([]byte(s))
		_, _ = h.Write([]byte{0})
	}
	return float64(mix(h.Sum64())>>11) / (1 << 53)
}

// mix spreads x over all 64 bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
