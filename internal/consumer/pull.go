package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// pullFor is how long one pull is parked at the server.
	pullFor = 5 * time.Second

	// pullGrace is what a pull still gets when fetching ends, so that a message
	// on its way is received and given back rather than lost until AckWait.
	pullGrace = 100 * time.Millisecond

	// stalledAfter is how many pulls in a row come back empty, although messages
	// wait and nobody got one, until that is no coincidence: some 20 s.
	stalledAfter = 4

	// unsubscribed is how long the client gets to take back its interest in the
	// last pull, which it does after that has returned.
	unsubscribed = 50 * time.Millisecond
)

// puller takes one message after another from the lane's consumer.
type puller struct {
	*Lane
	cons  jetstream.Consumer
	stall stall
}

// next is one pull. Neither a message nor an error means that nothing waits.
// It is consumer.Next rather than an iterator because the latter, when it holds
// one message at a time, now and then loses its own pull.
func (p *puller) next(fetch context.Context) (jetstream.Msg, error) {
	if p.cfg.Conn.IsReconnecting() {
		// The client would keep the request and send it when we may not listen
		// any more: what it brings then comes again only after AckWait.
		pause(fetch, 100*time.Millisecond)
		return nil, nil
	}
	pull, cancel := context.WithTimeout(context.WithoutCancel(fetch), pullFor)
	defer cancel()
	defer context.AfterFunc(fetch, func() {
		pause(pull, pullGrace)
		cancel()
	})()
	msg, err := p.cons.Next(jetstream.FetchContext(pull))
	switch {
	case err == nil:
		return msg, nil
	case fetch.Err() != nil:
		return nil, nil
	case errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	case errors.Is(err, nats.ErrConnectionClosed):
		return nil, fmt.Errorf("next message: %w", err)
	}
	// A pull to a consumer that is already gone has no answer at all.
	probe, cancelProbe := context.WithTimeout(fetch, pullFor)
	defer cancelProbe()
	info, infoErr := p.cons.Info(probe)
	switch {
	case errors.Is(infoErr, jetstream.ErrConsumerNotFound), errors.Is(infoErr, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("%w: %w", ErrGone, infoErr)
	case infoErr != nil || !emptyPull(err):
		p.log.LogAttrs(fetch, slog.LevelDebug, "pull failed", slog.Any("error", err), slog.Any("info", infoErr))
		pause(fetch, time.Second)
	case p.stall.seen(info):
		p.reopen(probe, info)
	}
	return nil, nil
}

// withdraw returns when the server has nothing parked of this lane any more, or
// cannot be asked. A message that is given back while a pull of ours is parked
// goes to that pull, and then to nobody until AckWait.
func (p *puller) withdraw() {
	time.Sleep(unsubscribed)
	_ = p.cfg.Conn.FlushTimeout(time.Second) // without a connection nothing is parked
}

func emptyPull(err error) bool {
	return errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, context.DeadlineExceeded)
}

// reopen gets a new handle of a consumer that delivers nothing (nats-server
// issues 5839, 6017, 6290: a restart of the client helped some). The metric and
// the log are for whoever can help the server.
func (p *puller) reopen(ctx context.Context, info *jetstream.ConsumerInfo) {
	p.cfg.Metrics.stalls.WithLabelValues(p.name).Inc()
	p.log.LogAttrs(ctx, slog.LevelWarn, "messages wait and are not delivered, opening the consumer anew",
		slog.String("consumer", info.Name), slog.Uint64("pending", info.NumPending), slog.Int("ack_pending", info.NumAckPending))
	cons, err := p.cfg.Events.Consumer(ctx, info.Name)
	if err != nil { // if it is gone the next pull says so
		p.log.LogAttrs(ctx, slog.LevelDebug, "consumer not opened", slog.Any("error", err))
		return
	}
	p.cons = cons
}

// stall notices a consumer that stopped delivering.
type stall struct {
	delivered uint64 // by the consumer, to any replica
	empty     int    // pulls since
}

// seen notes how the consumer stood after a pull of ours that it left empty, and
// says when it should have filled it long ago.
func (s *stall) seen(info *jetstream.ConsumerInfo) bool {
	full := info.Config.MaxAckPending > 0 && info.NumAckPending >= info.Config.MaxAckPending
	if info.NumPending == 0 || info.Paused || full || info.Delivered.Consumer != s.delivered {
		*s = stall{delivered: info.Delivered.Consumer}
		return false
	}
	s.empty++
	if s.empty < stalledAfter {
		return false
	}
	s.empty = 0
	return true
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
