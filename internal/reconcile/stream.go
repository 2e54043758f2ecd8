package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/publish"
)

// sendTimeout bounds one publish.
const sendTimeout = 10 * time.Second

// JetStream is the Stream of the daemon.
type JetStream struct {
	JS       jetstream.JetStream
	Events   jetstream.Stream
	Receipts jetstream.KeyValue
	Cluster  string
	Subject  string // of the events
}

// Fate implements Stream. A receipt that is not final counts only while the
// stream has its message: without that nobody will ever work on it.
func (s *JetStream) Fate(ctx context.Context, id string) (consumer.Receipt, error) {
	r, err := consumer.Latest(ctx, s.Receipts, consumer.ReceiptKeys(s.Cluster, id))
	if err != nil || r.Outcome != consumer.Pending {
		return r, err
	}
	m, err := s.Events.GetMsg(ctx, r.StreamSeq)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound), err == nil && !m.Time.Equal(r.StreamTime):
		return consumer.Receipt{}, nil
	case err != nil:
		return r, fmt.Errorf("message %d of %s: %w", r.StreamSeq, r.Stream, err)
	}
	return r, nil
}

// Send implements Stream.
func (s *JetStream) Send(ctx context.Context, e publish.Event) (publish.Sent, error) {
	m, err := publish.Message(e, s.Subject)
	if err != nil {
		return publish.Sent{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return publish.Send(ctx, s.JS, s.Events.CachedInfo().Config.Name, e, m)
}
