package consumer

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// keepAlive tells the server that d is being worked on, at a third of the
// AckWait, a little earlier at random so that beats do not come in step: two
// may be lost before the message is given to somebody else. The function that
// it returns ends the heartbeat and waits until it has ended, so that whoever
// settles the message is its only owner.
func keepAlive(ctx context.Context, d *delivery, ackWait time.Duration, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		third := ackWait / 3
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			timer.Reset(third - rand.N(third/10+1))
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
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
