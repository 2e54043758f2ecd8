package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
)

// Dial connects once, for a command that does not wait for a server.
func Dial(c Config, more ...nats.Option) (*nats.Conn, error) {
	more = append([]nats.Option{nats.RetryOnFailedConnect(false)}, more...)
	nc, err := connect(c, instanceName(c), slog.New(slog.DiscardHandler), nil, more...)
	if err != nil {
		return nil, suspect(err)
	}
	return nc, nil
}

// DialUntil is Dial for a command that waits for a server that is down, until ctx
// ends. It calls tell once, with why there is no connection yet. A server that
// refuses us is not waited for.
func DialUntil(ctx context.Context, c Config, tell func(error), more ...nats.Option) (*nats.Conn, error) {
	var why error
	more = append([]nats.Option{nats.RetryOnFailedConnect(false)}, more...)
	nc, err := backoff.RetryNotifyWithData(func() (*nats.Conn, error) {
		nc, err := connectUntil(ctx, c, instanceName(c), slog.New(slog.DiscardHandler), nil, more...)
		switch {
		case err != nil && !isDown(err):
			return nil, backoff.Permanent(suspect(err))
		case err != nil:
			return nil, suspect(err)
		case nc == nil:
			return nil, backoff.Permanent(context.Cause(ctx))
		}
		return nc, nil
	}, backoff.WithContext(backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0),
	), ctx), func(err error, _ time.Duration) {
		if why == nil {
			tell(err)
		}
		why = err
	})
	if err != nil && ctx.Err() != nil { // rather than that time is over
		err = cmp.Or(why, suspect(errors.New("connect to nats: no server has answered yet")))
	}
	return nc, err
}

// isDown says that no server answered, which may be otherwise a moment later. One
// that refuses us, or that we do not trust, is not down.
func isDown(err error) bool {
	if op := new(net.OpError); errors.As(err, &op) {
		return op.Op != "remote error" // an alert of TLS
	}
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrMaxConnectionsExceeded) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, io.EOF)
}

// suspect adds to why there is no connection which setting to look at.
func suspect(err error) error {
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) {
		return fmt.Errorf("%w; are NATS_CREDS, NATS_NKEY, NATS_USER with NATS_PASSWORD, or NATS_TOKEN right?", err)
	}
	return fmt.Errorf("%w; is NATS_URL right?", err)
}
