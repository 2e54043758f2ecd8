package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/publish"
)

// TestMain lets a server wait half a second before it closes what it cut off.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const (
	token  = "a-token-for-events"
	secret = "test-secret-key"
)

// bundle is a gateway on a port, with a stream behind it.
type bundle struct {
	nats *natstest.Server
	js   jetstream.JetStream
	link *Link
	url  string
	log  *record
}

// record is a log that can be searched while it is written.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// setup starts a gateway whose every route has the secret, /v1/events and its
// like the token. change may be nil.
func setup(t *testing.T, change func(*Config)) *bundle {
	t.Helper()
	b := &bundle{nats: natstest.Start(t), link: &Link{}, log: &record{}}
	nc, err := nats.Connect(b.nats.URL(), nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.Timeout(20*time.Second), b.link.Watch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if b.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	b.link.Use(b.js)
	for deadline := time.Now().Add(time.Minute); !b.link.IsConnected(); time.Sleep(time.Millisecond) { // which it is told by another goroutine
		if time.Now().After(deadline) {
			t.Fatal("not connected")
		}
	}
	b.stream(t, "EVENTS", "events.>")
	cfg := Config{
		Link: b.link, Stream: "EVENTS", Cluster: "default", Receipts: "prestage_receipts",
		Subjects: Subjects{Model: "events.model.published", Checkpoint: "events.checkpoint.written", Object: "events.object.created"},
		Keys:     keys(t),
		Log:      slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(New(cfg))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	b.url = "http://" + l.Addr().String()
	return b
}

// keys are the secrets of all routes, each beside another.
func keys(t *testing.T) map[events.Route]*Keyring {
	t.Helper()
	out := map[events.Route]*Keyring{}
	for route, s := range map[events.Route]string{
		events.RouteEvents: token, events.RouteS3: token, events.RouteDistribution: token, events.RouteMLflow: secret,
		events.RouteWandB: secret, events.RouteHuggingFace: secret, events.RouteHarbor: secret,
	} {
		out[route] = ring(t, "another-secret", s)
	}
	return out
}

func ring(t *testing.T, secrets ...string) *Keyring {
	t.Helper()
	k, err := NewKeyring(secrets, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (b *bundle) stream(t *testing.T, name, subject string) {
	t.Helper()
	_, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}, Duplicates: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) sent(t *testing.T) publish.Sent {
	t.Helper()
	if a.status != http.StatusAccepted {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var s publish.Sent
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (a answer) problem(t *testing.T, status int) problem {
	t.Helper()
	var p problem
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("status %d, type %q, want %d and a problem: %s", a.status, a.header.Get("Content-Type"), status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != status || p.Title != http.StatusText(status) || p.Detail == "" {
		t.Errorf("problem %+v", p)
	}
	return p
}

// do sends a request with headers "Name: value".
func (b *bundle) do(t *testing.T, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(data)}
}

func (b *bundle) post(t *testing.T, path, body string, headers ...string) answer {
	t.Helper()
	return b.do(t, http.MethodPost, path, strings.NewReader(body), headers...)
}

// message is what the stream stored.
func (b *bundle) message(t *testing.T, seq uint64) *jetstream.RawStreamMsg {
	t.Helper()
	s, err := b.js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (b *bundle) stored(t *testing.T) uint64 {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also called when the test has ended
	s, err := b.js.Stream(ctx, "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

func kvConfig() jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{Bucket: "prestage_receipts"}
}
