package persist

import (
	"sync"
	"time"
)

// EveryMinute has what is true again and again told once a minute at most. It is
// safe for concurrent use.
type EveryMinute struct {
	mu   sync.Mutex
	last time.Time
}

// Now says that it is to be told.
func (e *EveryMinute) Now() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if !e.last.IsZero() && now.Sub(e.last) < time.Minute {
		return false
	}
	e.last = now
	return true
}
