package prestage

import "sync/atomic"

// What is remembered of single objects, in hashes of them.
const (
	maxRemembered       = 1 << 20 // of one event, and of one listing's keys
	maxRememberedInHand = 4 << 20 // of all events in hand
)

// room is what all events in hand may remember together, so that memory does
// not grow with how many there are and how large they are.
type room struct{ left atomic.Int64 }

func newRoom(n int64) *room {
	r := new(room)
	r.left.Store(n)
	return r
}

// take reserves one place, if there is one.
func (r *room) take() bool {
	if r.left.Add(-1) >= 0 {
		return true
	}
	r.left.Add(1)
	return false
}

// give takes n places back; a negative n reserves them, whether there are so
// many or not.
func (r *room) give(n int) { r.left.Add(int64(n)) }
