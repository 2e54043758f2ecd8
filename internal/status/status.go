// Package status tells how prestage stands: from JetStream, of which no keys are
// listed, and from the daemons that run, each of which answers for itself.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/outcome"
)

// Source is where the status is read.
type Source struct {
	JS       jetstream.JetStream
	Cluster  string
	Stream   string
	Receipts string // the bucket of receipts
	Lanes    []Durable
	// Self, unless nil, is the instance that asks: it need not be told by NATS.
	Self func() Instance

	// For the story of an event.
	Ledger string        // the bucket of records
	TTL    time.Duration // how long they count
	Expand Expander      // nil: objects cannot be told
	Log    *slog.Logger
}

// Durable is a lane's consumer.
type Durable struct{ Lane, Durable string }

// Status is how one cluster stands.
type Status struct {
	Cluster     string             `json:"cluster"`
	Time        time.Time          `json:"time"`
	Problem     string             `json:"problem,omitempty"` // why there is nothing but the instance that was asked
	Instances   []Instance         `json:"instances"`         // those that answer
	Stream      string             `json:"stream"`
	Messages    uint64             `json:"stream_messages"`
	Lanes       []Lane             `json:"lanes"`
	DeadLetters DeadLetters        `json:"dead_letters"`
	Budget      *Budget            `json:"budget,omitempty"` // nil: nothing of one in the last hour
	Receipts    []consumer.Receipt `json:"receipts"`         // the last ones, the latest first
}

// Lane is how a lane stands.
type Lane struct {
	Lane        string    `json:"lane"`
	Durable     string    `json:"durable"`
	Waiting     uint64    `json:"waiting"`   // events that nobody has taken yet
	InFlight    int       `json:"in_flight"` // taken and not settled: in hand, or due again later
	OldestEvent time.Time `json:"oldest_event,omitzero"`
	OldestAge   float64   `json:"oldest_event_age_seconds"` // 0: none waits
	PausedUntil time.Time `json:"paused_until,omitzero"`
	Problem     string    `json:"problem,omitempty"`
}

// DeadLetters are counted by reason.
type DeadLetters struct {
	Total    int                    `json:"total"`
	Redriven int                    `json:"redriven"` // of them, and not closed yet
	ByReason map[outcome.Reason]int `json:"by_reason"`
	// More says that there are more: so many cannot be counted in time.
	More bool `json:"more,omitempty"`
}

// countFor is how long letters are counted: there may be millions.
const countFor = 5 * time.Second

// lastReceipts is how many receipts a Status has. Of the messages of the
// bucket's stream, no more than lookBack are looked at for them.
const (
	lastReceipts = 10
	lookBack     = 500
)

// Alone is what an instance can tell without NATS.
func Alone(s Source, problem string) Status {
	out := blank(s)
	out.Problem, out.Instances = problem, []Instance{s.Self()}
	return out
}

func blank(s Source) Status {
	return Status{
		Cluster: s.Cluster, Stream: s.Stream, Time: time.Now().UTC(), Instances: []Instance{}, Lanes: []Lane{},
		DeadLetters: DeadLetters{ByReason: map[outcome.Reason]int{}}, Receipts: []consumer.Receipt{},
	}
}

// Read is the status now.
func Read(ctx context.Context, s Source) (Status, error) {
	out := blank(s)
	var err error
	if out.Instances, err = s.instances(ctx); err != nil {
		return out, err
	}
	stream, err := s.JS.Stream(ctx, s.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return out, fmt.Errorf("the stream %s does not exist: start prestage run once, it creates it", s.Stream)
	}
	if err != nil {
		return out, fmt.Errorf("stream %s: %w", s.Stream, err)
	}
	out.Messages = stream.CachedInfo().State.Msgs
	for _, d := range s.Lanes {
		l, err := readLane(ctx, stream, d)
		if err != nil {
			return out, err
		}
		out.Lanes = append(out.Lanes, l)
	}
	if out.DeadLetters, err = s.deadLetters(ctx, countFor); err != nil {
		return out, err
	}
	if out.Budget, err = s.budget(ctx); err != nil {
		return out, err
	}
	out.Receipts, err = s.latest(ctx)
	return out, err
}

// instances are those that answer, Self among them.
func (s Source) instances(ctx context.Context) ([]Instance, error) {
	out, err := Instances(ctx, s.JS.Conn(), s.Cluster)
	if err != nil || s.Self == nil {
		return out, err
	}
	self := s.Self()
	if !slices.ContainsFunc(out, func(i Instance) bool { return i.Name == self.Name }) {
		out = append(out, self)
	}
	return out, nil
}

func readLane(ctx context.Context, stream jetstream.Stream, d Durable) (Lane, error) {
	l := Lane{Lane: d.Lane, Durable: d.Durable}
	c, err := stream.Consumer(ctx, d.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		l.Problem = "the durable does not exist: nobody consumes this lane"
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("consumer %s: %w", d.Durable, err)
	}
	info := c.CachedInfo()
	l.Waiting, l.InFlight = info.NumPending, info.NumAckPending
	if info.Paused {
		l.PausedUntil = time.Now().Add(info.PauseRemaining).UTC().Truncate(time.Second)
	}
	if l.Waiting > 0 || l.InFlight > 0 {
		if l.OldestEvent, err = consumer.Oldest(ctx, stream, info); err != nil {
			return l, err
		}
		if !l.OldestEvent.IsZero() {
			l.OldestAge = max(time.Since(l.OldestEvent).Seconds(), 0)
		}
	}
	return l, nil
}

// deadLetters counts the letters from their headers: the reason is in no subject.
func (s Source) deadLetters(ctx context.Context, patience time.Duration) (DeadLetters, error) {
	out := DeadLetters{ByReason: map[outcome.Reason]int{}}
	letters, err := s.JS.Stream(ctx, dlq.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("stream %s: %w", dlq.Stream, err)
	}
	until := time.Now().Add(patience)
	err = dlq.New(s.JS, letters, s.Cluster).EachHeader(ctx, func(l dlq.Letter) error {
		if !time.Now().Before(until) {
			out.More = true
			return errEnough
		}
		out.Total++
		reason := l.Reason
		if l.Damage != "" {
			reason = "damaged"
		}
		out.ByReason[reason]++
		if l.Mark.Count > 0 {
			out.Redriven++
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}

// latest are the receipts that were written last.
func (s Source) latest(ctx context.Context) ([]consumer.Receipt, error) {
	out := []consumer.Receipt{}
	bucket, err := s.JS.Stream(ctx, "KV_"+s.Receipts)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("bucket %s: %w", s.Receipts, err)
	}
	state := bucket.CachedInfo().State
	for seq, n := state.LastSeq, 0; seq >= max(state.FirstSeq, 1) && n < lookBack && len(out) < lastReceipts; seq, n = seq-1, n+1 {
		m, err := bucket.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) { // replaced by a later one
			continue
		}
		if err != nil {
			return out, fmt.Errorf("bucket %s: %w", s.Receipts, err)
		}
		var r consumer.Receipt
		if json.Unmarshal(m.Data, &r) == nil && r.Cluster == s.Cluster {
			out = append(out, r)
		}
	}
	return out, nil
}
