package consumer

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/events"
)

// delivery is one message in hand.
type delivery struct {
	msg      jetstream.Msg
	Stream   string
	Seq      uint64
	Time     time.Time // the stream's timestamp
	Subject  string
	Header   nats.Header
	Data     []byte
	Received time.Time
	// Deliveries counts this one too. It is no count of attempts: crashes,
	// outages and give-backs add to it.
	Deliveries uint64
}

func newDelivery(msg jetstream.Msg, now time.Time) (*delivery, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return nil, fmt.Errorf("delivery without metadata: %w", err)
	}
	return &delivery{
		msg: msg, Stream: meta.Stream, Seq: meta.Sequence.Stream, Time: meta.Timestamp.UTC(),
		Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data(), Received: now, Deliveries: meta.NumDelivered,
	}, nil
}

// decode reads the event. Its identity is set even when it cannot be read. A
// redriven event without an id of its own keeps the one that it had first.
func (d *delivery) decode(kind events.Kind, wholeBucket bool) (events.Event, error) {
	stream, seq, redriven := dlq.Root(d.Header)
	if !redriven {
		stream, seq = d.Stream, d.Seq
	}
	return events.Decode(events.Message{
		Stream: stream, Seq: seq, Time: d.Time, Subject: d.Subject,
		Kind: kind, Header: d.Header, Data: d.Data, WholeBucket: wholeBucket,
	})
}
