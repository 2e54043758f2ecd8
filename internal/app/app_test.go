package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/natstest"
)

// daemon is an App that runs until the test ends.
type daemon struct {
	*App
	log  *logbook
	stop func() error // ends it and says how
}

func start(t *testing.T, environ ...string) *daemon {
	t.Helper()
	d := &daemon{log: &logbook{}}
	var err error
	d.App, err = New(t.Context(), parse(t, append(environ, "PRESTAGE_HTTP_ADDR=127.0.0.1:0")...), Deps{
		Log: d.log.logger(), Registry: prometheus.NewRegistry(), AWS: identity(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	d.stop = sync.OnceValue(func() error {
		cancel()
		return within(ended)
	})
	t.Cleanup(func() { _ = d.stop() })
	return d
}

// identity signs requests that nobody checks.
func identity() aws.Config {
	return aws.Config{Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "key"}, nil
	})}
}

func within(c <-chan error) error {
	select {
	case err := <-c:
		return err
	case <-time.After(patience):
		return errors.New("it does not end")
	}
}

// get asks the admin listener.
func (d *daemon) get(t *testing.T, method, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(bounded(t), method, "http://"+d.AdminAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// ready waits until /readyz says want.
func (d *daemon) ready(t *testing.T, status int, want string) {
	t.Helper()
	var got string
	eventually(t, "/readyz says "+want, func() bool {
		s, body := d.get(t, http.MethodGet, "/readyz")
		got = body
		return s == status && strings.Contains(got, want)
	})
}

// fakeLOTA answers every ranged HEAD as a filled object, and is named by the
// environment that it gives.
func fakeLOTA(t *testing.T) (environ []string, heads func() []string) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Method+" "+r.Host+r.URL.Path+" "+r.Header.Get("Range"))
		mu.Unlock()
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Last-Modified", "Fri, 20 Nov 2026 10:00:00 GMT")
		w.Header().Set("Content-Range", "bytes 0-0/5000000")
		w.WriteHeader(http.StatusPartialContent)
	}))
	t.Cleanup(s.Close)
	return []string{"LOTA_ENDPOINT=http://lota.test", "LOTA_TRUST_ENDPOINT=true", "LOTA_DIAL=" + s.Listener.Addr().String()}, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), seen...)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	environ, heads := fakeLOTA(t)
	d := start(t, append(environ, "NATS_URL="+srv.URL())...)
	d.ready(t, http.StatusOK, "ok")
	js := srv.JetStream(t)
	if _, err := js.Publish(t.Context(), "events.model.published", []byte(`{"uri":"s3://models/m/model.safetensors"}`)); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), ReceiptsBucket)
	if err != nil {
		t.Fatal(err)
	}
	w, err := kv.Watch(bounded(t), "default.>")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Stop() }()
	var receipt struct{ Outcome, Verdict, Stream string }
	for receipt.Outcome == "" {
		e, open := <-w.Updates()
		if !open {
			t.Fatal("no receipt")
		}
		if e != nil {
			if err := json.Unmarshal(e.Value(), &receipt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if receipt.Outcome != "warm" || receipt.Verdict != "accepted" || receipt.Stream != "EVENTS" {
		t.Errorf("receipt: %+v", receipt)
	}
	if got := heads(); len(got) != 1 || got[0] != "HEAD models.lota.test/m/model.safetensors bytes=0-0" {
		t.Errorf("asked for: %q", got)
	}

	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/nothing": "404 page not found"} {
		if status, body := d.get(t, http.MethodGet, path); strings.TrimSpace(body) != want || (status == http.StatusOK) != (want == "ok") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	// The event counts when its message is settled, which is after its receipt.
	var metrics string
	eventually(t, "the event is counted", func() bool {
		_, metrics = d.get(t, http.MethodGet, "/metrics")
		return strings.Contains(metrics, "\n"+`prestage_events_total{lane="model",outcome="warm"} 1`)
	})
	for _, line := range []string{
		`prestage_events_total{lane="checkpoint",outcome="dead_lettered"} 0`,
		`prestage_objects_total{outcome="filled"} 1`, "prestage_filled_bytes_total 5e+06",
		`prestage_event_to_warm_seconds_count{lane="model"} 1`, "prestage_fill_seconds_count 1", "prestage_fills_in_flight 0",
		"prestage_concurrency_limit 16", `prestage_lag_messages{lane="checkpoint"} 0`, `prestage_oldest_event_age_seconds{lane="model"} `,
		`prestage_dead_letters_total{reason="unconfirmed"} 0`, "prestage_endpoint_up 1", "prestage_confirm_discriminates 0", "prestage_build_info{",
	} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("no %s", line)
		}
	}

	if err := d.stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
	if err := d.Ready(); err == nil || err.Error() != "draining" {
		t.Errorf("after the end: %v", err)
	}
}

// TestAnswersWhileConnecting has a NATS that takes a connection and then says
// nothing, on which connecting spends seconds. Neither an answer nor the end
// waits for that.
func TestAnswersWhileConnecting(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := start(t, "NATS_URL=nats://"+l.Addr().String())
	mute, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if status, body := d.get(t, http.MethodGet, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if status, body := d.get(t, http.MethodGet, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "nats is not reachable") {
		t.Errorf("/readyz: %d %s", status, body)
	}
	_, metrics := d.get(t, http.MethodGet, "/metrics")
	for _, line := range []string{
		`prestage_events_total{lane="model",outcome="warm"} 0`, `prestage_objects_total{outcome="filled"} 0`, `prestage_lag_messages{lane="checkpoint"} 0`,
		"prestage_endpoint_up ", "prestage_ledger_writes_dropped_total 0", "prestage_build_info{",
	} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("no %s", line)
		}
	}
	if err := mute.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := mute.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the answers came after the first try to connect: %v", err)
	}
	if err := d.stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
	if err := mute.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := mute.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the end came after the first try to connect: %v", err)
	}
}

func TestReadySaysWhyNot(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	srv.Stop()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close() // nobody is there
	d := start(t, "NATS_URL="+srv.URL(), "LOTA_DIAL="+addr)
	if err := (&App{}).readyOf(&state{}); err == nil || err.Error() != "nats is not reachable" {
		t.Errorf("before anything: %v", err)
	}
	d.ready(t, http.StatusServiceUnavailable, "not ready: nats is not reachable")
	if status, _ := d.get(t, http.MethodGet, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	srv.Restart(t)
	d.ready(t, http.StatusServiceUnavailable, "not ready: LOTA endpoint "+addr+" is down: ")

	l, err = lc.Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatalf("somebody took the port: %v", err)
	}
	defer l.Close()
	d.ready(t, http.StatusOK, "ok")
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}

// readyOf is Ready in a state.
func (a *App) readyOf(s *state) error {
	a.state.Store(s)
	return a.Ready()
}

// TestRunProvisionsAgain: somebody deletes what the daemon consumes.
func TestRunProvisionsAgain(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	environ, _ := fakeLOTA(t)
	d := start(t, append(environ, "NATS_URL="+srv.URL())...)
	d.ready(t, http.StatusOK, "ok")
	js := srv.JetStream(t)
	if err := js.DeleteConsumer(t.Context(), "EVENTS", modelLane); err != nil {
		t.Fatal(err)
	}
	d.ready(t, http.StatusServiceUnavailable, "not ready: streams, buckets and consumers are not ready")
	d.ready(t, http.StatusOK, "ok")
	if _, err := js.Consumer(t.Context(), "EVENTS", modelLane); err != nil {
		t.Error(err)
	}
	if len(d.log.lines(`"level":"ERROR"`, "provisioning again")) != 1 {
		t.Error("nothing said")
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}

func TestRunWithoutProvision(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	environ, _ := fakeLOTA(t)
	a, err := New(t.Context(), parse(t, append(environ, "NATS_URL="+srv.URL(), "PRESTAGE_PROVISION=false", "PRESTAGE_HTTP_ADDR=127.0.0.1:0")...),
		Deps{Log: (&logbook{}).logger(), Registry: prometheus.NewRegistry(), AWS: identity()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(t.Context()) }()
	if err := within(ended); err == nil || !strings.Contains(err.Error(), "stream EVENTS does not exist and PRESTAGE_PROVISION=false") {
		t.Errorf("ended with %v", err)
	}
}

// TestRunOneLaneGone: when one lane's consumer goes and may not be made anew,
// the program ends, although the other lane is busy.
func TestRunOneLaneGone(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t)
	asked, release := make(chan struct{}, 1), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(release)
	environ := []string{"NATS_URL=" + js.URL(), "LOTA_ENDPOINT=http://lota.test", "LOTA_TRUST_ENDPOINT=true", "LOTA_DIAL=" + s.Listener.Addr().String(), "PRESTAGE_DRAIN_TIMEOUT=0s"}
	p, _ := newProvisioner(t, js.JetStream(t), environ...)
	if _, err := p.ensure(bounded(t)); err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), parse(t, append(environ, "PRESTAGE_PROVISION=false", "PRESTAGE_HTTP_ADDR=127.0.0.1:0")...),
		Deps{Log: (&logbook{}).logger(), Registry: prometheus.NewRegistry(), AWS: identity()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(t.Context()) }()
	if _, err := p.js.Publish(t.Context(), "events.checkpoint.written", []byte(`{"uri":"s3://ckpt/a"}`)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-asked:
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(patience):
		t.Fatal("no fill")
	}
	if err := p.js.DeleteConsumer(t.Context(), "EVENTS", modelLane); err != nil {
		t.Fatal(err)
	}
	if err := within(ended); err == nil || !strings.Contains(err.Error(), "was deleted") {
		t.Errorf("ended with %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	deps := Deps{Log: (&logbook{}).logger(), Registry: prometheus.NewRegistry()}
	busy := parse(t, "PRESTAGE_HTTP_ADDR="+l.Addr().String())
	var setting *SettingError
	if _, err := New(t.Context(), busy, deps); !errors.As(err, &setting) || setting.Name != "PRESTAGE_HTTP_ADDR" || setting.Value != l.Addr().String() {
		t.Errorf("a busy port: %v", err)
	}
	wrong := parse(t)
	wrong.Concurrency = 0
	if _, err := New(t.Context(), wrong, deps); !errors.As(err, &setting) || setting.Name != "PRESTAGE_CONCURRENCY" {
		t.Errorf("a wrong setting: %v", err)
	}
}

func TestListeningIsLogged(t *testing.T) {
	t.Parallel()
	log := &logbook{}
	a, err := listenAdmin(t.Context(), "127.0.0.1:0", prometheus.NewRegistry(), func() error { return nil }, nil, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close(t.Context())
	if lines := log.lines(`"msg":"listening"`, `"name":"admin"`, `"addr":"`+a.listener.Addr().String()+`"`); len(lines) != 1 {
		t.Errorf("said: %v", log.lines(""))
	}
}

func TestDial(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	c := parse(t, "NATS_URL="+srv.URL())
	nc, err := Dial(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jetstream.New(nc); err != nil || !strings.HasPrefix(nc.Opts.Name, "prestage-default-") {
		t.Errorf("connection %q: %v", nc.Opts.Name, err)
	}
	nc.Close()
	srv.Stop()
	c.NATSURL = []string{strings.Replace(srv.URL(), "nats://", "nats://u:hush@", 1)}
	if _, err := Dial(c); err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "is NATS_URL right?") {
		t.Errorf("without a server: %v", err)
	}
	if err := suspect(nats.ErrAuthorization); !errors.Is(err, nats.ErrAuthorization) || !strings.Contains(err.Error(), "NATS_CREDS") {
		t.Errorf("refused: %v", err)
	}
}

func TestDrainContext(t *testing.T) {
	t.Parallel()
	for name, timeout := range map[string]time.Duration{"half a minute": 30 * time.Second, "at once": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fetch, stop := context.WithCancel(t.Context())
				work, cut := DrainContext(fetch, timeout)
				defer cut()
				time.Sleep(time.Hour)
				if work.Err() != nil {
					t.Fatal("ended before fetch did")
				}
				stop()
				stopped := time.Now()
				<-work.Done()
				if took := time.Since(stopped); took != timeout {
					t.Errorf("ended %s after fetch, want %s", took, timeout)
				}
				if cause := context.Cause(work); !strings.Contains(cause.Error(), "PRESTAGE_DRAIN_TIMEOUT") {
					t.Errorf("cause: %v", cause)
				}
			})
		})
	}
	t.Run("everything done before", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { // fails when a goroutine stays behind
			fetch, stop := context.WithCancel(t.Context())
			work, cut := DrainContext(fetch, time.Hour)
			stop()
			begun := time.Now()
			cut()
			<-work.Done()
			if took := time.Since(begun); took != 0 {
				t.Errorf("took %s", took)
			}
		})
	})
}
