package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
)

// settleTimeout bounds the telling of one settlement. What the server was not
// told by then is delivered again, and its receipt makes that a no-op.
const settleTimeout = 10 * time.Second

// settleTry bounds one request: what was written to a connection that was about
// to break is never answered.
const settleTry = 3 * time.Second

// requester is nats.Conn's half that settling needs.
type requester interface {
	RequestWithContext(ctx context.Context, subject string, data []byte) (*nats.Msg, error)
}

// settle tells the server what becomes of d and waits for its answer. All four
// verbs are sent as requests to the reply subject, because the server answers
// each of them: nats.go confirms only the ack.
func settle(ctx context.Context, nc requester, d *delivery, s Settlement, log *slog.Logger) {
	var body string
	switch s.Action {
	case Ack:
		body = "+ACK"
	case Reject:
		body = "+TERM " + string(s.Reason)
	case Retry:
		body = fmt.Sprintf(`-NAK {"delay": %d}`, s.Delay.Nanoseconds())
	case Release:
		body = "-NAK"
	case Abandon:
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(time.Second))
	err := backoff.Retry(func() error {
		try, cancel := context.WithTimeout(ctx, settleTry)
		defer cancel()
		_, err := nc.RequestWithContext(try, d.msg.Reply(), []byte(body))
		if errors.Is(err, nats.ErrNoResponders) { // the consumer is gone
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(b, ctx))
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "settlement not confirmed, left to redelivery",
			slog.String("stream", d.Stream), slog.Uint64("seq", d.Seq), slog.String("verb", body), slog.Any("error", err))
	}
}
