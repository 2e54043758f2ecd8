package prestage

import "math/rand/v2"

// How many items of a walk are held back at most, to be taken out of order.
const (
	maxSpread    = 4096
	minSpread    = 256
	sharedSpread = 16384 // of all events, as far as minSpread leaves them that
)

// spread takes the items of a walk out of order. A checkpoint is one narrow range
// of keys, and many requests at one range "can overload individual partitions"
// of the store's metadata (CoreWeave, best practices, "Metadata path
// optimization").
type spread struct {
	limit int
	held  []turn
	seen  int
}

// add takes an item and returns one, if there is one to be handled now. The
// window fills up slowly, so that the first items are not kept waiting.
func (s *spread) add(i turn) (turn, bool) {
	s.held = append(s.held, i)
	s.seen++
	if len(s.held) <= min(s.limit, s.seen/2) {
		return turn{}, false
	}
	return s.next()
}

// next returns one of those that are held.
func (s *spread) next() (turn, bool) {
	if len(s.held) == 0 {
		return turn{}, false
	}
	at, last := rand.N(len(s.held)), len(s.held)-1
	i := s.held[at]
	s.held[at], s.held[last] = s.held[last], turn{}
	s.held = s.held[:last]
	return i, true
}

// window is how many items one event holds back.
func (w *Warmer) window() int {
	var active int64
	for i := range w.active {
		active += w.active[i].Load()
	}
	return min(maxSpread, max(minSpread, sharedSpread/int(max(active, 1))))
}
