package confirm

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"slices"
	"sync"
)

const (
	// MaxSample is how many objects of an event are confirmed at most.
	MaxSample  = 32
	maxLargest = 16
	minSample  = 8 // of more than that: fewer say nothing of the event
	maxLearn   = 2 // objects of an event that only teach us
)

// Sample chooses which of an event's objects are confirmed: all of a few, else
// the largest and some others at random. It is safe for concurrent use.
type Sample struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	largest bySize
	others  []Target
	passed  int // targets that were none of the largest, at least at last
	read    []Target
}

// NewSample returns an empty Sample.
func (c *Confirmer) NewSample() *Sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Sample{rnd: rand.New(rand.NewPCG(c.rnd.Uint64(), c.rnd.Uint64()))}
}

// Add offers t.
func (s *Sample) Add(t Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Read && len(s.read) < maxLearn {
		s.read = append(s.read, t)
	}
	heap.Push(&s.largest, t)
	if len(s.largest) <= maxLargest {
		return
	}
	t = heap.Pop(&s.largest).(Target) //nolint:forcetypeassert // the heap holds nothing else
	s.passed++
	if len(s.others) < MaxSample-maxLargest {
		s.others = append(s.others, t)
	} else if i := s.rnd.IntN(s.passed); i < len(s.others) {
		s.others[i] = t
	}
}

// Of is how many targets the sample was chosen from.
func (s *Sample) Of() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.largest) + s.passed
}

// targets are those chosen, the largest first.
func (s *Sample) targets() []Target {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Concat(s.largest, s.others)
	slices.SortFunc(out, func(a, b Target) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Key, b.Key))
	})
	return out
}

// bySize is a heap with the smallest on top.
type bySize []Target

func (h bySize) Len() int           { return len(h) }
func (h bySize) Less(i, j int) bool { return h[i].Size < h[j].Size }
func (h bySize) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *bySize) Push(x any)        { *h = append(*h, x.(Target)) } //nolint:forcetypeassert // nothing else is pushed
func (h *bySize) Pop() any {
	old := *h
	t := old[len(old)-1]
	*h = old[:len(old)-1]
	return t
}
