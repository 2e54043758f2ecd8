package persist

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Watch calls visit with what kv holds under keys ("*" and ">" as in NATS), then
// once with nil, then with every change, until it returns true or an error. It
// asks for nothing again: the server tells. Deletions are left out. When ctx ends
// the error is its cause.
func Watch(ctx context.Context, kv jetstream.KeyValue, keys string, visit func(jetstream.KeyValueEntry) (done bool, err error)) error {
	w, err := kv.Watch(ctx, keys, jetstream.IgnoreDeletes())
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("watch %s: %w", kv.Bucket(), err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case entry, open := <-w.Updates():
			switch {
			case !open && ctx.Err() != nil: // the watch ends with ctx
				return context.Cause(ctx)
			case !open:
				return errors.New("watch " + kv.Bucket() + ": connection closed")
			}
			if done, err := visit(entry); done || err != nil {
				return err
			}
		}
	}
}
