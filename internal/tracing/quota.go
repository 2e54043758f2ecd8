package tracing

import "sync"

// Spans of one name below one message's: the first, and of those that fail once
// there are so many, the first again. An event may have a million objects, the
// queue of those who export holds two thousand spans.
const (
	maxSpans  = 32
	maxFailed = 32
)

// quota bounds the spans below one message's. The zero value is ready.
type quota struct {
	mu     sync.Mutex
	made   map[string]int // by name
	failed map[string]int
	left   int // out
}

type quotaKey struct{}

// take says whether there may be one more span of this name.
func (q *quota) take(name string, failed bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.made == nil {
		q.made, q.failed = make(map[string]int), make(map[string]int)
	}
	switch {
	case q.made[name] < maxSpans:
		q.made[name]++
		return true
	case failed && q.failed[name] < maxFailed:
		q.failed[name]++
		return true
	}
	q.left++
	return false
}

// leftOut is how many there would be more.
func (q *quota) leftOut() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.left
}
