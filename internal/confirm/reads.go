package confirm

import (
	"math"
	"slices"
	"time"

	"github.com/prestage/prestage/internal/object"
)

const (
	// missZ is the normal quantile of 0.1 %: how likely what is not cached may be
	// read at the speed of what is.
	missZ = 3.09

	// Until enough has been seen, the misses of different objects are taken to
	// scatter by priorSpread (of the logarithm: 20 %), as if priorObjects had
	// shown it.
	priorSpread  = 0.2
	priorObjects = 8

	minObjects = 4  // objects of which misses must have been seen
	muchTried  = 48 // objects read before their fill

	maxGroups = 64  // objects read before their fill that are kept
	maxPairs  = 128 // pairs of reads that are kept

	minHits      = 4    // pairs that show a hit
	hitShare     = 0.9  // of them that must pass,
	keptShare    = 0.8  // and go on to
	maxBothSlow  = 0.25 // share of final pairs that may be slow twice,
	keptBothSlow = 0.5  // and go on to
	finalPairs   = 32   // final pairs that are looked at
	minMissing   = 0.25 // share of objects that were not cached before: fewer may be chance
	maxOutliers  = 1    // objects whose misses may have come below the limit
	recentGroups = 8    // of the newest groups,
	recentMisses = 2    // so many must be misses
	minFaster    = 0.69 // of the logarithm: a hit is twice as fast at least

	// How much slower than the median of hits, by the logarithm, what counts as
	// cached before may be.
	minCut = 0.4
	maxCut = 1.1

	missShare = 0.75 // of the gap by which the first read of a clear miss is slower
)

// Reads tells by the time that reads take whether what they read was cached. Its
// zero value cannot tell. It is not safe for concurrent use.
type Reads struct {
	// Alone has what an object's own misses were like suffice for it, until much
	// was tried: it may be the only one.
	Alone bool

	before ring[group]
	pairs  ring[pair]
	heads  ring[float64] // beside final pairs, as logarithms of seconds

	stale bool
	trust trust
}

// version is one version of an object.
type version struct {
	ref  object.Ref
	etag string
}

// pair is the first read of a place and the second, as logarithms of seconds.
type pair struct {
	first, second float64
	single        bool // there was no second read
	final         bool // of the round that ended the matter: both should be hits
}

// trust is what has been learnt.
type trust struct {
	ok    bool
	sure  bool    // much was seen, and no miss below the limit
	limit float64 // a slower read may be a miss
	hit   float64 // median
	miss  float64 // median of the fastest of each object
}

func logSeconds(d time.Duration) float64 { return math.Log(max(d.Seconds(), 1e-6)) }

// Before takes the reads, all made at once, of an object that nobody was seen
// to ask for, and plain HEADs that were sent at the same moment.
func (r *Reads) Before(of version, times, heads []time.Duration) {
	g := group{of: of, times: make([]float64, len(times)), heads: make([]float64, len(heads))}
	for i, d := range times {
		g.times[i] = logSeconds(d)
	}
	for i, d := range heads {
		g.heads[i] = logSeconds(d)
	}
	r.before.add(maxGroups, g)
	r.stale = true
}

// after takes the pairs of a round, made after a fill was asked for, and the plain
// HEAD sent with them, and says what they show; last: there will be no other round.
func (r *Reads) after(of version, pairs []pair, head time.Duration, last bool) finding {
	known := r.of(of)
	f := known.judge(pairs)
	r.heads.add(maxHeads, logSeconds(head))
	for _, p := range pairs {
		if p.final = last || f == present; !p.single {
			r.pairs.add(maxPairs, p)
		}
	}
	r.stale = true
	if !known.ok {
		f = r.of(of).judge(pairs)
	}
	return f
}

// of is what is known of an object.
func (r *Reads) of(of version) trust {
	t := r.learnt()
	if t.ok || !r.Alone || len(r.before.values) >= muchTried {
		return t
	}
	for _, g := range r.before.newest(maxGroups) {
		if g.of == of {
			return r.own(g)
		}
	}
	return t
}

// own is what follows from an object's own misses, less what the slowest HEAD
// beside them took longer than HEADs do. What differs from one object to the
// next does not matter then.
func (r *Reads) own(g group) trust {
	heads := r.heads.newest(maxHeads)
	for _, other := range r.before.values {
		heads = append(heads, other.heads...)
	}
	slices.Sort(heads)
	at := middle(slices.Clone(g.times)) - (slices.Max(g.heads) - heads[len(heads)/4])
	var offs []float64
	for _, other := range r.before.values {
		m := middle(slices.Clone(other.times))
		for _, x := range other.times {
			offs = append(offs, x-m)
		}
	}
	t := trust{miss: at, limit: at + bound(offs, len(g.times))}
	t.ok = r.hitsPass(&t)
	return t
}

// learnt is what follows from all that has been seen.
func (r *Reads) learnt() trust {
	if r.stale {
		r.trust, r.stale = r.learn(), false
	}
	return r.trust
}

// Tells says that hits can be told from misses.
func (r *Reads) Tells() bool { return r.learnt().ok }

// Sure says that hits can be told from misses by few reads: one miss in some tens
// that comes as fast as a hit would have been seen.
func (r *Reads) Sure() bool { t := r.learnt(); return t.ok && t.sure }

func (r *Reads) learn() trust {
	_, cut := r.hits()
	there := func(g group) bool { return slices.Max(g.times) <= cut }
	before := r.atRest()
	recent := 0
	for _, g := range before[:min(len(before), recentGroups)] {
		if !there(g) {
			recent++
		}
	}
	if recent == 0 || (recent < recentMisses && len(before) >= recentGroups) {
		return trust{}
	}
	var fastest []float64 // miss of each object
	for _, g := range before {
		if !there(g) { // all of an object's reads fast: it was cached before
			fastest = append(fastest, slices.Min(g.times))
		}
	}
	if len(fastest) < minObjects || float64(len(fastest)) < minMissing*float64(len(before)) {
		return trust{}
	}
	t := trust{limit: lowerBound(fastest), miss: middle(fastest)}
	outliers := 0
	for _, x := range fastest {
		if x <= t.limit {
			outliers++
		}
	}
	if outliers > maxOutliers {
		return trust{}
	}
	t.ok = r.hitsPass(&t)
	t.sure = outliers == 0 && len(r.before.values) >= muchTried
	return t
}

// lowerBound is what the fastest of an object's misses falls below with a
// probability of 0.1 % at most, and any one of them all the more rarely. The
// slow side may be as heavy as it likes: a read that meets a fill may wait for
// its end.
func lowerBound(fastest []float64) float64 {
	at := middle(fastest)
	offs := make([]float64, len(fastest))
	for i, x := range fastest {
		offs[i] = x - at
	}
	return at + bound(offs, len(fastest))
}

// bound is how far below the median of n values the next one may be: the bound
// of a normal sample, with a prior for its variance, which offs, the distances
// of values from their medians, tell of.
func bound(offs []float64, n int) float64 {
	sum := 0.0
	for _, x := range offs {
		if x < 0 {
			sum += x * x
		}
	}
	df := priorObjects + float64(len(offs))/2 - 1
	s := math.Sqrt((priorObjects*priorSpread*priorSpread + sum) / df)
	return -studentT(missZ, df) * s * math.Sqrt(1+3/float64(n))
}

// hitsPass says that hits come below the limit nearly always, and notes their
// speed. A pair that is slow twice was read while nothing was cached, or hits
// are no faster than misses; which of them, final pairs tell.
func (r *Reads) hitsPass(t *trust) bool {
	var hits []float64
	pass, final, slow := 0, 0, 0
	pairs := r.pairs.newest(maxPairs)
	for _, p := range pairs {
		bothSlow := p.first > t.limit && p.second > t.limit
		if p.final && final < finalPairs {
			final++
			if bothSlow {
				slow++
			}
		}
		if bothSlow {
			continue
		}
		hits = append(hits, p.second)
		if p.second <= t.limit {
			pass++
		}
	}
	t.hit = middle(hits)
	share, both := hitShare, maxBothSlow
	if r.trust.ok { // what is near the border would go to and fro
		share, both = keptShare, keptBothSlow
	}
	return len(hits) >= minHits && float64(pass) >= share*float64(len(hits)) &&
		float64(slow) <= both*float64(final) && t.hit <= t.miss-minFaster
}

// finding is what one round of reads shows of an object.
type finding int

const (
	unclear finding = iota // in between, or it cannot be told
	present                // every place came at cache speed
	missing                // some place did not, and did when it was read again
)

// judge says what pairs show. Fast is not enough: where all has become faster
// since misses were learnt, the second read of a miss is faster still. What was
// read once is compared with the last bytes, which were read twice.
func (t trust) judge(pairs []pair) finding {
	if !t.ok || len(pairs) == 0 {
		return unclear
	}
	f, last := present, pairs[len(pairs)-1]
	for _, p := range pairs {
		if p.single {
			p.second = last.second
		}
		slower := p.first-p.second > missShare*(t.miss-t.hit)
		switch {
		case slower && p.first > t.limit && p.second <= t.limit:
			return missing
		case slower || p.first > t.limit:
			f = unclear
		}
	}
	return f
}
