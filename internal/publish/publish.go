// Package publish sends native events into the stream, for the public package of
// that name and for the program's own commands. An event is sent only when the
// stream's ack says that it is stored; a core publish to a subject that no stream
// takes would look the same and be lost.
package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/events"
)

// Types of native events.
const (
	CheckpointWritten = "ai.checkpoint.written.v1"
	ModelPublished    = "ai.model.published.v1"
)

// Event is a native event, a CloudEvent 1.0 in structured mode.
type Event struct {
	SpecVersion string    `json:"specversion"`
	Type        string    `json:"type"`
	Source      string    `json:"source"`
	ID          string    `json:"id"`
	Time        time.Time `json:"time"`
	Data        Data      `json:"data"`

	// WholeBucket has an event sent that names a whole bucket: rules decide.
	WholeBucket bool `json:"-"`
}

// Data says what to warm: one of URI, Manifest, and Objects in Bucket.
type Data struct {
	URI          string    `json:"uri,omitempty"`
	Manifest     string    `json:"manifest,omitempty"`
	Bucket       string    `json:"bucket,omitempty"`
	Objects      []Object  `json:"objects,omitempty"`
	Run          string    `json:"run,omitempty"`
	Step         *int64    `json:"step,omitempty"`
	Model        string    `json:"model,omitempty"`
	Version      string    `json:"version,omitempty"`
	Format       string    `json:"format,omitempty"`
	Complete     bool      `json:"complete,omitempty"`
	TotalObjects int64     `json:"total_objects,omitempty"`
	TotalBytes   int64     `json:"total_bytes,omitempty"`
	RewarmBefore time.Time `json:"rewarm_before,omitzero"`
}

// Object is one version of an object: at URI, or at Key in Data.Bucket.
type Object struct {
	URI       string `json:"uri,omitempty"`
	Key       string `json:"key,omitempty"`
	Size      int64  `json:"size,omitempty"` // bytes, 0: unknown
	ETag      string `json:"etag,omitempty"`
	VersionID string `json:"version_id,omitempty"`
}

// Sent is where the stream has stored an event.
type Sent struct {
	ID        string `json:"event_id"`
	Source    string `json:"source"`
	Subject   string `json:"subject"`
	Stream    string `json:"stream"`
	Seq       uint64 `json:"stream_seq"`
	Duplicate bool   `json:"duplicate"` // it was there already, within the stream's window

	// Since is before the stream stored it, as far as clocks agree: an older
	// receipt for this sequence is of a stream that was there before.
	Since time.Time `json:"-"`
}

// maxToken bounds what of a producer's becomes a part of a subject, in bytes.
const maxToken = 128

// Subject is below base one of the run's (or model's) own, where its name can
// be a token of a subject: a checkpoint is superseded only by a newer one on
// the same subject.
func Subject(base, name string) string {
	if name == "" || len(name) > maxToken || strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || c == '.' || c == '*' || c == '>'
	}) {
		return base
	}
	return base + "." + name
}

// Message is e on subject. The error is the consumer's own: what it would
// dead-letter is not sent.
func Message(e Event, subject string) (*nats.Msg, error) {
	e.SpecVersion = "1.0"
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	m := nats.NewMsg(subject)
	m.Header.Set("Content-Type", "application/cloudevents+json")
	m.Header.Set(nats.MsgIdHdr, MessageID(e.Source, e.ID))
	m.Data = body
	if _, err := events.Decode(events.Message{Subject: subject, Time: time.Now(), Header: m.Header, Data: body, WholeBucket: e.WholeBucket}); err != nil {
		return nil, err
	}
	return m, nil
}

// Source is that of an event which its producer gave none: made of the run's or
// model's name, and for events without one of the means.
func Source(kind, name string) string {
	if name == "" {
		return "/prestage/publish"
	}
	return "/" + kind + "/" + name
}

// MessageID is what the stream tells duplicates by. A "#" in the source is
// escaped, so that no two events have the same.
func MessageID(source, id string) string { return strings.ReplaceAll(source, "#", "%23") + "#" + id }

// clockSkew is how far this host's clock may be ahead of the server's.
const clockSkew = 5 * time.Minute

// ErrOtherStream says that a message was stored, but where nobody consumes it.
var ErrOtherStream = errors.New("nobody consumes the event there")

// Store has stream store m, and returns its acknowledgement.
func Store(ctx context.Context, js jetstream.JetStream, stream string, m *nats.Msg) (*jetstream.PubAck, error) {
	ack, err := js.PublishMsg(ctx, m)
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return nil, fmt.Errorf("no stream takes the subject %q: %w", m.Subject, err)
	case err != nil:
		return nil, fmt.Errorf("publish to %q: %w", m.Subject, err)
	case ack.Stream != stream:
		return nil, fmt.Errorf("subject %q belongs to the stream %s, not to %s: %w", m.Subject, ack.Stream, stream, ErrOtherStream)
	}
	return ack, nil
}

// Send stores e in stream and returns where.
func Send(ctx context.Context, js jetstream.JetStream, stream string, e Event, m *nats.Msg) (Sent, error) {
	since := time.Now().Add(-clockSkew)
	ack, err := Store(ctx, js, stream, m)
	if err != nil {
		return Sent{}, err
	}
	if ack.Duplicate {
		since = time.Time{}
	}
	return Sent{
		ID: e.ID, Source: e.Source, Subject: m.Subject, Stream: ack.Stream, Seq: ack.Sequence, Duplicate: ack.Duplicate,
		Since: since,
	}, nil
}
