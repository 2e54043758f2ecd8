package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/publish"
)

// maxBatch bounds the events of a batch.
const maxBatch = 1000

// letter is a message for the stream, and whose it is.
type letter struct {
	msg        *nats.Msg
	id, source string // of the event; no source: the id comes with the stream's answer
	traced     bool   // it says itself in which trace it was made
}

func (l letter) sent(ack *jetstream.PubAck) publish.Sent {
	s := publish.Sent{
		ID: l.id, Source: l.source, Subject: l.msg.Subject,
		Stream: ack.Stream, Seq: ack.Sequence, Duplicate: ack.Duplicate,
	}
	if s.Source == "" {
		s.ID = fmt.Sprintf("%s/%d", ack.Stream, ack.Sequence)
	}
	return s
}

// letters makes of a request's body what goes into the stream: the events of a
// batch, or the body as it is. Of a batch none is stored unless all can be read.
func (g *Gateway) letters(route events.Route, h http.Header, body []byte) (list []letter, batch bool, p *problem) {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || route != events.RouteEvents || mediaType != "application/cloudevents-batch+json" {
		l, p := g.letter(route, kept(h), body)
		return []letter{l}, false, p
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil || items == nil { // nil: null
		return nil, true, &problem{Status: http.StatusBadRequest, Detail: "a batch is a JSON list of CloudEvents", Reason: string(outcome.Malformed)}
	}
	if len(items) > maxBatch {
		return nil, true, &problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("a batch has at most %d events, this one has %d", maxBatch, len(items))}
	}
	for i, item := range items {
		l, p := g.letter(route, nats.Header{"Content-Type": {"application/cloudevents+json"}}, item)
		if p != nil {
			p.Detail = fmt.Sprintf("event %d of the batch: %s; none of it was stored", i, p.Detail)
			return nil, true, p
		}
		list = append(list, l)
	}
	return list, true, nil
}

// kept are the headers that say what a body is. No other reaches the stream:
// some are secrets.
func kept(h http.Header) nats.Header {
	out := nats.Header{}
	for name, values := range h {
		switch lower := strings.ToLower(name); {
		case strings.HasPrefix(lower, "ce-"):
			out[lower] = values
		case lower == "content-type":
			out["Content-Type"] = values
		case strings.EqualFold(name, events.HeaderDeliveryID):
			out[events.HeaderDeliveryID] = values
		}
	}
	return out
}

// letter makes the message of one event. What comes by /v1/events has to be
// readable, for its sender is there to be told. Of a webhook's sender nobody
// reads the answer: what is JSON is stored, and ends as a dead letter that
// operators see and can redrive.
func (g *Gateway) letter(route events.Route, h nats.Header, body []byte) (letter, *problem) {
	m := nats.NewMsg("")
	m.Header, m.Data = h, body
	m.Header.Set(events.HeaderRoute, string(route))
	ev, err := events.Decode(events.Message{Time: time.Now(), Kind: events.KindCheckpoint, Header: h, Data: body, WholeBucket: g.cfg.WholeBucket})
	if err != nil && (route == events.RouteEvents || !json.Valid(body)) {
		return letter{}, unreadable(err)
	}
	m.Subject = g.subject(route, ev)
	if id := messageID(route, ev, body); id != "" {
		m.Header.Set(nats.MsgIdHdr, id)
	}
	return letter{msg: m, id: ev.ID, source: ev.Source, traced: ev.TraceParent != ""}, nil
}

func unreadable(err error) *problem {
	e := outcome.As(err)
	p := &problem{Status: http.StatusUnprocessableEntity, Detail: e.Error(), Reason: string(e.Reason)}
	if e.Reason == outcome.Malformed {
		p.Status = http.StatusBadRequest
	}
	return p
}

// subject is where an event belongs. Each run and each model has one of its own
// where its name allows that.
func (g *Gateway) subject(route events.Route, ev events.Event) string {
	to := g.cfg.Subjects
	hook := route != events.RouteEvents && route != events.RouteS3
	switch {
	case route == events.RouteS3 && (ev.Kind == "" || ev.Format == events.FormatSNS), ev.Kind == events.KindObject:
		return to.Object
	case hook, ev.Kind == events.KindModel,
		ev.Format == events.FormatNative && ev.Model != "" && ev.Run == "": // as "prestage publish" takes it
		return publish.Subject(to.Model, ev.Model)
	}
	return publish.Subject(to.Checkpoint, ev.Run)
}

// messageID is what the stream tells duplicates by: the event's own identity, or
// its body's. A plain native event has none, because the same words may tell of
// an object that was written anew.
//
// Those of a hook begin with "#" and its name, which no event's own does: it would
// have an empty source. Whoever has a hook's secret chooses what the hook says, and
// with the identity of a training's event could otherwise keep that from being
// stored.
func messageID(route events.Route, ev events.Event, body []byte) string {
	id := ""
	if ev.Source != "" {
		id = publish.MessageID(ev.Source, ev.ID)
	}
	if route == events.RouteEvents {
		return id
	}
	if id == "" {
		sum := sha256.Sum256(body)
		id = "sha256:" + hex.EncodeToString(sum[:])
	}
	return "#" + string(route) + "#" + id
}
