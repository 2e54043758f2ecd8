package consumer

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// ackWait is the AckWait of the lane's consumer as far as is known. Another
// replica, with another configuration, may change it at any time.
type ackWait struct {
	mu      sync.Mutex
	wait    time.Duration
	changed chan struct{} // closed when wait is no longer so
}

func (a *ackWait) get() (wait time.Duration, changed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.wait, a.changed
}

func (a *ackWait) set(wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if wait == a.wait {
		return
	}
	if a.changed != nil {
		close(a.changed)
	}
	a.wait, a.changed = wait, make(chan struct{})
}

// keepAlive tells the server that d is being worked on, at a third of the
// AckWait, a little earlier at random so that beats do not come in step: two
// may be lost before the message is given to somebody else. The function that
// it returns ends the heartbeat and waits until it has ended, so that whoever
// settles the message is its only owner.
func keepAlive(ctx context.Context, d *delivery, ackWait *ackWait, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer rescue(ctx, log)
		timer := time.NewTimer(0)
		defer timer.Stop()
		for last := time.Now(); ; {
			wait, changed := ackWait.get()
			third := wait / 3
			timer.Reset(time.Until(last.Add(third - rand.N(third/10+1))))
			select {
			case <-ctx.Done():
				return
			case <-changed:
				continue
			case last = <-timer.C:
			}
			// Fire and forget: during an outage it is buffered, and what it
			// would have prevented the receipt makes harmless.
			if err := d.msg.InProgress(); err != nil {
				log.LogAttrs(ctx, slog.LevelDebug, "heartbeat not sent", slog.Uint64("seq", d.Seq), slog.Any("error", err))
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
