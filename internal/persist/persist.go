// Package persist carries requests to JetStream through its outages, and says
// what JetStream's refusals mean. A message stays in hand while a write about
// it waits here.
package persist

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
)

const (
	// tryTimeout bounds one request: an answer that was lost with a connection
	// never comes.
	tryTimeout   = 5 * time.Second
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// ErrAgain is what an operation returns to be called again although the server
// did answer.
var ErrAgain = errors.New("try again")

// Final marks an error that another try would not change; Do returns err itself.
func Final(err error) error { return backoff.Permanent(err) }

// Conn is the part of *nats.Conn that tells whether trying makes sense.
type Conn interface{ IsConnected() bool }

// Retrier repeats operations on one thing in JetStream, such as a bucket. It
// logs an outage once, however many callers it holds up.
type Retrier struct {
	conn Conn
	what string
	log  *slog.Logger

	mu       sync.Mutex
	since    time.Time // of the outage, zero: there is none
	answered time.Time // the latest answer
}

// New returns a Retrier for what, a word for the log.
func New(conn Conn, what string, log *slog.Logger) *Retrier {
	return &Retrier{conn: conn, what: what, log: log.With(slog.String("what", what))}
}

// Do calls op until it succeeds, returns a Final error, or ctx ends (the error
// is then ctx's cause). Nothing is sent without a connection: the client would
// keep every try and send them all at once, from a buffer whose room the acks
// of events need.
func (r *Retrier) Do(ctx context.Context, op func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := backoff.Retry(func() error {
		started := time.Now()
		err := r.try(ctx, op)
		var final *backoff.PermanentError
		switch {
		case err == nil, errors.Is(err, ErrAgain), errors.As(err, &final):
			r.answer()
		case ctx.Err() != nil: // our own end, not the server's
			return backoff.Permanent(err)
		default:
			r.silence(ctx, started, err)
		}
		return err
	}, backoff.WithContext(backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstBackoff),
		backoff.WithMaxInterval(maxBackoff),
		backoff.WithMaxElapsedTime(0), // never gives up
	), ctx))
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (r *Retrier) try(ctx context.Context, op func(context.Context) error) error {
	if !r.conn.IsConnected() {
		return nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return op(ctx)
}

// silence notes that a try which began at started brought no answer. That is
// no news in an outage, nor when another try was answered since.
func (r *Retrier) silence(ctx context.Context, started time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.since.IsZero() || r.answered.After(started) {
		return
	}
	r.since = time.Now()
	r.log.LogAttrs(ctx, slog.LevelWarn, "nats does not answer, waiting", slog.Any("error", err))
}

func (r *Retrier) answer() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = time.Now()
	if !r.since.IsZero() {
		r.log.Info("nats answers again", slog.String("after", r.answered.Sub(r.since).String()))
		r.since = time.Time{}
	}
}
