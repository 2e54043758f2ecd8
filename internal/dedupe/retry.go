package dedupe

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// tryTimeout bounds one request: an answer that was lost with a connection
	// never comes.
	tryTimeout   = 5 * time.Second
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// errTryAgain is what op returns to retry when the store did answer.
var errTryAgain = errors.New("dedupe: try again")

// retry calls op until it succeeds or ctx ends. Nothing is sent while there is
// no connection: the client would keep every try and send them all at once, in
// a buffer whose room the acks of events need.
func (k *KV) retry(ctx context.Context, op func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	try := func() error {
		if !k.conn.IsConnected() {
			return nats.ErrDisconnected
		}
		tryCtx, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		return op(tryCtx)
	}
	return backoff.Retry(func() error {
		started := time.Now()
		err := try()
		switch {
		case err == nil || errors.Is(err, errTryAgain):
			if d, ok := k.outage.end(); ok {
				k.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "ledger answers again", slog.Duration("after", d))
			}
		case ctx.Err() != nil: // our own end, not the store's
			return backoff.Permanent(ctx.Err())
		case k.outage.begin(started):
			k.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "ledger does not answer, waiting for it", slog.Any("error", err))
		}
		return err
	}, backoff.WithContext(backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstBackoff),
		backoff.WithMaxInterval(maxBackoff),
		backoff.WithMaxElapsedTime(0), // never gives up
	), ctx))
}

// conflicts says that the key is not at the revision that was expected. Create
// and Update tell it by different errors.
func conflicts(err error) bool {
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}

// The codes of JetStream for a write that finds no room, which nats.go doesn't
// name (nats-server, server/errors.json).
const (
	errCodeAccountResources jetstream.ErrorCode = 10002 // the account's limits
	errCodeServerResources  jetstream.ErrorCode = 10023 // the server's limits
	errCodeStoreFailed      jetstream.ErrorCode = 10077 // the stream's limits, or its store is closed
)

func noRoom(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode {
	case errCodeAccountResources, errCodeServerResources, errCodeStoreFailed:
		return true
	}
	return false
}

// tooLarge says that the record exceeds the bucket's MaxValueSize, or what the
// server accepts at all.
func tooLarge(err error) bool {
	return errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum) || errors.Is(err, nats.ErrMaxPayload)
}

// outage is whether the store is known not to answer, so that this is logged
// once rather than by every try of every caller.
type outage struct {
	mu       sync.Mutex
	since    time.Time // zero: it answers
	answered time.Time // the latest answer
}

// begin says whether the failure of a try is news: not when an outage is known,
// nor when the store has answered another one since the try started.
func (o *outage) begin(started time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() || o.answered.After(started) {
		return false
	}
	o.since = time.Now()
	return true
}

// end notes an answer. It says whether that ended an outage, and how long it was.
func (o *outage) end() (time.Duration, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answered = time.Now()
	if o.since.IsZero() {
		return 0, false
	}
	d := o.answered.Sub(o.since)
	o.since = time.Time{}
	return d, true
}
