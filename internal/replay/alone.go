package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrRunning says that a replay of this name is running.
var ErrRunning = errors.New("a replay of this name is running")

// running is what a replay answers whoever asks for it.
const running = "running"

// runningTimeout is how long one that runs may take to say so. One that is frozen,
// or cut off, says nothing, and is gone on with.
const runningTimeout = 2 * time.Second

// alone makes sure that nobody else works through the durable, whose counts and
// failures would then be divided, and has this replay say that it runs until the
// function that it returns is called. Of two that begin in the same moment both
// may go on: receipts keep them from doing anything twice.
func (r *Replay) alone(ctx context.Context) (stop func(), err error) {
	nc, subject := r.Lane.Conn, fmt.Sprintf("prestage.replay.%s.%s.%s", r.Lane.Cluster, r.Stream.CachedInfo().Config.Name, r.Lane.Name)
	ask, cancel := context.WithTimeout(ctx, runningTimeout)
	defer cancel()
	// A stream that takes every subject would answer, too.
	if m, err := nc.RequestWithContext(ask, subject, nil); err == nil && string(m.Data) == running {
		return nil, fmt.Errorf("%w: wait for its end, or give this one another --name", ErrRunning)
	}
	sub, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(running)) })
	if err != nil {
		return nil, fmt.Errorf("say that the replay runs: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}
