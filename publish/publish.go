package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/publish"
)

var (
	// ErrInvalid is wrapped by the error of an event that the daemon would
	// dead-letter. Nothing was sent; the text says what to change.
	ErrInvalid = errors.New("invalid event")
	// ErrNotConsumed is wrapped when the subject belongs to no stream, or to
	// another than Publisher.Stream, where nobody reads the event. Either
	// "prestage run" was never started there, or a name is wrong.
	ErrNotConsumed = errors.New("event not consumed")
)

// Publisher stores events in a stream. Its methods may be called by several
// goroutines at once.
type Publisher struct {
	// JS belongs to a connection that may publish to the subjects below and
	// subscribe to its inbox.
	JS jetstream.JetStream
	// Stream must be the one that stores the event, as PRESTAGE_STREAM says it
	// to the daemon. Empty means EVENTS.
	Stream string
	// CheckpointSubject and ModelSubject are the first of
	// PRESTAGE_CHECKPOINT_SUBJECTS and of PRESTAGE_MODEL_SUBJECTS. Empty means
	// events.checkpoint.written and events.model.published. An event's own
	// subject is below, by its run or model, where that can be part of a subject.
	CheckpointSubject, ModelSubject string
}

// Ack says where the stream has stored an event.
type Ack struct {
	// ID is what "prestage wait" and "prestage status" take, Source whose it is.
	ID, Source string
	// Stream and Seq are the message's.
	Stream string
	Seq    uint64
	// Duplicate is set when the stream had the event already; nothing was added.
	Duplicate bool
}

// Checkpoint publishes that c was written. Without a deadline in ctx it waits
// for five seconds at most. After an error that is neither ErrInvalid nor
// ErrNotConsumed the event may be stored or not: publish it again.
func (p *Publisher) Checkpoint(ctx context.Context, c Checkpoint) (Ack, error) {
	return p.publish(ctx, c.event(), or(p.CheckpointSubject, "events.checkpoint.written"), c.Run)
}

// Model publishes that m can be served. Time and errors are as of Checkpoint.
func (p *Publisher) Model(ctx context.Context, m Model) (Ack, error) {
	return p.publish(ctx, m.event(), or(p.ModelSubject, "events.model.published"), m.Name)
}

func (p *Publisher) publish(ctx context.Context, e publish.Event, base, name string) (Ack, error) {
	if err := identify(&e); err != nil {
		return Ack{}, err
	}
	m, err := publish.Message(e, publish.Subject(base, name))
	if err != nil {
		return Ack{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	sent, err := publish.Send(ctx, p.JS, or(p.Stream, "EVENTS"), e, m)
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, publish.ErrOtherStream):
		return Ack{}, fmt.Errorf("%w: %w", ErrNotConsumed, err)
	case err != nil:
		return Ack{}, err
	}
	return Ack{ID: sent.ID, Source: sent.Source, Stream: sent.Stream, Seq: sent.Seq, Duplicate: sent.Duplicate}, nil
}

// identify gives e an id that is a digest of all it says but its time.
func identify(e *publish.Event) error {
	if e.ID == "" {
		said := *e
		said.Time = time.Time{}
		text, err := json.Marshal(said)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		sum := sha256.Sum256(text)
		e.ID = hex.EncodeToString(sum[:16])
	}
	e.Time = time.Now().UTC()
	return nil
}

func or(given, otherwise string) string {
	if given == "" {
		return otherwise
	}
	return given
}
