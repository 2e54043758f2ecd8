package confirm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	mb = int64(1_000_000)

	plainHead = 3 * time.Millisecond
)

// atRate is how long a HEAD takes that waits for a fill at bytes per second.
func atRate(size int64, rate float64) time.Duration {
	return plainHead + time.Duration(float64(size)/rate*float64(time.Second))
}

// answers is an endpoint whose ranged HEADs take so long.
type answers func(size int64, r *rand.Rand) time.Duration

func synchronousAt(rate float64) answers {
	return func(size int64, r *rand.Rand) time.Duration {
		return atRate(size, rate*(0.9+0.2*r.Float64()))
	}
}

// feed has s see n fills of the given sizes in turn, and the plain HEADs that it
// asks for.
func (a answers) feed(s *Synchrony, n int, plain time.Duration, sizes ...int64) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		size := sizes[i%len(sizes)]
		if s.WantsPlain(size) {
			s.Plain(size, plain)
		}
		s.Ranged(size, a(size, r))
	}
}

func TestSynchrony(t *testing.T) {
	t.Parallel()
	octaves := []int64{5 * mb, 10 * mb, 20 * mb, 50 * mb, 100 * mb, 400 * mb}
	quick := answers(func(_ int64, r *rand.Rand) time.Duration {
		return plainHead + rand.N(time.Millisecond)*time.Duration(r.IntN(2))
	})
	for _, tt := range []struct {
		name  string
		a     answers
		n     int
		plain time.Duration
		sizes []int64
		want  bool
	}{
		{"in proportion to size", synchronousAt(1e9), 60, plainHead, octaves, true},
		{"with a slow first byte", func(size int64, r *rand.Rand) time.Duration {
			return 50*time.Millisecond + synchronousAt(1e9)(size, r)
		}, 60, plainHead, octaves, true},
		{"objects of 5 to 28 MB", synchronousAt(1e9), 20, plainHead, []int64{5 * mb, 12 * mb, 28 * mb}, true},
		{"too few fills", synchronousAt(1e9), minFills - 1, plainHead, []int64{5 * mb, 12 * mb, 28 * mb}, false},
		{"two octaves only", synchronousAt(1e9), 200, plainHead, []int64{100 * mb, 200 * mb, 250 * mb}, false},
		{"one size", synchronousAt(1e9), 200, plainHead, []int64{100 * mb}, false},
		{"plain HEADs as slow", synchronousAt(1e9), 200, 400 * time.Millisecond, octaves, false},
		{"hardly more than a plain HEAD", synchronousAt(8e10), 200, plainHead, octaves, false},
		{"answers at once", quick, 200, plainHead, octaves, false},
		{"one slow answer in ten", func(size int64, r *rand.Rand) time.Duration {
			if r.IntN(10) == 0 {
				return atRate(size, 1e9)
			}
			return plainHead
		}, 400, plainHead, octaves, false},
		{"slow whatever the size", func(int64, *rand.Rand) time.Duration { return time.Second }, 200, plainHead, octaves, false},
		{"the larger, the faster", func(size int64, _ *rand.Rand) time.Duration { return time.Duration(1e15 / float64(size)) }, 200, plainHead, octaves, false},
		{"sizes unknown", synchronousAt(1e9), 200, plainHead, []int64{0, -1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s Synchrony
			tt.a.feed(&s, tt.n, tt.plain, tt.sizes...)
			if s.Known() != tt.want {
				t.Errorf("known: %v, fit %+v", s.Known(), s.fit)
			}
		})
	}
}

// TestSynchronyIsRefuted: by one fast answer to a large fill, and twice as much
// is asked for afterwards. A slow answer, or a small object, refutes nothing.
func TestSynchronyIsRefuted(t *testing.T) {
	t.Parallel()
	sizes := []int64{5 * mb, 20 * mb, 100 * mb, 400 * mb}
	var s Synchrony
	synchronousAt(1e9).feed(&s, minFills+8, plainHead, sizes...)
	if !s.Ranged(100*mb, time.Minute) || !s.Ranged(mb, plainHead) {
		t.Fatal("a slow answer, or a small fill, refutes")
	}
	if s.Ranged(400*mb, plainHead) || s.Known() {
		t.Fatal("a fast answer does not refute")
	}
	synchronousAt(1e9).feed(&s, minFills+8, plainHead, sizes...)
	if s.Known() {
		t.Error("believed again after as few fills as at first")
	}
	synchronousAt(1e9).feed(&s, minFills, plainHead, sizes...)
	if !s.Known() {
		t.Error("never believed again")
	}
}

// TestSynchronyOutgrowsItsPlainHeads: larger objects than ever leave what is known
// as it is, and are compared with plain HEADs of their own.
func TestSynchronyOutgrowsItsPlainHeads(t *testing.T) {
	t.Parallel()
	var s Synchrony
	synchronousAt(1e9).feed(&s, 30, plainHead, 5*mb, 12*mb, 28*mb)
	for range 2 * perOctave {
		if synchronousAt(1e9).feed(&s, 1, plainHead, 400*mb); !s.Known() {
			t.Fatal("forgotten for lack of plain HEADs")
		}
	}
	if len(s.plain.values) != 2*minPlain {
		t.Errorf("%d plain HEADs", len(s.plain.values))
	}
}

// TestSynchronyIsNotChance: answers whose times have nothing to do with size are
// hardly ever taken for the ends of fills, however they scatter.
func TestSynchronyIsNotChance(t *testing.T) {
	t.Parallel()
	const runs, fills = 200, 100
	for _, sigma := range []float64{0.2, 0.5, 1, 2.5} {
		for _, median := range []time.Duration{plainHead, 10 * plainHead} { // of ranged HEADs
			for _, largest := range []float64{28e6, 400e6} {
				t.Run(fmt.Sprintf("%v around %s, up to %.0f MB", sigma, median, largest/1e6), func(t *testing.T) {
					t.Parallel()
					r := rand.New(rand.NewPCG(1, 2))
					noise := func(d time.Duration) time.Duration {
						return time.Duration(float64(d) * math.Exp(sigma*r.NormFloat64()))
					}
					wrong := 0
					for range runs {
						var s Synchrony
						for range fills {
							size := int64(5e6 * math.Pow(largest/5e6, r.Float64()))
							if s.WantsPlain(size) {
								s.Plain(size, noise(plainHead))
							}
							if s.Ranged(size, noise(median)) {
								wrong++
							}
						}
					}
					if wrong > runs*fills/1000 {
						t.Errorf("%d of %d fills are taken for done", wrong, runs*fills)
					}
				})
			}
		}
	}
}

// TestPlainHeadsAreFew: none is asked for where answers come at once.
func TestPlainHeadsAreFew(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		a    answers
		want int
	}{
		"synchronous": {synchronousAt(1e9), minPlain},
		"at once":     {func(int64, *rand.Rand) time.Duration { return plainHead }, 0},
	} {
		var s Synchrony
		r := rand.New(rand.NewPCG(1, 2))
		asked := 0
		for range 100 {
			for _, size := range []int64{5 * mb, 20 * mb, 100 * mb, 400 * mb} {
				if s.WantsPlain(size) {
					asked++
					s.Plain(size, plainHead)
				}
				s.Ranged(size, tt.a(size, r))
			}
		}
		if asked != tt.want {
			t.Errorf("%s: %d plain HEADs, want %d", name, asked, tt.want)
		}
	}
}
