package events

import (
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Kind says what an event tells of.
type Kind string

// The kinds.
const (
	KindCheckpoint Kind = "checkpoint" // a training checkpoint was written
	KindModel      Kind = "model"      // a model was published
	KindObject     Kind = "object"     // a store's own notification of an object
)

// Format is the dialect that a message was recognised as.
type Format string

// Message is a delivery as it came from the stream.
type Message struct {
	Stream  string
	Seq     uint64
	Time    time.Time // when the stream stored it
	Subject string
	Kind    Kind // what plain native JSON means on the lane it came by
	Header  map[string][]string
	Data    []byte
	// WholeBucket says that it may name a whole bucket, which else is unsupported.
	WholeBucket bool
}

// Event is what a message asks for. Unless Skip is set, exactly one of Objects,
// Prefix, Manifest and Artifact is, or Removed with or without Objects.
type Event struct {
	// ID and Source identify the event: those of the CloudEvent or of
	// EventBridge, else those of the SNS message that carried it, else
	// "<stream>/<seq>" and an empty source.
	ID, Source string

	Kind   Kind
	Format Format
	Time   time.Time // by the producer's own clock; zero when it gave none

	Objects  []object.Attrs // named one by one, each key once
	Prefix   object.Ref     // everything below it; a whole bucket only where the message may name one
	Manifest object.Ref     // an object that lists what is to be warm
	Removed  []object.Ref   // what a store told is gone, by which a checkpoint may be complete; with or without Objects
	Artifact Artifact       // of a registry, whose place in S3 has to be asked for
	Others   []Artifact     // that the same message names besides

	Run            string
	Step           int64
	HasStep        bool // Step 0 was given, rather than nothing
	Model, Version string
	Layout         string // how the producer lays a checkpoint out, its data.format

	Complete     bool      // nothing more will come below Prefix
	TotalBytes   int64     // announced, 0: not announced
	TotalObjects int64     // announced, 0: not announced
	RewarmBefore time.Time // what was warmed before it does not count; zero: all counts

	// TraceParent and TraceState are the W3C trace context as it came: that of the
	// message's headers, else that of the CloudEvent. Nobody has checked them.
	TraceParent, TraceState string

	Skip outcome.Reason // NotActionable, or empty: there is something to do
	Note string         // what was left out and why, for people
}
