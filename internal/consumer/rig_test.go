package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

const (
	testCluster = "c1"
	testSubject = "events.checkpoint.written.run-7"
	oneObject   = `{"uri":"s3://ckpt/run-7/model.safetensors"}`
	// patience is how long a test waits for what must come.
	patience = 20 * time.Second
)

// setup is what a test wants to be different.
type setup struct {
	maxPayload int32
	ackWait    time.Duration // 30 s
	letters    jetstream.StreamConfig
	results    jetstream.StreamConfig
	receipts   jetstream.KeyValueConfig
	warm       warmFunc // fills at once
}

// rig is a lane on a real server, with a Warmer of the test's own.
type rig struct {
	srv      *natstest.Server
	nc       *nats.Conn
	js       jetstream.JetStream
	events   jetstream.Stream
	results  jetstream.Stream
	letters  jetstream.Stream
	receipts jetstream.KeyValue
	cons     jetstream.Consumer
	metrics  *prometheus.Registry
	log      *logbook
	lane     *Lane
}

func newRig(t *testing.T, s setup) *rig {
	t.Helper()
	ctx := t.Context()
	r := &rig{metrics: prometheus.NewRegistry(), log: &logbook{}}
	r.srv = natstest.StartWith(t, natstest.Options{MaxPayload: s.maxPayload})
	r.nc = r.srv.Conn(t)
	var err error
	if r.js, err = jetstream.New(r.nc); err != nil {
		t.Fatal(err)
	}
	stream := func(c jetstream.StreamConfig) jetstream.Stream {
		t.Helper()
		c.AllowDirect = true
		st, err := r.js.CreateStream(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	s.letters.Name, s.letters.Subjects = dlq.Stream, []string{"prestage.dlq.>"}
	s.results.Name, s.results.Subjects = ResultsStream, []string{"prestage.warmed.>", "prestage.failed.>"}
	r.events = stream(jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}})
	r.letters, r.results = stream(s.letters), stream(s.results)
	s.receipts.Bucket = "prestage_receipts"
	if r.receipts, err = r.js.CreateKeyValue(ctx, s.receipts); err != nil {
		t.Fatal(err)
	}
	if s.ackWait == 0 {
		s.ackWait = 30 * time.Second
	}
	if r.cons, err = r.events.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "lane", AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.ackWait, MaxDeliver: -1, MaxAckPending: -1,
	}); err != nil {
		t.Fatal(err)
	}
	if s.warm == nil {
		s.warm = func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
			return filled()
		}
	}
	r.lane = NewLane("checkpoint", events.KindCheckpoint, Config{
		Cluster: testCluster, Policy: Policy{MaxAttempts: 8, GiveUpAfter: 24 * time.Hour},
		Conn: r.nc, JS: r.js, Events: r.events, Receipts: r.receipts, Results: r.results, Letters: r.letters,
		Warmer: s.warm, Gate: openGate{}, Metrics: NewMetrics(r.metrics, "checkpoint"), Log: slog.New(slog.NewJSONHandler(r.log, nil)),
	})
	return r
}

// publish stores an event and returns its sequence.
func (r *rig) publish(t *testing.T, body string) uint64 {
	t.Helper()
	ack, err := r.js.Publish(t.Context(), testSubject, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

// receive takes the next delivery from the consumer.
func (r *rig) receive(t *testing.T) *delivery {
	t.Helper()
	msg, err := r.cons.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		t.Fatalf("no delivery: %v", err)
	}
	d, err := newDelivery(msg, time.Now().UTC())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// process takes the next delivery through the protocol.
func (r *rig) process(t *testing.T) (*delivery, Settlement) {
	t.Helper()
	d := r.receive(t)
	return d, r.lane.process(t.Context(), t.Context(), d)
}

// run starts the lane. Stop ends its fetching and waits for it.
func (r *rig) run(t *testing.T) (stop func() error) {
	t.Helper()
	fetch, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.lane.Run(context.Background(), fetch, r.cons) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("the lane does not end")
		}
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

// keyOf is the receipt's key of an event without an id of its own.
func keyOf(seq uint64) string {
	d := delivery{Stream: "EVENTS", Seq: seq}
	ev, _ := d.decode(events.KindCheckpoint, false)
	return ReceiptKey(testCluster, ev.ID, ev.Source, d.Stream, seq)
}

// receipt is what the bucket holds for an event without an id of its own.
func (r *rig) receipt(t *testing.T, seq uint64) (Receipt, bool) {
	t.Helper()
	e, err := r.receipts.Get(t.Context(), keyOf(seq))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Receipt{}, false
	}
	if err != nil {
		t.Fatal(err)
	}
	var got Receipt
	if err := json.Unmarshal(e.Value(), &got); err != nil {
		t.Fatal(err)
	}
	return got, true
}

// wait polls until the lane's consumer is as the test wants it.
func (r *rig) wait(t *testing.T, what string, ok func(*jetstream.ConsumerInfo) bool) {
	t.Helper()
	eventually(t, what, func() bool { return ok(r.info(t)) })
}

func (r *rig) info(t *testing.T) *jetstream.ConsumerInfo {
	t.Helper()
	info, err := r.cons.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func count(t *testing.T, s jetstream.Stream) uint64 {
	t.Helper()
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

// soon receives what must come.
func soon[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

type warmFunc func(ctx, start context.Context, req prestage.Request, p *prestage.Progress) prestage.Report

func (f warmFunc) Warm(ctx, start context.Context, req prestage.Request, p *prestage.Progress) prestage.Report {
	return f(ctx, start, req, p)
}

func filled() prestage.Report {
	return prestage.Report{Objects: prestage.Counts{Total: 1, Filled: 1}, Bytes: 5 << 20, Verdict: outcome.Accepted}
}

func failing(c outcome.Class, reason outcome.Reason) prestage.Report {
	e := &outcome.Error{Op: "fill", Class: c, Reason: reason, Err: errors.New("no luck")}
	return prestage.Report{
		Objects:  prestage.Counts{Total: 1, Failed: 1},
		Problems: []prestage.Problem{{Class: c, Reason: reason, Count: 1, Sample: e}},
		Failures: []prestage.Failure{{URI: "s3://ckpt/a", Error: e.Error()}},
	}
}

type openGate struct{}

func (openGate) Wait(ctx context.Context) error { return ctx.Err() }

// logbook keeps what was logged, one JSON object a line.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// has says that some line holds all of the parts.
func (b *logbook) has(parts ...string) bool { return b.count(parts...) > 0 }

// count is how many lines hold all of the parts.
func (b *logbook) count(parts ...string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.buf.String()) {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			n++
		}
	}
	return n
}

func (b *logbook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// spy sees what is published on the server, in its order: writes to JetStream
// and acks are messages like any other.
type spy struct{ sub *nats.Subscription }

func newSpy(t *testing.T, r *rig) spy {
	t.Helper()
	nc := r.srv.Conn(t)
	sub, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return spy{sub}
}

// next is the next step of the protocol: a receipt, a letter, a result, or a
// verb to the consumer.
func (s spy) next(t *testing.T) string {
	t.Helper()
	for {
		m, err := s.sub.NextMsg(patience)
		if err != nil {
			t.Fatalf("no further step: %v", err)
		}
		if step := stepOf(m); step != "" {
			return step
		}
	}
}

// rest is what has happened until now.
func (s spy) rest(t *testing.T, r *rig) []string {
	t.Helper()
	const end = "test.end"
	if err := r.nc.Publish(end, nil); err != nil { // after all that the lane has sent
		t.Fatal(err)
	}
	var steps []string
	for {
		m, err := s.sub.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject == end {
			return steps
		}
		if step := stepOf(m); step != "" {
			steps = append(steps, step)
		}
	}
}

func stepOf(m *nats.Msg) string {
	switch {
	case strings.HasPrefix(m.Subject, "$KV.prestage_receipts."):
		return "receipt"
	case strings.HasPrefix(m.Subject, "prestage.dlq."):
		return "letter"
	case strings.HasPrefix(m.Subject, "prestage.warmed."), strings.HasPrefix(m.Subject, "prestage.failed."):
		return "result"
	case strings.HasPrefix(m.Subject, "$JS.ACK."):
		return string(m.Data)
	}
	return ""
}

// value is that of the metric with these label values, which follow the label
// names in alphabetical order.
func (r *rig) value(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var have []string
			for _, l := range m.GetLabel() {
				have = append(have, l.GetValue())
			}
			if strings.Join(have, ",") != strings.Join(labels, ",") {
				continue
			}
			switch {
			case m.GetCounter() != nil:
				return m.GetCounter().GetValue()
			case m.GetHistogram() != nil:
				return float64(m.GetHistogram().GetSampleCount())
			default:
				return m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s%v", name, labels)
	return 0
}
