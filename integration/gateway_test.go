package integration_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The secrets of the tests' gateways; mark is in each.
const (
	gatewayToken  = mark + "-token"
	gatewaySecret = mark + "-hooks"
)

// gateway starts the gateway and waits until it is ready.
func (w *world) gateway(t *testing.T, b *build, settings ...string) *program {
	t.Helper()
	return launch(t, b, w.gatewayEnviron(t, settings...), "gateway").takesHooks(t)
}

func (w *world) gatewayEnviron(t *testing.T, settings ...string) []string {
	t.Helper()
	return w.environ(t, append([]string{
		"PRESTAGE_GATEWAY_ADDR=127.0.0.1:0", "PRESTAGE_GATEWAY_TOKENS=old, " + gatewayToken,
		"PRESTAGE_GATEWAY_MLFLOW_SECRETS=" + gatewaySecret, "PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS=" + gatewaySecret,
	}, settings...)...)
}

// takesHooks waits until the gateway's own /readyz is content.
func (p *program) takesHooks(t *testing.T) *program {
	t.Helper()
	eventually(t, "the gateway is ready", func() error {
		addr := p.gatewayAddr()
		if addr == "" {
			return errors.New("it does not tell where it listens")
		}
		if a, err := exchange(addr, "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil || a.status != http.StatusOK {
			return fmt.Errorf("answer %v, %w", a, err)
		}
		return nil
	})
	return p
}

func (p *program) gatewayAddr() string {
	for _, line := range p.logged("listening") {
		if line["name"] == "gateway" {
			addr, _ := line["addr"].(string)
			return addr
		}
	}
	return ""
}

// reply is an answer that was read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// exchange sends the bytes of a request, which asks to close.
func exchange(addr, request string) (reply, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return reply{}, err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return reply{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body)}, err
}

// post is the text of a POST.
func post(path, body string, headers ...string) string {
	head := append([]string{"POST " + path + " HTTP/1.1", "Host: gateway", "Connection: close", "Content-Length: " + strconv.Itoa(len(body))}, headers...)
	return strings.Join(head, "\r\n") + "\r\n\r\n" + body
}

// taken is the gateway's answer to what it took.
type taken struct {
	EventID   string `json:"event_id"`
	Source    string `json:"source"`
	Seq       uint64 `json:"stream_seq"`
	Duplicate bool   `json:"duplicate"`

	location string
}

func (a taken) sent() sent {
	return sent{cluster: "default", id: a.EventID, source: a.Source, seq: a.Seq}
}

// takes sends a request that has to be taken.
func takes(t *testing.T, addr, request string) taken {
	t.Helper()
	resp, err := exchange(addr, request)
	if err != nil {
		t.Fatal(err)
	}
	if resp.status != http.StatusAccepted {
		t.Fatalf("status %d: %s", resp.status, resp.body)
	}
	a := taken{location: resp.header.Get("Location")}
	if err := json.Unmarshal([]byte(resp.body), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func mlflowPost(id, secret string, at time.Time, body string) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id + "." + stamp + "." + body))
	return post("/hooks/mlflow", body, "Content-Type: application/json", "X-MLflow-Delivery-Id: "+id, "X-MLflow-Timestamp: "+stamp,
		"X-MLflow-Signature: v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

const bearerLine = "Authorization: Bearer " + gatewayToken

// TestGateway sends what its users send, as bytes, and follows it to the end.
func TestGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("run-7/a.distcp", "llama/v3/model.safetensors", "plain.ckpt", "hooked+1.ckpt")
	g := w.gateway(t, raceBuild) // the first to come makes the stream
	w.run(t)
	addr := g.gatewayAddr()

	structured := `{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":"/train/run-7","id":"run-7-step-1","data":{"uri":"s3://ckpt/run-7/","run":"run-7","complete":true}}`
	version := `{"entity": "model_version", "action": "created", "timestamp": "2026-11-20T10:00:00+00:00", "data": {"name": "llama", "version": "3", "source": "s3://ckpt/llama/v3", "run_id": null, "tags": {}, "description": null}}`
	test := `{"entity":"model_version","action":"created","timestamp":"2026-11-20T10:00:00+00:00","data":{"name":"example_model","version":"1","source":"models:/123","run_id":"abcd1234abcd5678","tags":{"example_key":"example_value"},"description":"An example model version"}}`
	now := time.Now()
	for _, tt := range []struct{ name, request, outcome, reason string }{
		{"a structured event", post("/v1/events", structured, bearerLine, "Content-Type: application/cloudevents+json"), "warm", ""},
		{"a plain event", post("/v1/events", `{"uri":"s3://ckpt/plain.ckpt"}`, bearerLine, "Content-Type: application/json"), "warm", ""},
		{"a store's notification", post("/hooks/s3", `{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"ckpt"},"object":{"key":"hooked%2B1.ckpt"}}}]}`, bearerLine), "warm", ""},
		{"a model version", mlflowPost("delivery-1", gatewaySecret, now, version), "warm", ""},
		{"MLflow's test", mlflowPost("delivery-2", gatewaySecret, now, test), "skipped", "not_actionable"},
		{"the Hub's push", post("/hooks/huggingface", `{"event":{"action":"update","scope":"repo.content"},"repo":{"type":"model","name":"org/x"}}`, "X-Webhook-Secret: "+gatewaySecret), "dead_lettered", "unresolvable_source"},
	} {
		a := takes(t, addr, tt.request)
		r := w.ends(t, a.sent(), tt.outcome)
		if r.Reason != tt.reason {
			t.Errorf("%s: reason %q, want %q: %s", tt.name, r.Reason, tt.reason, r.Error)
		}
		resp, err := exchange(addr, "GET "+a.location+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"+bearerLine+"\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		var told receipt
		if err := json.Unmarshal([]byte(resp.body), &told); err != nil || told.Outcome != tt.outcome || told.EventID != a.EventID {
			t.Errorf("%s: %s tells %+v, %v", tt.name, a.location, told, err)
		}
	}
	w.lota.mustHaveAsked(t, once("run-7/a.distcp", "llama/v3/model.safetensors", "plain.ckpt", "hooked+1.ckpt"))

	before := w.lastSequence(t)
	for name, request := range map[string]string{
		"no token":             post("/v1/events", structured),
		"another's token":      post("/v1/events", structured, "Authorization: Bearer "+gatewaySecret),
		"another's signature":  mlflowPost("delivery-3", gatewayToken, now, version),
		"a stale signature":    mlflowPost("delivery-3", gatewaySecret, now.Add(-time.Hour), version),
		"a tampered body":      strings.Replace(mlflowPost("delivery-3", gatewaySecret, now, version), "llama/v3", "llama/v2", 1),
		"a route not set up":   post("/hooks/harbor", "{}", "Authorization: "+gatewaySecret),
		"a route not set up 2": post("/hooks/wandb", "{}", "X-Wandb-Signature: "+gatewaySecret),
	} {
		resp, err := exchange(addr, request)
		if err != nil || resp.status != http.StatusUnauthorized || resp.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: answer %v, %v, want 401 and a problem", name, resp, err)
		}
	}
	if after := w.lastSequence(t); after != before {
		t.Errorf("refused requests made %d messages", after-before)
	}
	if again := takes(t, addr, mlflowPost("delivery-1", gatewaySecret, now, version)); !again.Duplicate {
		t.Errorf("the same delivery again is %+v, want a duplicate", again)
	}
	g.stop(t)
	if text := g.stdout.String() + g.stderr.String(); strings.Contains(text, mark) {
		t.Error("the gateway tells a secret")
	}
}

// TestGatewayKilledBeforeItAnswers: what the stream has and nobody was told is
// sent again, and is one event with one fill.
func TestGatewayKilledBeforeItAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt")
	body := `{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":"/train/run-7","id":"e1","data":{"uri":"s3://ckpt/last.ckpt"}}`
	request := post("/v1/events", body, bearerLine)
	doomed := w.gateway(t, failpointBuild, "FAILPOINT=gateway-stored")
	eventually(t, "there is a stream", func() error {
		_, err := w.js.Stream(t.Context(), "EVENTS")
		return err
	})
	if resp, err := exchange(doomed.gatewayAddr(), request); err == nil {
		t.Fatalf("it answered %v", resp)
	}
	if code := doomed.wait(t); code != -1 {
		t.Fatalf("exit code %d, want a signal", code)
	}
	a := takes(t, w.gateway(t, failpointBuild).gatewayAddr(), request)
	if !a.Duplicate || a.Seq != 1 {
		t.Errorf("sent again it is %+v, want the first message", a)
	}
	w.run(t)
	w.ends(t, a.sent(), "warm")
	w.settled(t)
	w.lota.mustHaveAsked(t, once("last.ckpt"))
	if n := w.lastSequence(t); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

// TestGatewayAmongIdlers has very many connections that send nothing, or hardly
// anything, and looks whether the gateway serves the others.
func TestGatewayAmongIdlers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	addr := w.gateway(t, plainBuild).gatewayAddr()
	const idlers = 2000
	var mu sync.Mutex
	var conns []net.Conn
	var dialling sync.WaitGroup
	for worker := range 50 {
		dialling.Go(func() {
			for i := range idlers / 50 {
				conn, err := net.DialTimeout("tcp", addr, patience)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				conns = append(conns, conn)
				mu.Unlock()
				switch (worker + i) % 4 {
				case 1: // a header that never ends
					_, _ = io.WriteString(conn, "POST /v1/events HTTP/1.1\r\nHost: a\r\nX-Slow: ")
				case 2: // a body that never comes
					_, _ = io.WriteString(conn, "POST /hooks/mlflow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
				case 3: // one request, then nothing
					_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
				}
			}
		})
	}
	dialling.Wait()
	t.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	if len(conns) != idlers {
		t.Fatalf("%d connections, want %d", len(conns), idlers)
	}
	for range 20 {
		if resp, err := exchange(addr, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil || resp.status != http.StatusOK {
			t.Fatalf("answer %v, %v", resp, err)
		}
		takes(t, addr, post("/v1/events", `{"uri":"s3://ckpt/last.ckpt"}`, bearerLine))
	}
}

// TestGatewaySecretsAreRotated changes a file of tokens under the gateway.
func TestGatewaySecretsAreRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	addr := w.gateway(t, raceBuild, "PRESTAGE_GATEWAY_TOKENS_FILE="+file).gatewayAddr()
	answers := func(token string, status int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s gets %d", token, status), func() error {
			resp, err := exchange(addr, post("/v1/events", `{"uri":"s3://ckpt/a"}`, "Authorization: Bearer "+token))
			if err == nil && resp.status != status {
				err = fmt.Errorf("status %d", resp.status)
			}
			return err
		})
	}
	answers("first", http.StatusAccepted)
	write("second\nfirst\n")
	answers("second", http.StatusAccepted)
	answers("first", http.StatusAccepted)
	write("second\n")
	answers("first", http.StatusUnauthorized)
	answers("second", http.StatusAccepted)
}
