package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/persist"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/rules"
	"github.com/prestage/prestage/internal/tracing"
)

// Slots is how many messages a lane has in hand at most: messages are the unit
// of delivery, fills the unit of cost (those have a limit of their own).
const Slots = 64

// Bounds of what a lane has in hand, in bytes of payload: what an event names
// takes several times that while it is worked on. A payload larger than one may
// be is not read, and counts as one that is.
const (
	maxInHand  = 32 << 20
	maxPayload = 8 << 20
)

// ErrGone says that the lane's consumer or stream was deleted.
var ErrGone = errors.New("consumer or stream was deleted")

// Warmer does the work that an event asks for. No request is begun once start
// has ended; requests under way end with ctx.
type Warmer interface {
	Warm(ctx, start context.Context, req prestage.Request, p *prestage.Progress) prestage.Report
}

// Gate is closed while the endpoint is down.
type Gate interface {
	Wait(ctx context.Context) error
}

// Config is what lanes are made of.
type Config struct {
	Cluster string
	Policy  Policy
	// Supersede has a checkpoint skipped when a newer one of its run is the last
	// message on its subject.
	Supersede bool
	// DryRun says that Warmer fills nothing: what becomes of an event is told by
	// its receipt alone, as skipped.
	DryRun bool
	// Name is the last token of this work's receipts, results and letters, so that
	// they are not taken for those of the live lanes, which have none.
	Name string
	// Rules are those that hold now; nil: there are none.
	Rules func() *rules.Set
	// Replay, unless nil, makes the lane work through history.
	Replay *Replay
	// Desk, unless nil, is told what is being filled.
	Desk *Desk
	// Tracer, unless nil, makes a span of each delivery.
	Tracer *tracing.Tracer

	Conn *nats.Conn
	// Link tells whether Conn is one; nil: it does so itself, after a while.
	Link persist.Conn
	JS   jetstream.JetStream
	// Events is the stream of the lanes' consumers.
	Events jetstream.Stream
	// Receipts is the bucket prestage_receipts; Results and Letters the streams
	// PRESTAGE_RESULTS and PRESTAGE_DLQ.
	Receipts jetstream.KeyValue
	Results  jetstream.Stream
	Letters  jetstream.Stream
	Resolver Resolver
	Warmer   Warmer
	Gate     Gate
	Metrics  *Metrics
	Log      *slog.Logger
}

// WholeBucket says that the rules may allow an event that names a whole bucket.
func (c *Config) WholeBucket() bool { return c.Rules != nil && c.Rules().WholeBucket() }

// Lane consumes one durable.
type Lane struct {
	name     string
	kind     events.Kind
	cfg      Config
	receipts *receipts
	outbox   *outbox
	letters  *dlq.Box
	memory   memory
	ackWait  ackWait
	full     persist.EveryMinute // that the letters are
	waits    fullQueue           // for that to be over
	log      *slog.Logger
}

// NewLane makes a lane named name, whose plain JSON events are of kind.
func NewLane(name string, kind events.Kind, cfg Config) *Lane {
	log := cfg.Log.With(slog.String("lane", name))
	if cfg.Link == nil {
		cfg.Link = cfg.Conn
	}
	retry := persist.New(cfg.Link, "receipts, letters and results", log)
	return &Lane{
		name: name, kind: kind, cfg: cfg, log: log, memory: memory{limit: maxRememberedObjects},
		receipts: &receipts{kv: cfg.Receipts, events: cfg.Events, retry: retry, log: log},
		outbox:   &outbox{nc: cfg.Conn, js: cfg.JS, results: cfg.Results, letters: cfg.Letters, name: cfg.Name, retry: retry, log: log},
		letters:  dlq.New(cfg.JS, cfg.Letters, cfg.Cluster),
	}
}

// Run takes messages from cons until fetch ends, and returns when those in hand
// are settled. Handlers may go on until work ends. It returns nil after fetch
// ended, ErrGone when the consumer was deleted under it, else what stopped it.
func (l *Lane) Run(work, fetch context.Context, cons jetstream.Consumer) error {
	// What is in hand of a deleted consumer must not be settled: the reply
	// subject could be that of a new consumer's message.
	work, abandon := context.WithCancelCause(work)
	defer abandon(nil)
	defer context.AfterFunc(fetch, func() {
		if err := context.Cause(fetch); errors.Is(err, ErrGone) { // another lane was the first to see it
			abandon(err)
		}
	})()
	l.ackWait.set(cons.CachedInfo().Config.AckWait)

	pulls := &puller{Lane: l, cons: cons}
	slots := make(chan struct{}, Slots)
	payloads := semaphore.NewWeighted(maxInHand)
	var inHand sync.WaitGroup
	defer inHand.Wait()
	withdrawn := make(chan struct{})
	defer func() {
		pulls.withdraw()
		close(withdrawn)
	}()
	for {
		// A slot first: hold nothing that nobody works on.
		if err := l.cfg.Gate.Wait(fetch); err != nil {
			return nil
		}
		select {
		case <-fetch.Done():
			return nil
		case slots <- struct{}{}:
		}
		if payloads.Acquire(fetch, maxPayload) != nil { // the next may be as large as that
			return nil
		}
		msg, err := pulls.next(fetch)
		if err != nil || msg == nil {
			<-slots
			payloads.Release(maxPayload)
			if err != nil {
				abandon(err)
				return err
			}
			if fetch.Err() != nil {
				return nil
			}
			continue
		}
		weight := min(int64(len(msg.Data())), maxPayload)
		payloads.Release(maxPayload - weight)
		inHand.Go(func() {
			defer func() {
				<-slots
				payloads.Release(weight)
			}()
			l.work(work, fetch, withdrawn, msg)
		})
	}
}

// work handles one message from receipt to settlement. Withdrawn is closed when
// the lane has no pull at the server any more: what is given back sooner could
// come back to us.
func (l *Lane) work(ctx, start context.Context, withdrawn <-chan struct{}, msg jetstream.Msg) {
	defer rescue(ctx, l.log)
	d, err := newDelivery(msg, time.Now().UTC())
	if err != nil {
		l.log.LogAttrs(ctx, slog.LevelError, "message ignored", slog.Any("error", err))
		return
	}
	if gone(ctx, start) {
		return
	}
	if start.Err() != nil { // it came with the end of fetching
		<-withdrawn
		settle(context.WithoutCancel(ctx), l.cfg.Conn, d, Settlement{Action: Release}, l.log)
		return
	}
	stop := keepAlive(ctx, d, &l.ackWait, l.log)
	s := l.process(ctx, start, d)
	if s.Action == Release {
		<-withdrawn
	}
	stop()
	if gone(ctx, start) { // since process ended, perhaps
		return
	}
	settle(context.WithoutCancel(ctx), l.cfg.Conn, d, s, l.log)
}

// gone says that the message's consumer, or its stream, is. The lane that sees
// it first ends start for all of them.
func gone(ctx, start context.Context) bool {
	return errors.Is(context.Cause(ctx), ErrGone) || errors.Is(context.Cause(start), ErrGone)
}
