package events

import (
	"errors"
	"fmt"
)

// maxObjects bounds what one event may name one by one.
const maxObjects = 50_000

// dialect is one way in which producers speak.
type dialect struct {
	format Format
	match  func(*input) bool // says that a message has this dialect's shape
	decode func(*input, *Event) error
	advice string // what to send; the hint of every refusal that brings none
}

// dialects is the order of detection: what the headers say, then what the JSON
// looks like, from the most to the least particular shape. It is a function
// because an envelope's decoder goes through the list again.
func dialects() []dialect {
	return []dialect{
		{FormatHarbor, isHarbor, decodeHarbor, adviceImage},
		{FormatCloudEvents, isStructured, decodeStructured, adviceCloudEvents},
		{FormatCloudEvents, isBinary, decodeBinary, adviceCloudEvents},
		{FormatCloudEvents, isStructuredUnlabelled, decodeStructured, adviceCloudEvents},
		{FormatMinIO, isMinIO, decodeMinIO, adviceS3},
		{FormatCeph, isCeph, decodeS3, adviceS3},
		{FormatS3, isS3, decodeS3, adviceS3},
		{FormatS3, isS3Test, decodeS3Test, adviceS3},
		{FormatEventBridge, isEventBridge, decodeEventBridge, adviceEventBridge},
		{FormatSNS, isSNS, decodeSNS, adviceSNS},
		{FormatMLflow, isMLflow, decodeMLflow, adviceMLflow},
		{FormatHuggingFace, isHuggingFace, decodeHuggingFace, adviceHuggingFace},
		{FormatDistribution, isDistribution, decodeDistribution, adviceImage},
		{FormatWandB, isWandB, decodeWandB, adviceWandB},
		{FormatNative, isNative, decodeNative, adviceNative},
	}
}

var unknown = dialect{decode: decodeUnknown, advice: adviceNative}

// input is a message with its payload parsed.
type input struct {
	Message
	body    any   // nil when bodyErr is set
	bodyErr error // why the payload is no JSON within the bounds
}

func newInput(m Message) *input {
	in := &input{Message: m}
	in.body, in.bodyErr = parseJSON(m.Data)
	return in
}

// root is the payload's node; name is how errors call it, if at all.
func (in *input) root(name string) *node { return newDocument(name, in.body) }

// Decode says what m asks for. An error is always an *outcome.Error of class
// Permanent with the reason Malformed or Unsupported. The Event's ID and Source
// are set even then, where the event's own are sound: a receipt is kept under
// them. So is its trace context.
func Decode(m Message) (Event, error) {
	in := newInput(m)
	d := detect(in)
	ev := Event{ID: fmt.Sprintf("%s/%d", m.Stream, m.Seq), Format: d.format}
	ev.readTrace(header(m.Header).get)
	err := d.decode(in, &ev)
	if err == nil && ev.Prefix.Bucket != "" && ev.Prefix.Key == "" && !m.WholeBucket {
		err = unsupported(adviceWholeBucket, "names the whole bucket %q", ev.Prefix.Bucket)
	}
	if err != nil {
		return Event{ID: ev.ID, Source: ev.Source, Format: ev.Format, TraceParent: ev.TraceParent, TraceState: ev.TraceState}, refuse(err, d.advice)
	}
	return ev, nil
}

func decodeUnknown(in *input, _ *Event) error {
	if in.bodyErr != nil {
		return in.bodyErr
	}
	return errors.New("the payload has the shape of no known event")
}
