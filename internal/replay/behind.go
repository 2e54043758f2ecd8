package replay

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/prestage/prestage/internal/consumer"
)

const (
	// lookEvery is how often the live lanes, and the replay's own durable, are
	// looked at.
	lookEvery = 500 * time.Millisecond
	// servedFor is how long after its last delivery a lane is taken to be served:
	// while all that it may have in hand is slow, nothing is delivered.
	servedFor = 30 * time.Second

	// walking is the pace of a replay, in messages and fills a second, while the
	// live lanes have much to do though they keep up: an event that comes now shares
	// processors and nats-server with it.
	walking = 100
	// hurried is from how many deliveries in a look on they have.
	hurried = 10
)

// behind is a gate that is closed while the live lanes have more to do than they
// have in hand, and lets pass at a walking pace while they keep up with a lot. It
// looks at what waits and is being delivered: what nobody takes
// keeps nobody waiting. What they have in hand closes nothing: it has all the
// requests that it can use under way in a process of its own, some of it may wait
// for a day for its next attempt, and a replay beside a busy lane would never end.
type behind struct {
	consumer.Gate

	mu   sync.Mutex
	busy chan struct{} // closed when the live lanes no longer are; nil: they are not

	walks  atomic.Bool
	walked *rate.Limiter
}

// walk has it let pass at a walking pace until the live lanes have been looked at.
func (b *behind) walk() {
	b.walked = rate.NewLimiter(walking, 1)
	b.walks.Store(true)
}

// Wait implements consumer.Gate.
func (b *behind) Wait(ctx context.Context) error {
	if err := b.hold(ctx); err != nil {
		return err
	}
	return b.Gate.Wait(ctx)
}

// hold waits while the live lanes go first, and its turn while it walks.
func (b *behind) hold(ctx context.Context) error {
	for {
		b.mu.Lock()
		busy := b.busy
		b.mu.Unlock()
		if busy == nil {
			break
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-busy:
		}
	}
	if b.walks.Load() && b.walked.Wait(ctx) != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (b *behind) set(busy bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case busy && b.busy == nil:
		b.busy = make(chan struct{})
	case !busy && b.busy != nil:
		close(b.busy)
		b.busy = nil
	}
}

// watch looks at the live lanes until ctx ends.
func (b *behind) watch(ctx context.Context, stream jetstream.Stream, durables []string) {
	delivered := make(map[string]uint64, len(durables))
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		busy, taken := false, uint64(0)
		for _, name := range durables {
			c, err := stream.Consumer(ctx, name)
			if err != nil { // one that cannot be seen is not in our way
				continue
			}
			info := c.CachedInfo()
			busy = busy || isBusy(info)
			if last, seen := delivered[name]; seen && info.Delivered.Consumer > last {
				taken += info.Delivered.Consumer - last
			}
			delivered[name] = info.Delivered.Consumer
		}
		b.set(busy)
		if !first {
			b.walks.Store(b.walked != nil && taken >= hurried)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// isBusy says that messages of a lane wait that somebody will take.
func isBusy(lane *jetstream.ConsumerInfo) bool {
	last := lane.Delivered.Last
	return lane.NumPending > 0 && !lane.Paused && last != nil && lane.TimeStamp.Sub(*last) < servedFor
}

// paced is a meter behind the live lanes: fills of what is in hand already wait
// for them, too.
type paced struct {
	*meter
	behind *behind
}

// Start implements prestage.Pacer.
func (p paced) Start(ctx context.Context, size int64) (done func(filled int64), err error) {
	if err := p.behind.hold(ctx); err != nil {
		return nil, err
	}
	return p.meter.Start(ctx, size)
}
