package dlq

import (
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	cluster = "c1"
	subject = "events.checkpoint.written.run-7"
	body    = `{"uri":"s3://ckpt/run-7/model.safetensors"}`
)

// rig is an event stream and a PRESTAGE_DLQ on a real server.
type rig struct {
	*Box

	srv     *natstest.Server
	js      jetstream.JetStream
	events  jetstream.Stream
	letters jetstream.Stream
}

func newRig(t *testing.T, letters jetstream.StreamConfig) *rig {
	t.Helper()
	r := &rig{srv: natstest.Start(t)}
	r.js = r.srv.JetStream(t)
	letters.Name, letters.Subjects, letters.AllowDirect, letters.Discard = Stream, []string{"prestage.dlq.>"}, true, jetstream.DiscardNew
	var err error
	if r.letters, err = r.js.CreateStream(t.Context(), letters); err != nil {
		t.Fatal(err)
	}
	r.events = r.makeEvents(t)
	r.Box = New(r.js, r.letters, cluster)
	return r
}

func (r *rig) makeEvents(t *testing.T) jetstream.Stream {
	t.Helper()
	s, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// event stores an event and returns it as it is stored.
func (r *rig) event(t *testing.T, h nats.Header, data string) *jetstream.RawStreamMsg {
	t.Helper()
	ack, err := r.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Header: h, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return r.stored(t, ack.Sequence)
}

func (r *rig) stored(t *testing.T, seq uint64) *jetstream.RawStreamMsg {
	t.Helper()
	m, err := r.events.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// letter writes the letter of an event, as the consumer does.
func (r *rig) letter(t *testing.T, ev *jetstream.RawStreamMsg, change func(*nats.Msg)) Letter {
	t.Helper()
	m := nats.NewMsg(Subject(cluster, "EVENTS", ev.Sequence))
	for name, values := range ev.Header {
		if hasFold(name, "Nats-") || hasFold(name, "Prestage-") {
			name = OriginalPrefix + name
		}
		m.Header[name] = values
	}
	m.Header.Set(HeaderReason, "not_found")
	m.Header.Set(HeaderError, "no such key")
	m.Header.Set(HeaderAttempts, "8")
	m.Header.Set(HeaderStream, "EVENTS")
	m.Header.Set(HeaderSubject, ev.Subject)
	m.Header.Set(HeaderSequence, strconv.FormatUint(ev.Sequence, 10))
	m.Header.Set(HeaderTime, ev.Time.UTC().Format(time.RFC3339Nano))
	m.Data = ev.Data
	if change != nil {
		change(m)
	}
	ack, err := r.js.PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	l, err := r.Get(t.Context(), ack.Sequence)
	if err != nil || l == nil {
		t.Fatal(l, err)
	}
	return *l
}

// all are the letters, in their order.
func (r *rig) all(t *testing.T) []Letter {
	t.Helper()
	var out []Letter
	if err := r.Each(t.Context(), nil, func(l Letter) error {
		out = append(out, l)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *rig) count(t *testing.T, s jetstream.Stream) uint64 {
	t.Helper()
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

// redrive redrives l, which must go well.
func (r *rig) redrive(t *testing.T, l Letter, again bool) Redriven {
	t.Helper()
	got, err := r.Redrive(t.Context(), l, again)
	if err != nil || got.Unmarked != nil {
		t.Fatal(err, got.Unmarked)
	}
	return got
}

// close does what the consumer does after the event of that sequence ended well.
func (r *rig) close(t *testing.T, seq uint64) error {
	t.Helper()
	m := r.stored(t, seq)
	return r.Close(t.Context(), m.Subject, m.Header, m.Data)
}

func omit(m *nats.Msg) {
	m.Header.Set(HeaderPayload, PayloadOmitted)
	m.Header.Set(HeaderDigest, Digest(m.Data))
	m.Data = nil
}
