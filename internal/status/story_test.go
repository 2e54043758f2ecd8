package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// archive is a stream of events with receipts and a ledger.
type archive struct {
	source   Source
	receipts jetstream.KeyValue
	ledger   dedupe.Ledger
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	js := natstest.Start(t).JetStream(t)
	a := &archive{source: Source{
		JS: js, Cluster: "c1", Stream: "EVENTS", Receipts: "receipts", Ledger: "objects", TTL: time.Hour, Log: slog.New(slog.DiscardHandler),
	}}
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}})
	if err == nil {
		a.receipts, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "receipts"})
	}
	var objects jetstream.KeyValue
	if err == nil {
		objects, err = js.CreateKeyValue(t.Context(), dedupe.BucketConfig(time.Hour, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	a.source.Ledger = objects.Bucket()
	a.ledger = dedupe.NewKV(js, objects, "c1", dedupe.KVOptions{Logger: a.source.Log})
	return a
}

// event stores an event of that id.
func (a *archive) event(t *testing.T, id, data string) *jetstream.RawStreamMsg {
	t.Helper()
	body := fmt.Sprintf(`{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":"/s","id":%q,"data":%s}`, id, data)
	ack, err := a.source.JS.Publish(t.Context(), "events.checkpoint.written", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := a.source.JS.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(t.Context(), ack.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (a *archive) receipt(t *testing.T, id string, m *jetstream.RawStreamMsg, r consumer.Receipt) {
	t.Helper()
	r.EventID, r.Source, r.Cluster, r.Stream, r.StreamSeq = id, "/s", "c1", "EVENTS", m.Sequence
	if r.StreamTime.IsZero() {
		r.StreamTime = m.Time
	}
	value, err := json.Marshal(r)
	if err == nil {
		_, err = a.receipts.Put(t.Context(), consumer.ReceiptKey("c1", id, "/s", "EVENTS", m.Sequence), value)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// mangled stores an event whose headers no client can read, and returns its place.
func (a *archive) mangled(t *testing.T) *jetstream.RawStreamMsg {
	t.Helper()
	natstest.PublishMangled(t, a.source.JS.Conn(), "events.checkpoint.written")
	for {
		s, err := a.source.JS.Stream(t.Context(), "EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		last := s.CachedInfo().State
		if _, err := s.GetMsg(t.Context(), last.LastSeq); err != nil {
			return &jetstream.RawStreamMsg{Sequence: last.LastSeq, Time: last.LastTime}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (a *archive) read(t *testing.T, id string) Event {
	t.Helper()
	e, err := ReadEvent(t.Context(), a.source, id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestObjects has one of each state.
func TestObjects(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	now := time.Now().UTC().Truncate(time.Second)
	record := func(key, etag string, at time.Time) {
		t.Helper()
		done := make(chan error, 1)
		a.ledger.Put(t.Context(), dedupe.Entry{
			Attrs:   object.Attrs{Ref: object.Ref{Bucket: "ckpt", Key: key}, Version: object.Version{ETag: etag}, Size: 9_000_000},
			Verdict: outcome.Accepted, At: at,
		}, 0, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	record("warm", "e", now)
	record("named", "e", now)
	record("overwritten", "old", now)
	record("expired", "e", now.Add(-2*time.Hour))
	record("failed since", "e", now.Add(-time.Minute))
	item := func(key, etag string, size int64) prestage.Item {
		return prestage.Item{Attrs: object.Attrs{Ref: object.Ref{Bucket: "ckpt", Key: key}, Version: object.Version{ETag: etag}, Size: size}}
	}
	small := item("small", "e", 5)
	small.Skip = outcome.TooSmall
	a.source.Expand = func(_ context.Context, ev events.Event, subject string, stored time.Time, yield func(prestage.Item) error) error {
		if ev.Prefix.String() != "s3://ckpt/run-7/" || stored.IsZero() {
			t.Errorf("asked for %+v of %s", ev, stored)
		}
		for _, i := range []prestage.Item{
			item("warm", "e", 10), item("named", "", object.UnknownSize), item("overwritten", "new", 10), item("expired", "e", 10),
			small, item("failed", "e", 10), item("failed since", "e", 10), item("waits", "e", 10),
		} {
			if err := yield(i); err != nil {
				return err
			}
		}
		return errors.New("the listing broke")
	}
	m := a.event(t, "id", `{"uri":"s3://ckpt/run-7/"}`)
	a.receipt(t, "id", m, consumer.Receipt{
		Outcome:  consumer.Pending,
		Failures: []prestage.Failure{{URI: "s3://ckpt/failed", Error: "404"}, {URI: "s3://ckpt/failed since", Error: "500"}},
	})
	e := a.read(t, "id")
	want := []Message{{
		Stream: "EVENTS", StreamSeq: m.Sequence, Subject: "events.checkpoint.written", Time: m.Time.UTC(), Bytes: len(m.Data),
		Format: "cloudevents", EventID: "id", Names: "s3://ckpt/run-7/", Problem: "its objects cannot be told from here: the listing broke",
		Objects: []Object{
			{URI: "s3://ckpt/warm", Size: 10, State: Warm, Verdict: outcome.Accepted, FilledAt: now},
			{URI: "s3://ckpt/named", Size: 9_000_000, State: Warm, Verdict: outcome.Accepted, FilledAt: now},
			{URI: "s3://ckpt/overwritten", Size: 10, State: OtherVersion, Verdict: outcome.Accepted, FilledAt: now},
			{URI: "s3://ckpt/expired", Size: 10, State: Expired, Verdict: outcome.Accepted, FilledAt: now.Add(-2 * time.Hour)},
			{URI: "s3://ckpt/small", Size: 5, State: Skipped, Reason: outcome.TooSmall},
			{URI: "s3://ckpt/failed", Size: 10, State: Failed, Error: "404"},
			{URI: "s3://ckpt/failed since", Size: 10, State: Failed, Error: "500", Verdict: outcome.Accepted, FilledAt: now.Add(-time.Minute)},
			{URI: "s3://ckpt/waits", Size: 10, State: NotOnRecord},
		},
	}}
	if diff := cmp.Diff(want, e.Messages); diff != "" {
		t.Error(diff)
	}
}

// TestStories are events of which less is to be told.
func TestStories(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	walked := 0
	a.source.Expand = func(_ context.Context, _ events.Event, _ string, _ time.Time, yield func(prestage.Item) error) error {
		for n := range 5 * maxObjects {
			walked = n
			i := prestage.Item{Attrs: object.Attrs{Ref: object.Ref{Bucket: "ckpt", Key: fmt.Sprint(n)}}, Skip: outcome.Empty}
			if err := yield(i); err != nil {
				return err
			}
		}
		return nil
	}
	large := a.event(t, "large", `{"uri":"s3://ckpt/run-7/"}`)
	a.receipt(t, "large", large, consumer.Receipt{Outcome: consumer.Warm})
	if m := a.read(t, "large").Messages; len(m) != 1 || len(m[0].Objects) != maxObjects || !m[0].More || walked != maxObjects {
		t.Errorf("%d messages, %d objects were walked", len(m), walked)
	}

	// An event that waits is found by the id that the stream gave it.
	waits, err := a.source.JS.Publish(t.Context(), "events.checkpoint.written", []byte(`{"objects":[{"uri":"s3://ckpt/a"},{"uri":"s3://ckpt/b"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if e := a.read(t, fmt.Sprintf("EVENTS/%d", waits.Sequence)); !e.Known() || len(e.Messages) != 1 || e.Messages[0].Names != "2 objects" {
		t.Errorf("an event that waits: %+v", e)
	}
	for _, id := range []string{"nobody", "EVENTS/99", "EVENTS/x", "ELSEWHERE/1"} {
		if e := a.read(t, id); e.Known() {
			t.Errorf("of %s is known: %+v", id, e)
		}
	}

	// So is one that has an id of its own, with all that is known of that.
	if e := a.read(t, fmt.Sprintf("EVENTS/%d", large.Sequence)); e.EventID != "large" || len(e.Receipts) != 1 || len(e.Messages) != 1 {
		t.Errorf("an event by its place in the stream: %+v", e)
	}
	unread := a.event(t, "unread", `{"uri":"s3://ckpt/a"}`)
	if e := a.read(t, fmt.Sprintf("EVENTS/%d", unread.Sequence)); len(e.Receipts) != 0 || len(e.Messages) != 1 {
		t.Errorf("an event that nobody had yet, by its place in the stream: %+v", e)
	}

	other := a.event(t, "other", `{"uri":"s3://ckpt/a"}`)
	a.receipt(t, "other", other, consumer.Receipt{Outcome: consumer.Warm, StreamTime: time.Unix(1, 0)})
	lost := *other
	lost.Sequence = 99
	a.receipt(t, "lost", &lost, consumer.Receipt{Outcome: consumer.Warm})
	bad := a.event(t, "bad", `{"uri":"s3://"}`)
	a.receipt(t, "bad", bad, consumer.Receipt{Outcome: consumer.DeadLettered})
	a.receipt(t, "mangled", a.mangled(t), consumer.Receipt{Outcome: consumer.Warm})
	old, err := json.Marshal(consumer.Receipt{EventID: "old", Cluster: "c1", Outcome: consumer.Warm, Stream: "OLD", StreamSeq: 1})
	if err == nil {
		_, err = a.receipts.Put(t.Context(), consumer.ReceiptKey("c1", "old", "", "OLD", 1), old)
	}
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"other": "made anew", "lost": "lost it", "bad": "uri", "mangled": "it cannot be read: ", "old": "no longer exists",
	} {
		e := a.read(t, id)
		if len(e.Receipts) != 1 || len(e.Messages) != 1 || !strings.Contains(e.Messages[0].Problem, want) || len(e.Messages[0].Objects) != 0 {
			t.Errorf("%s: %+v", id, e)
		}
	}
	a.source.Expand = nil
	if m := a.read(t, "large").Messages; len(m) != 1 || m[0].Problem == "" || m[0].Names == "" {
		t.Errorf("without the way to the store: %+v", m)
	}

	// What is being filled has no receipt yet.
	a.source.Self = func() Instance {
		return Instance{Name: "self", Tasks: []consumer.Task{{EventID: "other", Stream: "EVENTS", StreamSeq: other.Sequence}, {EventID: "else"}}}
	}
	if e := a.read(t, "other"); len(e.Tasks) != 1 || !e.Known() {
		t.Errorf("what is being filled: %+v", e)
	}
}
