package confirm

import (
	"math"
	"slices"
)

const maxHeads = 64 // rounds of which the HEAD is kept

// group is what the reads of an object took before its fill, and what plain HEADs
// took at the same moment, as logarithms of seconds.
//
// Before a fill there is more to do than after it: a client that is short of
// processors, or an endpoint that is busy with this one's requests, answers slowly
// then whatever is cached. HEADs, which never depend on that, tell how slowly. A
// client starves thread by thread, so there are as many of them as reads.
type group struct {
	of    version
	times []float64
	heads []float64
}

// atRest are the groups that show something, the newest first, as if they had
// been read when hits were: less what HEADs took longer than beside these.
func (r *Reads) atRest() []group {
	all := r.before.newest(maxGroups)
	if len(r.heads.values) == 0 {
		return all
	}
	hit, _ := r.hits()
	head, most := typical(r.heads.newest(maxHeads))
	excess := make([]float64, len(all))
	for i, g := range all {
		excess[i] = middle(slices.Clone(g.heads)) - head
	}
	often := max(middle(slices.Clone(excess)), 0)
	out := all[:0]
	for _, g := range all {
		slower := often
		if slowest := slices.Max(g.heads) - head; slowest > often+most-head { // more than by chance
			if slices.Min(g.times)-slowest < hit+minFaster {
				continue // all was slow
			}
			slower = slowest
		}
		g.times = slices.Clone(g.times)
		for j := range g.times {
			g.times[j] -= slower
		}
		out = append(out, g)
	}
	return out
}

// hits are the median of the second reads of final rounds, and what only few of
// them exceed, as far as they are hits.
func (r *Reads) hits() (at, most float64) {
	var seconds []float64
	for _, p := range r.pairs.values {
		if p.final {
			seconds = append(seconds, p.second)
		}
	}
	if len(seconds) == 0 {
		return math.Inf(-1), math.Inf(-1)
	}
	return typical(seconds)
}

// typical is the median of times, and what only few of them exceed.
func typical(times []float64) (at, most float64) {
	at = middle(times)
	scatter := 1.4826 * median(times, func(x float64) float64 { return math.Abs(x - at) })
	return at, at + min(max(3*scatter, minCut), maxCut)
}
