package publish

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/outcome"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	base     = "events.checkpoint.written"
	patience = 20 * time.Second
)

func event() Event {
	step := int64(0)
	return Event{
		Type: CheckpointWritten, Source: "/train/run-7", ID: "run-7-step-0", Time: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC),
		Data: Data{URI: "s3://ckpt/run-7/step-0/", Run: "run-7", Step: &step, Complete: true},
	}
}

func TestSubject(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"run-7": base + ".run-7", "Run_7": base + ".Run_7", "$x": base + ".$x",
		"": base, "a.b": base, "a b": base, "*": base, ">": base, "a>": base, "ü": base, "a\n": base, "a\x7f": base,
	} {
		if got := Subject(base, name); got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	m, err := Message(event(), base)
	if err != nil {
		t.Fatal(err)
	}
	want := nats.Header{"Content-Type": {"application/cloudevents+json"}, "Nats-Msg-Id": {"/train/run-7#run-7-step-0"}}
	if diff := cmp.Diff(want, m.Header); diff != "" || m.Subject != base {
		t.Error(m.Subject, diff)
	}
	var got any
	if err := json.Unmarshal(m.Data, &got); err != nil {
		t.Fatal(err)
	}
	body := map[string]any{
		"specversion": "1.0", "type": "ai.checkpoint.written.v1", "source": "/train/run-7", "id": "run-7-step-0", "time": "2026-11-20T10:00:00Z",
		"data": map[string]any{"uri": "s3://ckpt/run-7/step-0/", "run": "run-7", "step": 0.0, "complete": true}, // step 0 is a step
	}
	if diff := cmp.Diff(any(body), got); diff != "" {
		t.Error(diff)
	}
}

// TestMessageRefuses: what the consumer would dead-letter is not sent.
func TestMessageRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Event){
		"no object":        func(e *Event) { e.Data.URI = "" },
		"both":             func(e *Event) { e.Data.Manifest = "s3://ckpt/list.json" },
		"no URI":           func(e *Event) { e.Data.URI = "/tmp/x" },
		"an illegal name":  func(e *Event) { e.Data.URI = "s3://My_Bucket/x" },
		"a whole bucket":   func(e *Event) { e.Data.URI = "s3://ckpt/" },
		"no id":            func(e *Event) { e.ID = "" },
		"an unknown type":  func(e *Event) { e.Type = "ai.other.v1" },
		"negative bytes":   func(e *Event) { e.Data.TotalBytes = -1 },
		"a shell variable": func(e *Event) { e.Data.URI = "s3://ckpt/${RUN}/x" },
	} {
		e := event()
		change(&e)
		_, err := Message(e, base)
		if !errors.Is(err, outcome.Permanent) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMessageOfAWholeBucket: where there are rules, the daemon's decide.
func TestMessageOfAWholeBucket(t *testing.T) {
	t.Parallel()
	e := event()
	e.Data.URI, e.WholeBucket = "s3://ckpt/", true
	if m := message(t, e, base); strings.Contains(strings.ToLower(string(m.Data)), "whole") {
		t.Errorf("it tells: %s", m.Data)
	}
}

// newStream makes a stream named name that takes events.>.
func newStream(t *testing.T, name string) (*natstest.Server, jetstream.JetStream) {
	t.Helper()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{"events.>"}}); err != nil {
		t.Fatal(err)
	}
	return srv, js
}

func message(t *testing.T, e Event, subject string) *nats.Msg {
	t.Helper()
	m, err := Message(e, subject)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSend(t *testing.T) {
	t.Parallel()
	_, js := newStream(t, "EVENTS")
	e := event()
	for i, duplicate := range []bool{false, true} {
		got, err := Send(t.Context(), js, "EVENTS", e, message(t, e, base))
		want := Sent{ID: e.ID, Source: e.Source, Subject: base, Stream: "EVENTS", Seq: 1, Duplicate: duplicate}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Sent{}, "Since")); diff != "" || err != nil {
			t.Errorf("%d: %v, %s", i, err, diff)
		}
		// Of a duplicate nobody knows when it was stored.
		if age := time.Since(got.Since); duplicate != got.Since.IsZero() || !duplicate && (age < clockSkew || age > clockSkew+patience) {
			t.Errorf("%d: since %v", i, got.Since)
		}
	}
}

func TestSendRefused(t *testing.T) {
	t.Parallel()
	_, js := newStream(t, "OTHER")
	e := event()
	for subject, want := range map[string]string{
		base:          `subject "events.checkpoint.written" belongs to the stream OTHER, not to EVENTS`,
		"nobody.here": `no stream takes the subject "nobody.here"`,
	} {
		if got, err := Send(t.Context(), js, "EVENTS", e, message(t, e, subject)); err == nil || !strings.Contains(err.Error(), want) || got != (Sent{}) {
			t.Errorf("%s: %+v, %v", subject, got, err)
		}
	}
}

func TestSendWithoutServer(t *testing.T) {
	t.Parallel()
	srv, js := newStream(t, "EVENTS")
	srv.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Send(ctx, js, "EVENTS", event(), message(t, event(), base)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
