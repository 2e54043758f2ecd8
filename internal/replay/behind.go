package replay

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
)

// lookEvery is how often the live lanes, and the replay's own durable, are
// looked at.
const lookEvery = 500 * time.Millisecond

// behind is a gate that is closed while the live lanes have more to do than they
// have in hand. It looks at what waits and is being delivered: what nobody takes
// keeps nobody waiting.
type behind struct {
	consumer.Gate
	busy atomic.Bool
}

// Wait implements consumer.Gate.
func (b *behind) Wait(ctx context.Context) error {
	if err := b.hold(ctx); err != nil {
		return err
	}
	return b.Gate.Wait(ctx)
}

// hold waits while the live lanes go first.
func (b *behind) hold(ctx context.Context) error {
	for b.busy.Load() {
		timer := time.NewTimer(lookEvery / 5)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
	return nil
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

// watch looks at the live lanes until ctx ends.
func (b *behind) watch(ctx context.Context, stream jetstream.Stream, durables []string) {
	delivered := make(map[string]uint64, len(durables))
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		busy := false
		for _, name := range durables {
			c, err := stream.Consumer(ctx, name)
			if err != nil { // there is none, or it cannot be seen: it is not in our way
				continue
			}
			info := c.CachedInfo()
			last, seen := delivered[name]
			busy = busy || (seen && info.NumPending > 0 && info.Delivered.Consumer > last)
			delivered[name] = info.Delivered.Consumer
		}
		b.busy.Store(busy)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
