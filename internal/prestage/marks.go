package prestage

import "math/bits"

// mark is one bit that is remembered of an object.
type mark uint64

const (
	filled mark = 1 << iota // by this event, in whatever attempt
	told                    // of its fate, in this attempt
)

const allMarks = filled | told

// markSet remembers marks of objects by 62 bits of their hashes, 11 to 16 bytes
// for each: a Go map would take 40. That two of a million objects are taken for
// one has odds of one in nine million. The zero value is empty.
type markSet struct {
	slots []uint64 // hash and marks; 0: free. Three quarters are in use at most
	n     int
}

// get returns what is remembered of h.
func (s *markSet) get(h uint64) mark {
	if s.n == 0 {
		return 0
	}
	return mark(s.slots[s.find(h)]) & allMarks
}

// add adds m to what is remembered of h.
func (s *markSet) add(h uint64, m mark) {
	if 4*(s.n+1) > 3*len(s.slots) {
		s.rebuild(len(s.slots)*3/2+64, allMarks)
	}
	i := s.find(h)
	if s.slots[i] == 0 {
		s.n++
		s.slots[i] = h &^ uint64(allMarks)
	}
	s.slots[i] |= uint64(m)
}

// keep forgets all marks but m, and the objects that have no other.
func (s *markSet) keep(m mark) {
	n := 0
	for _, e := range s.slots {
		if mark(e)&m != 0 {
			n++
		}
	}
	s.rebuild(n*3/2+64, m)
}

func (s *markSet) rebuild(size int, m mark) {
	old := s.slots
	s.slots, s.n = make([]uint64, size), 0
	for _, e := range old {
		if mark(e)&m == 0 {
			continue
		}
		s.slots[s.find(e)] = e &^ uint64(allMarks&^m)
		s.n++
	}
}

// find is where h is, or belongs: linear probing from where its upper bits
// point to.
func (s *markSet) find(h uint64) int {
	start, _ := bits.Mul64(h, uint64(len(s.slots)))
	i := int(start) //nolint:gosec // below len(s.slots)
	for s.slots[i] != 0 && (s.slots[i]^h)&^uint64(allMarks) != 0 {
		if i++; i == len(s.slots) {
			i = 0
		}
	}
	return i
}
