package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// Message is an event as the stream has it, and what became of each object that
// it names.
type Message struct {
	Stream    string    `json:"stream"`
	StreamSeq uint64    `json:"stream_seq"`
	Subject   string    `json:"subject"`
	Time      time.Time `json:"time,omitzero"` // when the stream had it
	Bytes     int       `json:"bytes"`
	Format    string    `json:"format"`
	Names     string    `json:"names"` // what it asks for, in short
	Objects   []Object  `json:"objects"`
	More      bool      `json:"more_objects"` // than are told
	EventID   string    `json:"event_id"`     // as it is read
	Problem   string    `json:"problem,omitempty"`
}

// Object is how an object stands now, by the ledger and the event's receipt.
type Object struct {
	URI      string          `json:"uri"`
	Size     int64           `json:"size"` // -1: not known
	State    State           `json:"state"`
	Verdict  outcome.Verdict `json:"verdict,omitempty"` // of the fill on record
	FilledAt time.Time       `json:"filled_at,omitzero"`
	Reason   outcome.Reason  `json:"reason,omitempty"` // why it is skipped
	Error    string          `json:"error,omitempty"`
}

// State is an object's.
type State string

// The states. What is not on record waits to be filled, or was skipped, or
// failed: the receipt's counts tell which, its failures name a hundred.
const (
	Warm         State = "warm"          // a fill of it is on record
	OtherVersion State = "other_version" // a fill is on record, of a version that is not this one
	Expired      State = "expired"       // a fill is on record, longer ago than records count
	Skipped      State = "skipped"       // by the plan
	Failed       State = "failed"        // as the receipt says
	NotOnRecord  State = "not_on_record"
)

const (
	maxObjects  = 1000 // that are told of a message
	maxMessages = 5    // that are told of an event
	expandTime  = 10 * time.Second
	atOnce      = 16 // reads of the ledger
)

// Expander says what an event that was stored at a time names: it asks its
// registry, and lists.
type Expander func(ctx context.Context, ev events.Event, subject string, stored time.Time, yield func(prestage.Item) error) error

// message tells of the message seq, whose receipt is r, nil without one. That it
// cannot be read hides nothing else of the story.
func (s Source) message(ctx context.Context, stream string, seq uint64, r *consumer.Receipt) (Message, error) {
	out := Message{Stream: stream, StreamSeq: seq, Objects: []Object{}}
	var m *jetstream.RawStreamMsg
	from, err := s.JS.Stream(ctx, stream)
	if err == nil {
		m, err = from.GetMsg(ctx, seq)
	}
	switch {
	case ctx.Err() != nil:
		return out, ctx.Err()
	case errors.Is(err, jetstream.ErrStreamNotFound):
		out.Problem = "the stream no longer exists"
		return out, nil
	case errors.Is(err, jetstream.ErrMsgNotFound):
		out.Problem = "the stream has lost it since"
		return out, nil
	case err != nil: // whoever publishes chooses the headers, and they may be none
		out.Problem = "it cannot be read: " + err.Error()
		return out, nil
	case r != nil && !m.Time.Equal(r.StreamTime):
		out.Problem = "the stream was made anew and has another message of this sequence"
		return out, nil
	}
	out.Subject, out.Time, out.Bytes = m.Subject, m.Time.UTC(), len(m.Data)
	ev, err := events.Decode(events.Message{
		Stream: stream, Seq: seq, Time: m.Time, Subject: m.Subject, Kind: events.KindCheckpoint, Header: m.Header, Data: m.Data,
		WholeBucket: true, // whether a rule allows it the plan says
	})
	out.Format, out.EventID = string(ev.Format), ev.ID
	if err != nil {
		out.Problem = err.Error()
		return out, nil
	}
	if out.Names = names(ev); out.Names == "" {
		return out, nil
	}
	err = s.objects(ctx, &out, ev, m.Time, r)
	return out, err
}

// names is what ev asks for, "" for nothing.
func names(ev events.Event) string {
	switch {
	case ev.Skip != "":
		return ""
	case ev.Prefix.Bucket != "":
		return ev.Prefix.String()
	case ev.Manifest.Bucket != "":
		return "what " + ev.Manifest.String() + " lists"
	case len(ev.Objects) == 1:
		return ev.Objects[0].Ref.String()
	case len(ev.Objects) > 1:
		return fmt.Sprintf("%d objects", len(ev.Objects))
	case len(ev.Removed) > 0:
		return "what the removal of " + ev.Removed[0].String() + " completes"
	}
	name := string(ev.Artifact.Registry) + " " + ev.Artifact.Name
	if n := len(ev.Others); n > 0 {
		name += fmt.Sprintf(" and %d more", n)
	}
	return name
}

var errEnough = errors.New("enough")

// objects tells of what ev names.
func (s Source) objects(ctx context.Context, out *Message, ev events.Event, stored time.Time, r *consumer.Receipt) error {
	if s.Expand == nil {
		out.Problem = "its objects cannot be told from here"
		return nil
	}
	var items []prestage.Item
	try, cancel := context.WithTimeout(ctx, expandTime)
	defer cancel()
	err := s.Expand(try, ev, out.Subject, stored, func(i prestage.Item) error {
		if len(items) == maxObjects {
			return errEnough
		}
		items = append(items, i)
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		out.More = true
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		out.Problem = "its objects cannot be told from here: " + err.Error()
	}
	ledger, err := s.ledger(ctx)
	if err != nil {
		return err
	}
	failed := map[string]string{}
	if r != nil {
		for _, f := range r.Failures {
			failed[f.URI] = f.Error
		}
	}
	out.Objects = make([]Object, len(items))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for n, i := range items {
		group.Go(func() (err error) {
			out.Objects[n], err = s.object(ctx, ledger, i, failed[i.Ref.String()])
			return err
		})
	}
	return group.Wait()
}

// ledger is nil where there is none yet.
func (s Source) ledger(ctx context.Context) (dedupe.Ledger, error) {
	kv, err := s.JS.KeyValue(ctx, s.Ledger)
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("bucket %s: %w", s.Ledger, err)
	}
	return dedupe.NewKV(s.JS, kv, s.Cluster, dedupe.KVOptions{Logger: s.Log}), nil
}

func (s Source) object(ctx context.Context, ledger dedupe.Ledger, i prestage.Item, failure string) (Object, error) {
	out := Object{URI: i.Ref.String(), Size: i.Size, State: NotOnRecord}
	switch {
	case i.Skip != "":
		out.State, out.Reason = Skipped, i.Skip
		return out, nil
	case failure != "":
		out.State, out.Error = Failed, failure
	case ledger == nil:
		return out, nil
	}
	rec, err := ledger.Get(ctx, i.Ref)
	if errors.Is(err, dedupe.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("ledger: %w", err)
	}
	out.Verdict, out.FilledAt = rec.Verdict, rec.At
	if out.Size == object.UnknownSize {
		out.Size = rec.Size
	}
	switch {
	case i.ETag != "" && i.ETag != rec.ETag:
		out.State = OtherVersion
	case time.Since(rec.At) > s.TTL:
		out.State = Expired
	case failure == "":
		out.State = Warm
	}
	return out, nil
}
