package publish_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/publish"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newPublisher returns one with a stream that takes events.>.
func newPublisher(t *testing.T, stream string) (*natstest.Server, *publish.Publisher) {
	t.Helper()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{"events.>"}}); err != nil {
		t.Fatal(err)
	}
	return srv, &publish.Publisher{JS: js}
}

// stored is the event that the stream has, as the daemon reads it.
func stored(t *testing.T, p *publish.Publisher, ack publish.Ack) (subject string, ev events.Event) {
	t.Helper()
	s, err := p.JS.Stream(t.Context(), ack.Stream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(t.Context(), ack.Seq)
	if err != nil {
		t.Fatal(err)
	}
	ev, err = events.Decode(events.Message{
		Stream: ack.Stream, Seq: m.Sequence, Time: m.Time, Subject: m.Subject, Header: m.Header, Data: m.Data,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.Subject, ev
}

func checkpoint() publish.Checkpoint {
	return publish.Checkpoint{URI: "s3://ckpt/run-7/step-0/", Run: "run-7", Step: new(int64(0)), Complete: true}
}

// TestDaemonReads: every field arrives.
func TestDaemonReads(t *testing.T) {
	t.Parallel()
	_, p := newPublisher(t, "EVENTS")
	p.ModelSubject = "events.mine"
	before := time.Now()

	ack, err := p.Checkpoint(t.Context(), publish.Checkpoint{
		URI: "s3://ckpt/run-7/step-0/", Run: "run-7", Step: new(int64(0)), Format: "dcp",
		Complete: true, TotalObjects: 3, TotalBytes: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	subject, got := stored(t, p, ack)
	if got.Time.Before(before.Add(-time.Second)) || got.Time.After(time.Now().Add(time.Second)) {
		t.Errorf("time %v", got.Time)
	}
	got.Time = time.Time{}
	if diff := cmp.Diff(events.Event{
		ID: ack.ID, Source: "/checkpoint/run-7", Kind: events.KindCheckpoint, Format: events.FormatCloudEvents,
		Prefix: object.Ref{Bucket: "ckpt", Key: "run-7/step-0/"}, Run: "run-7", HasStep: true, Layout: "dcp",
		Complete: true, TotalObjects: 3, TotalBytes: 4,
	}, got); diff != "" || subject != "events.checkpoint.written.run-7" {
		t.Error(subject, diff)
	}

	ack, err = p.Model(t.Context(), publish.Model{
		Objects: []publish.Object{{URI: "cw://models/llama/a", Size: 5, ETag: "e", VersionID: "v"}, {URI: "s3://other/b"}},
		Name:    "llama", Version: "3", Format: "huggingface", TotalObjects: 2, TotalBytes: 6, ID: "llama-3", Source: "/registry",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(publish.Ack{ID: "llama-3", Source: "/registry", Stream: "EVENTS", Seq: 2}, ack); diff != "" {
		t.Error(diff)
	}
	subject, got = stored(t, p, ack)
	got.Time = time.Time{}
	if diff := cmp.Diff(events.Event{
		ID: "llama-3", Source: "/registry", Kind: events.KindModel, Format: events.FormatCloudEvents, Model: "llama", Version: "3",
		Layout: "huggingface", TotalObjects: 2, TotalBytes: 6,
		Objects: []object.Attrs{
			{Ref: object.Ref{Bucket: "models", Key: "llama/a"}, Size: 5, Version: object.Version{ETag: "e", ID: "v"}},
			{Ref: object.Ref{Bucket: "other", Key: "b"}, Size: object.UnknownSize},
		},
	}, got); diff != "" || subject != "events.mine.llama" {
		t.Error(subject, diff)
	}

	ack, err = p.Checkpoint(t.Context(), publish.Checkpoint{Manifest: "s3://ckpt/list.json"})
	if err != nil {
		t.Fatal(err)
	}
	if subject, got = stored(t, p, ack); subject != "events.checkpoint.written" || got.Source != "/prestage/publish" ||
		got.Manifest != (object.Ref{Bucket: "ckpt", Key: "list.json"}) {
		t.Errorf("%s: %+v", subject, got)
	}
}

// TestSameInputSameEvent: and one that differs anywhere is another.
func TestSameInputSameEvent(t *testing.T) {
	t.Parallel()
	_, p := newPublisher(t, "EVENTS")
	seen := map[string]string{}
	for name, change := range map[string]func(*publish.Checkpoint){
		"as it is": func(*publish.Checkpoint) {},
		"uri":      func(c *publish.Checkpoint) { c.URI = "s3://ckpt/run-7/step-1/" },
		"run":      func(c *publish.Checkpoint) { c.Run = "run-8" },
		"step":     func(c *publish.Checkpoint) { c.Step = new(int64(1)) },
		"no step":  func(c *publish.Checkpoint) { c.Step = nil },
		"format":   func(c *publish.Checkpoint) { c.Format = "dcp" },
		"complete": func(c *publish.Checkpoint) { c.Complete = false },
		"objects":  func(c *publish.Checkpoint) { c.TotalObjects = 1 },
		"bytes":    func(c *publish.Checkpoint) { c.TotalBytes = 1 },
		"source":   func(c *publish.Checkpoint) { c.Source = "/other" },
		"id":       func(c *publish.Checkpoint) { c.ID = "other" },
		"etag": func(c *publish.Checkpoint) {
			c.URI, c.Objects = "", []publish.Object{{URI: "s3://ckpt/last.ckpt", ETag: "1"}}
		},
		"other etag": func(c *publish.Checkpoint) {
			c.URI, c.Objects = "", []publish.Object{{URI: "s3://ckpt/last.ckpt", ETag: "2"}}
		},
	} {
		c := checkpoint()
		change(&c)
		first, err := p.Checkpoint(t.Context(), c)
		if err != nil || first.Duplicate {
			t.Fatalf("%s: %+v, %v", name, first, err)
		}
		if other := seen[first.Source+first.ID]; other != "" {
			t.Errorf("%s has the id of %s", name, other)
		}
		seen[first.Source+first.ID] = name
		again, err := p.Checkpoint(t.Context(), c)
		want := first
		want.Duplicate = true
		if diff := cmp.Diff(want, again); diff != "" || err != nil {
			t.Errorf("%s, again: %v, %s", name, err, diff)
		}
	}
}

// TestStableID holds one id fast: if it changed between two versions, both
// would publish the event.
func TestStableID(t *testing.T) {
	t.Parallel()
	_, p := newPublisher(t, "EVENTS")
	ack, err := p.Checkpoint(t.Context(), checkpoint())
	if want := "211667cb5a9d0b58b2fda487cf1f0693"; err != nil || ack.ID != want {
		t.Errorf("id %s, %v; want %s", ack.ID, err, want)
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	srv, p := newPublisher(t, "EVENTS")
	for name, tt := range map[string]struct {
		change func(*publish.Checkpoint)
		want   string
	}{
		"nothing":        {func(c *publish.Checkpoint) { c.URI = "" }, "exactly one of uri, manifest and objects"},
		"two":            {func(c *publish.Checkpoint) { c.Manifest = "s3://ckpt/list.json" }, "exactly one of uri, manifest and objects"},
		"a local path":   {func(c *publish.Checkpoint) { c.URI = "/mnt/ckpt/step-0" }, "data.uri"},
		"a whole bucket": {func(c *publish.Checkpoint) { c.URI = "s3://ckpt/" }, "whole bucket"},
		"a template":     {func(c *publish.Checkpoint) { c.URI = "s3://ckpt/${RUN}/x" }, "template"},
		"negative bytes": {func(c *publish.Checkpoint) { c.TotalBytes = -1 }, "total_bytes"},
		"an object without URI": {func(c *publish.Checkpoint) {
			c.URI, c.Objects = "", []publish.Object{{ETag: "e"}}
		}, "objects[0]"},
	} {
		c := checkpoint()
		tt.change(&c)
		before := srv.Received(t)
		ack, err := p.Checkpoint(t.Context(), c)
		if !errors.Is(err, publish.ErrInvalid) || !strings.Contains(err.Error(), tt.want) || ack != (publish.Ack{}) {
			t.Errorf("%s: %+v, %v", name, ack, err)
		}
		if got := srv.Received(t); got != before {
			t.Errorf("%s: %d messages were sent", name, got-before)
		}
	}
	if _, err := p.Model(t.Context(), publish.Model{Name: "llama"}); !errors.Is(err, publish.ErrInvalid) {
		t.Errorf("a model without files: %v", err)
	}
}

func TestNotConsumed(t *testing.T) {
	t.Parallel()
	_, p := newPublisher(t, "OTHER")
	for subject, want := range map[string]string{
		"":             `belongs to the stream OTHER, not to EVENTS`,
		"nobody.takes": `no stream takes the subject "nobody.takes.run-7"`,
	} {
		p.CheckpointSubject = subject
		if _, err := p.Checkpoint(t.Context(), checkpoint()); !errors.Is(err, publish.ErrNotConsumed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", subject, err)
		}
	}
	p.CheckpointSubject, p.Stream = "", "OTHER"
	if ack, err := p.Checkpoint(t.Context(), checkpoint()); err != nil || ack.Stream != "OTHER" {
		t.Errorf("%+v, %v", ack, err)
	}
}

// TestServerGone: the call ends when its caller says, and by itself.
func TestServerGone(t *testing.T) {
	t.Parallel()
	srv, p := newPublisher(t, "EVENTS")
	srv.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := p.Checkpoint(ctx, checkpoint())
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, publish.ErrInvalid) || errors.Is(err, publish.ErrNotConsumed) {
		t.Errorf("with a deadline: %v", err)
	}
	if _, err := p.Checkpoint(context.Background(), checkpoint()); err == nil || errors.Is(err, publish.ErrInvalid) {
		t.Errorf("without: %v", err)
	}
	srv.Restart(t)
	// What the client still held may have been stored by now; either way the
	// stream keeps it once.
	if _, err := p.Checkpoint(t.Context(), checkpoint()); err != nil {
		t.Fatal(err)
	}
	s, err := p.JS.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil || info.State.Msgs != 1 {
		t.Errorf("%d messages, %v", info.State.Msgs, err)
	}
}
