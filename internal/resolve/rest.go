package resolve

import (
	"sync"
	"time"

	"github.com/prestage/prestage/internal/outcome"
)

// The pauses of a rest.
const (
	minRest = time.Second
	maxRest = 30 * time.Second
)

// rest is the pause that a server gets that does not answer. Events that need it
// meanwhile are put off at once: each of them would otherwise hold a place of its
// lane until the time-out, and keep other events from being warmed.
//
// When the pause is over one question is let through, and the rest of them when
// it was answered.
type rest struct {
	mu      sync.Mutex
	until   time.Time
	last    time.Duration // 0: the server answers
	probing bool
	why     *outcome.Error
}

// over returns nil when the server may be asked, else why not.
func (r *rest) over(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.until) {
		e := *r.why
		e.RetryAfter = r.until.Sub(now)
		return &e
	}
	if r.last > 0 {
		r.probing, r.until = true, now.Add(askTimeout)
	}
	return nil
}

// begin has the server left alone because of e, each time for twice as long.
// Questions that were under way together count once.
func (r *rest) begin(now time.Time, e *outcome.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.until) && !r.probing {
		return
	}
	r.last = min(max(2*r.last, minRest), maxRest)
	r.probing, r.until, r.why = false, now.Add(max(r.last, e.RetryAfter)), e
}

// end says that the server has answered.
func (r *rest) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.probing, r.until, r.last = false, time.Time{}, 0
}
