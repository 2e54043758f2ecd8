package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/persist"
)

// Event is the story of one event: its receipts, the earliest first, and the
// dead letters of those that have one.
type Event struct {
	EventID  string             `json:"event_id"`
	Receipts []consumer.Receipt `json:"receipts"`
	Letters  []Letter           `json:"letters"`
}

// Letter is what is to be known of a dead letter.
type Letter struct {
	Letter      string         `json:"letter"` // its subject
	Reason      outcome.Reason `json:"reason"`
	Error       string         `json:"error"`
	Redrives    int            `json:"redrives"`
	RedrivenSeq uint64         `json:"redriven_seq,omitempty"`
}

// ReadEvent tells of the event with that id, of any source. One that no replica
// has had yet has no receipts.
func ReadEvent(ctx context.Context, s Source, id string) (Event, error) {
	out := Event{EventID: id, Receipts: []consumer.Receipt{}, Letters: []Letter{}}
	kv, err := s.JS.KeyValue(ctx, s.Receipts)
	if err != nil {
		return out, fmt.Errorf("bucket %s: %w", s.Receipts, err)
	}
	err = persist.Watch(ctx, kv, consumer.ReceiptKeys(s.Cluster, id), func(entry jetstream.KeyValueEntry) (bool, error) {
		if entry == nil {
			return true, nil
		}
		var r consumer.Receipt
		if err := json.Unmarshal(entry.Value(), &r); err != nil {
			return false, fmt.Errorf("read receipt %s: %w", entry.Key(), err)
		}
		out.Receipts = append(out.Receipts, r)
		return false, nil
	})
	if err != nil {
		return out, err
	}
	letters, err := s.JS.Stream(ctx, dlq.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("stream %s: %w", dlq.Stream, err)
	}
	box := dlq.New(s.JS, letters, s.Cluster)
	for _, r := range out.Receipts {
		if r.Outcome != consumer.DeadLettered {
			continue
		}
		subject := dlq.Subject(s.Cluster, r.Stream, r.StreamSeq)
		if err := box.Each(ctx, []string{subject, subject + ".>"}, func(l dlq.Letter) error {
			out.Letters = append(out.Letters, Letter{l.Subject, l.Reason, l.Error, l.Mark.Count, l.Mark.Seq})
			return nil
		}); err != nil {
			return out, err
		}
	}
	return out, nil
}
