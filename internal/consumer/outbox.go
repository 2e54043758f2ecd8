package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/persist"
)

// ResultsStream is where results are.
const ResultsStream = "PRESTAGE_RESULTS"

// outbox writes what derives from final receipts, each message once.
type outbox struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	results jetstream.Stream
	letters jetstream.Stream
	name    string // the last token of subjects, or ""
	retry   *persist.Retrier
	log     *slog.Logger
}

// errFull says that the stream takes no more.
var errFull = errors.New("stream is full")

// sendLetter stores the dead letter. errFull: the event must be held up.
func (o *outbox) sendLetter(ctx context.Context, d *delivery, r Receipt) error {
	subject := named(dlq.Subject(r.Cluster, d.Stream, d.Seq), o.name)
	limit := o.limit(o.letters)
	m := letter(d, r, subject, limit)
	err := o.once(ctx, o.letters, m)
	if persist.TooLarge(err) && m.Data != nil {
		omitPayload(m, r, limit)
		err = o.once(ctx, o.letters, m)
	}
	return err
}

// sendResult stores the result. A results stream that takes no more holds
// nothing up: that is a warning.
func (o *outbox) sendResult(ctx context.Context, d *delivery, r Receipt) error {
	kind := "warmed"
	if r.Outcome == DeadLettered {
		kind = "failed"
	}
	subject := named(fmt.Sprintf("prestage.%s.%s.%s.%d", kind, r.Cluster, d.Stream, d.Seq), o.name)
	m, err := result(ctx, d, r, subject, time.Now(), o.limit(o.results))
	if err != nil {
		return err
	}
	err = o.once(ctx, o.results, m)
	if errors.Is(err, errFull) || persist.TooLarge(err) {
		o.log.LogAttrs(ctx, slog.LevelWarn, "result not stored", slog.String("stream", ResultsStream),
			slog.String("subject", subject), slog.Any("error", err))
		return nil
	}
	return err
}

// limit is the largest message, headers included, that server and stream take.
func (o *outbox) limit(s jetstream.Stream) int {
	limit := int(o.nc.MaxPayload())
	if n := int(s.CachedInfo().Config.MaxMsgSize); n > 0 && n < limit {
		limit = n
	}
	return limit
}

// once publishes m unless its subject holds the message of this delivery
// already: the expected last sequence of the subject makes that one atomic
// step in the server, without a window of time. A message of an earlier
// incarnation of the stream stays beside the new one.
func (o *outbox) once(ctx context.Context, s jetstream.Stream, m *nats.Msg) error {
	name := s.CachedInfo().Config.Name
	expected, refused := uint64(0), 0
	return o.retry.Do(ctx, func(ctx context.Context) error {
		_, err := o.js.PublishMsg(ctx, m, jetstream.WithExpectStream(name),
			jetstream.WithExpectLastSequencePerSubject(expected), jetstream.WithRetryAttempts(0))
		switch {
		case err == nil:
			return nil
		case persist.Full(err):
			// So answers a store that is being closed, but not twice.
			if refused++; refused < 2 {
				return persist.ErrAgain
			}
			return persist.Final(fmt.Errorf("%w: %w", errFull, err))
		case persist.TooLarge(err):
			return persist.Final(err)
		case !persist.Conflict(err):
			return err
		}
		last, err := s.GetLastMsgForSubject(ctx, m.Subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound): // removed in between
			expected = 0
		case err != nil:
			return err
		case last.Header.Get(dlq.HeaderTime) == m.Header.Get(dlq.HeaderTime):
			return nil
		default:
			expected = last.Sequence
		}
		return persist.ErrAgain
	})
}
