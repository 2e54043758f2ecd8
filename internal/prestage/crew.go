package prestage

import (
	"context"
	"sync"

	"github.com/prestage/prestage/internal/object"
)

// minCrew is how many objects of an event are in hand at least, whatever else
// is going on.
const minCrew = 8

// crew bounds how many objects of one event are in hand. Most of them may be
// waiting for a permit, so that a lonely event may have as many as there are
// permits; many events of one priority share twice that number, and memory does
// not grow with their product.
type crew struct {
	warmer   *Warmer
	priority Priority
	left     chan struct{} // somebody has; capacity 1, since one goroutine joins them all

	mu     sync.Mutex
	inside int
}

func newCrew(w *Warmer, p Priority) *crew {
	return &crew{warmer: w, priority: p, left: make(chan struct{}, 1)}
}

// join waits for a place. It is called by one goroutine at a time.
func (c *crew) join(ctx context.Context) error {
	for !c.tryJoin() {
		select {
		case <-c.left:
		case <-ctx.Done():
			return ended(ctx, "warm", object.Ref{})
		}
	}
	return nil
}

func (c *crew) tryJoin() bool {
	limit := int64(c.warmer.guard.limiter.Ceiling())
	share := min(limit, max(minCrew, 2*limit/max(c.warmer.active[c.priority].Load(), 1)))
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(c.inside) >= share {
		return false
	}
	c.inside++
	return true
}

func (c *crew) leave() {
	c.mu.Lock()
	c.inside--
	c.mu.Unlock()
	select {
	case c.left <- struct{}{}:
	default:
	}
}
