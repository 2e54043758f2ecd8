package prestage

import (
	"slices"
	"time"
)

const (
	headSamples  = 8                     // make a picture
	headSpell    = 5 * time.Minute       // the quickest of this one and the last is normal
	slowHead     = 3                     // times normal is slow, and
	slowHeadLead = 50 * time.Millisecond // more than it
)

// headWatch tells when plain HEADs take much longer than they can.
type headWatch struct {
	spell       time.Time     // when it began
	best, prior time.Duration // quickest of this spell and of the one before, 0: none
	recent      [headSamples]time.Duration
	n           int
}

// add says whether the HEADs since it last said so were slow: the median of
// each eight decides.
func (w *headWatch) add(now time.Time, d time.Duration) bool {
	if now.Sub(w.spell) > headSpell {
		w.spell, w.prior, w.best = now, w.best, 0
	}
	if w.best == 0 || d < w.best {
		w.best = d
	}
	w.recent[w.n] = d
	if w.n++; w.n < headSamples {
		return false
	}
	w.n = 0
	slices.Sort(w.recent[:])
	normal := w.best
	if w.prior != 0 {
		normal = min(normal, w.prior)
	}
	return w.recent[headSamples/2] > max(slowHead*normal, normal+slowHeadLead)
}
