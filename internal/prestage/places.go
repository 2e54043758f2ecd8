package prestage

import (
	"strings"

	"github.com/prestage/prestage/internal/object"
)

// places are objects, and what is below prefixes. Whether they have an object
// costs as much as its key has elements, however many places there are: an event
// may tell of tens of thousands.
type places map[place]bool

type place struct {
	object.Ref
	flat bool // only what is directly below it
}

// add adds an object, or what is below a prefix; flat leaves out what is deeper.
func (p places) add(ref object.Ref, flat bool) { p[place{ref, flat}] = true }

// has says that ref is one of the objects, or below one of the prefixes.
func (p places) has(ref object.Ref) bool {
	if p[place{ref, false}] {
		return true
	}
	direct := true
	for end := strings.LastIndexByte(ref.Key, '/'); end >= 0; end = strings.LastIndexByte(ref.Key[:end], '/') {
		dir := object.Ref{Bucket: ref.Bucket, Key: ref.Key[:end+1]}
		if p[place{dir, false}] || (direct && p[place{dir, true}]) {
			return true
		}
		direct = false
	}
	return false
}
