package status

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/persist"
)

// Event is the story of one event: its receipts, the earliest first, the dead
// letters of those that have one, what instances are filling of it now, and the
// latest of its messages.
type Event struct {
	EventID  string             `json:"event_id"`
	Tasks    []consumer.Task    `json:"tasks"`
	Receipts []consumer.Receipt `json:"receipts"`
	Letters  []Letter           `json:"letters"`
	Messages []Message          `json:"messages"`
}

// Letter is what is to be known of a dead letter.
type Letter struct {
	Letter      string         `json:"letter"` // its subject
	Reason      outcome.Reason `json:"reason"`
	Error       string         `json:"error"`
	Redrives    int            `json:"redrives"`
	RedrivenSeq uint64         `json:"redriven_seq,omitempty"`
}

// Known says that there is anything to tell.
func (e Event) Known() bool { return len(e.Receipts)+len(e.Tasks)+len(e.Messages) > 0 }

// ReadEvent tells of the event with that id, of any source, or of the one that
// the stream has there when the id is like one that the stream gives (EVENTS/42).
// By an id of its own it is not known before a replica has had it.
func ReadEvent(ctx context.Context, s Source, id string) (Event, error) {
	out, err := s.event(ctx, id)
	if err != nil || len(out.Receipts)+len(out.Tasks) > 0 || len(out.Messages) == 0 || out.Messages[0].EventID == id {
		return out, err
	}
	if own, err := s.event(ctx, out.Messages[0].EventID); err != nil || own.Known() {
		return own, err
	}
	return out, nil
}

func (s Source) event(ctx context.Context, id string) (Event, error) {
	out := Event{EventID: id, Tasks: []consumer.Task{}, Receipts: []consumer.Receipt{}, Letters: []Letter{}, Messages: []Message{}}
	instances, err := s.instances(ctx)
	if err != nil {
		return out, err
	}
	for _, i := range instances {
		for _, t := range i.Tasks {
			if t.EventID == short(id) {
				out.Tasks = append(out.Tasks, t)
			}
		}
	}
	if out.Receipts, err = s.receipts(ctx, id); err != nil {
		return out, err
	}
	if out.Letters, err = s.letters(ctx, out.Receipts); err != nil {
		return out, err
	}
	out.Messages, err = s.messages(ctx, out)
	return out, err
}

func (s Source) receipts(ctx context.Context, id string) ([]consumer.Receipt, error) {
	out := []consumer.Receipt{}
	kv, err := s.JS.KeyValue(ctx, s.Receipts)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return out, nil
	}
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
		out = append(out, r)
		return false, nil
	})
	return out, err
}

func (s Source) letters(ctx context.Context, receipts []consumer.Receipt) ([]Letter, error) {
	out := []Letter{}
	stream, err := s.JS.Stream(ctx, dlq.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("stream %s: %w", dlq.Stream, err)
	}
	box := dlq.New(s.JS, stream, s.Cluster)
	asked := map[string]bool{} // a replay's receipt is of the same message
	for _, r := range receipts {
		subject := dlq.Subject(s.Cluster, r.Stream, r.StreamSeq)
		if r.Outcome != consumer.DeadLettered || asked[subject] {
			continue
		}
		asked[subject] = true
		if err := box.Each(ctx, []string{subject, subject + ".>"}, func(l dlq.Letter) error {
			out = append(out, Letter{l.Subject, l.Reason, l.Error, l.Mark.Count, l.Mark.Seq})
			return nil
		}); err != nil {
			return out, err
		}
	}
	return out, nil
}

// messages are those that receipts and tasks name, the latest first. An id that
// the stream gave names its own.
func (s Source) messages(ctx context.Context, e Event) ([]Message, error) {
	type place struct {
		stream string
		seq    uint64
	}
	known := map[place]*consumer.Receipt{}
	for _, t := range e.Tasks {
		known[place{t.Stream, t.StreamSeq}] = nil
	}
	for i, r := range e.Receipts {
		known[place{r.Stream, r.StreamSeq}] = &e.Receipts[i]
	}
	if seq, ok := strings.CutPrefix(e.EventID, s.Stream+"/"); ok && len(known) == 0 {
		if n, err := strconv.ParseUint(seq, 10, 64); err == nil {
			known[place{s.Stream, n}] = nil
		}
	}
	places := slices.SortedFunc(maps.Keys(known), func(a, b place) int {
		return cmp.Or(cmp.Compare(b.seq, a.seq), strings.Compare(a.stream, b.stream))
	})
	out := []Message{}
	for _, p := range places[:min(len(places), maxMessages)] {
		m, err := s.message(ctx, p.stream, p.seq, known[p])
		if err != nil {
			return out, err
		}
		if len(e.Receipts)+len(e.Tasks) > 0 || m.Subject != "" { // else nothing ever had the id
			out = append(out, m)
		}
	}
	return out, nil
}
