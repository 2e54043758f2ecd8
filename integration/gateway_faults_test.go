package integration_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
)

// hooks are deliveries of MLflow, numbered from 0, each sent again until it is
// taken.
type hooks struct {
	addr atomic.Value // string: where the gateway is now

	mu       sync.Mutex
	taken    map[int]taken
	refused  []int    // answered 503 with Retry-After
	unspoken []int    // not answered at all
	hasty    []int    // answered 429: more than one source may send
	wrong    []string // other answers
}

func newHooks(addr string) *hooks {
	h := &hooks{taken: map[int]taken{}}
	h.addr.Store(addr)
	return h
}

func hookKey(n int) string { return fmt.Sprintf("llama/v%d/model.safetensors", n) }

// send sends delivery n once.
func (h *hooks) send(n int) {
	body := fmt.Sprintf(`{"entity":"model_version","action":"created","timestamp":"2026-11-20T10:00:00+00:00","data":{"name":"llama","version":"%d","source":"s3://ckpt/llama/v%d","run_id":null,"tags":{},"description":null}}`, n, n)
	addr, _ := h.addr.Load().(string)
	resp, err := exchange(addr, mlflowPost(fmt.Sprint("delivery-", n), gatewaySecret, time.Now(), body))
	h.mu.Lock()
	defer h.mu.Unlock()
	var a taken
	switch {
	case err != nil:
		h.unspoken = append(h.unspoken, n)
	case resp.status == http.StatusAccepted && json.Unmarshal([]byte(resp.body), &a) == nil:
		h.taken[n] = a
	case resp.status == http.StatusServiceUnavailable && resp.header.Get("Retry-After") != "":
		h.refused = append(h.refused, n)
	case resp.status == http.StatusTooManyRequests:
		h.hasty = append(h.hasty, n)
	default:
		h.wrong = append(h.wrong, fmt.Sprintf("delivery %d: %d %s", n, resp.status, resp.body))
	}
}

// again sends what was not taken, and says how much that was.
func (h *hooks) again() int {
	h.mu.Lock()
	left := slices.Concat(h.refused, h.unspoken, h.hasty)
	h.refused, h.unspoken, h.hasty = nil, nil, nil
	h.mu.Unlock()
	var senders sync.WaitGroup
	atOnce := make(chan struct{}, 16)
	for _, n := range left {
		atOnce <- struct{}{}
		senders.Go(func() {
			h.send(n)
			<-atOnce
		})
	}
	senders.Wait()
	return len(left)
}

// TestGatewayWhileNATSIsDown kills NATS under 200 hooks a second for five
// seconds or, with INTEGRATION_LONG=1, for thirty: each 202 is in the stream,
// every other answer is a 503, and what is then sent again is stored once.
func TestGatewayWhileNATSIsDown(t *testing.T) {
	t.Parallel()
	down := 5 * time.Second
	if os.Getenv("INTEGRATION_LONG") == "1" {
		down = 30 * time.Second
	}
	w := newWorld(t, nil)
	server := startNATS(t)
	nc, err := nats.Connect(server.url(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	g := w.gateway(t, raceBuild, "NATS_URL="+server.url())
	eventually(t, "there is a stream", func() error {
		_, err := w.js.Stream(t.Context(), "EVENTS")
		return err
	})

	h := newHooks(g.gatewayAddr())
	var senders sync.WaitGroup
	tick := time.NewTicker(time.Second / 200)
	defer tick.Stop()
	sent := 0
	load := func(d time.Duration) {
		for end := time.After(d); ; sent++ {
			select {
			case <-tick.C:
				n := sent
				senders.Go(func() { h.send(n) })
			case <-end:
				return
			}
		}
	}
	load(time.Second)
	server.kill()
	load(down)
	server.start()
	eventually(t, "the gateway is ready again", func() error {
		load(100 * time.Millisecond)
		resp, err := exchange(g.gatewayAddr(), "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if err == nil && resp.status != http.StatusOK {
			err = errors.New(resp.body)
		}
		return err
	})
	load(time.Second)
	senders.Wait()
	t.Logf("%d hooks in about %s: %d taken, %d refused", sent, 2*time.Second+down, len(h.taken), len(h.refused))
	if len(h.unspoken) > 0 || len(h.taken)+len(h.refused) != sent || len(h.taken) == 0 || len(h.refused) == 0 {
		t.Errorf("of %d hooks %d were taken, %d refused, %d not answered", sent, len(h.taken), len(h.refused), len(h.unspoken))
	}
	h.allStored(t, w, sent)
}

// allStored sends what was not taken until it is, and compares with the stream.
func (h *hooks) allStored(t *testing.T, w *world, sent int) {
	t.Helper()
	eventually(t, "all are taken", func() error {
		if n := h.again(); n > 0 {
			return fmt.Errorf("%d were sent again", n)
		}
		return nil
	})
	for _, a := range h.wrong {
		t.Error(a)
	}
	for n, a := range h.taken {
		m := w.storedAt(t, a.Seq)
		if id := m.Header.Get("X-MLflow-Delivery-Id"); id != fmt.Sprint("delivery-", n) {
			t.Errorf("delivery %d was told to be message %d, which is %s", n, a.Seq, id)
		}
	}
	if n := w.messages(t); len(h.taken) != sent || n != uint64(sent) {
		t.Errorf("%d of %d were taken and %d are stored, want each once", len(h.taken), sent, n)
	}
}

// TestGatewayKilledUnderLoad kills it again and again. Its senders try until
// they are answered: each delivery is one message and one fill.
func TestGatewayKilledUnderLoad(t *testing.T) {
	t.Parallel()
	const kills, each = 4, 100
	w := newWorld(t, nil)
	var keys []string
	for n := range kills * each {
		keys = append(keys, hookKey(n))
	}
	w.put(keys...)
	w.run(t)
	h := newHooks("")
	for k := range kills {
		g := w.gateway(t, plainBuild)
		h.addr.Store(g.gatewayAddr())
		var senders sync.WaitGroup
		atOnce := make(chan struct{}, 8)
		for i := range each {
			atOnce <- struct{}{}
			if i == (k+1)*each/(kills+1) { // with others under way
				g.signal(t, syscall.SIGKILL)
			}
			senders.Go(func() {
				h.send(k*each + i)
				<-atOnce
			})
		}
		senders.Wait()
		<-g.exited
	}
	t.Logf("%d were answered, %d were not", len(h.taken), len(h.unspoken))
	if len(h.unspoken) == 0 || len(h.refused)+len(h.wrong) > 0 {
		t.Errorf("%d not answered, %d refused, wrong: %v", len(h.unspoken), len(h.refused), h.wrong)
	}
	h.addr.Store(w.gateway(t, plainBuild).gatewayAddr())
	h.allStored(t, w, kills*each)
	eventually(t, "all are warm", func() error {
		if n := len(w.lota.asked()); n < len(keys) {
			return fmt.Errorf("%d of %d", n, len(keys))
		}
		return nil
	})
	w.settledOn(t, "prestage-default-model")
	w.lota.mustHaveAsked(t, once(keys...))
}

// TestGatewayInsideRun takes hooks while LOTA is away: its readiness is not the
// daemon's.
func TestGatewayInsideRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put(hookKey(0), hookKey(1))
	p := launch(t, raceBuild, w.gatewayEnviron(t), "run", "--gateway").takesHooks(t).ready(t)
	h := newHooks(p.gatewayAddr())
	h.send(0)
	w.lota.server.StopLOTA()
	eventually(t, "the daemon's /readyz tells of the outage", func() error {
		if status, body, err := p.get(t, "/readyz"); err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "LOTA endpoint") {
			return fmt.Errorf("%d %q %w", status, body, err)
		}
		return nil
	})
	p.takesHooks(t)
	h.send(1)
	if len(h.taken) != 2 {
		t.Fatalf("taken: %v, wrong: %v", h.taken, h.wrong)
	}
	if err := w.lota.server.StartLOTA(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range h.taken {
		w.ends(t, a.sent(), "warm")
	}
	w.lota.mustHaveAsked(t, once(hookKey(0), hookKey(1)))
	p.stop(t)
}

// TestGatewaySpeaksTLS renews its certificate under it.
func TestGatewaySpeaksTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	client := func() *http.Client {
		authority := natstest.NewAuthority(t)
		issued, private := authority.Issue(t)
		for to, from := range map[string]string{cert: issued, key: private} {
			text, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(to, text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		pem, err := os.ReadFile(authority.File)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	}
	first := client()
	p := launch(t, raceBuild, w.gatewayEnviron(t, "PRESTAGE_GATEWAY_TLS_CERT="+cert, "PRESTAGE_GATEWAY_TLS_KEY="+key), "gateway")
	answers := func(c *http.Client) {
		t.Helper()
		eventually(t, "an event is taken over TLS", func() error {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+p.gatewayAddr()+"/v1/events", strings.NewReader(`{"uri":"s3://ckpt/a"}`))
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+gatewayToken)
			resp, err := c.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusAccepted || resp.ProtoMajor != 1 {
				return fmt.Errorf("%s %s", resp.Proto, resp.Status)
			}
			return nil
		})
	}
	answers(first)
	answers(client()) // who trusts nobody else
	if resp, err := exchange(p.gatewayAddr(), post("/v1/events", `{"uri":"s3://ckpt/a"}`, bearerLine)); err != nil || resp.status != http.StatusBadRequest {
		t.Errorf("without TLS it answers %v, %v", resp, err)
	}
	p.stop(t)
}
