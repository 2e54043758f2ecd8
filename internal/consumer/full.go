package consumer

import (
	"sync"
	"time"
)

// How long an event waits whose dead letter found no room. Whoever makes some
// expects to see it go on; many that wait are not to keep the processors busy.
const (
	fullPause    = 5 * time.Second
	maxFullPause = time.Minute
	fullEvery    = 10 * time.Millisecond // so far apart they come back, of thousands the first ones
)

// fullQueue spaces the events that wait for room. It is safe for concurrent use.
type fullQueue struct {
	mu   sync.Mutex
	last time.Time // when the one that was put off last comes back
}

// pause is how long the next one waits.
func (q *fullQueue) pause(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	soonest, latest := now.Add(fullPause), now.Add(maxFullPause)
	if q.last = q.last.Add(fullEvery); q.last.Before(soonest) {
		q.last = soonest
	} else if q.last.After(latest) {
		q.last = latest
	}
	return q.last.Sub(now)
}
