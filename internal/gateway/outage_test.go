package gateway

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestOutage sends events while NATS goes away and comes back: each 202 is in the
// stream, every other answer is a 503 that says when to try again.
func TestOutage(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if a := b.do(t, "GET", "/readyz", nil); a.status != 200 {
		t.Fatalf("not ready: %s", a.body)
	}
	var mu sync.Mutex
	taken, refused := map[string]uint64{}, 0
	var stop atomic.Bool
	var senders sync.WaitGroup
	for sender := range 8 {
		senders.Go(func() {
			for i := 0; !stop.Load(); i++ {
				id := fmt.Sprintf("%d-%d", sender, i)
				a := b.post(t, "/v1/events", strings.Replace(structured, "run-7-step-100", id, 1), bearerHeader)
				mu.Lock()
				switch {
				case a.status == 202:
					taken[id] = a.sent(t).Seq
				case a.status == 503 && a.header.Get("Retry-After") == "2":
					refused++
				default:
					t.Errorf("status %d: %s", a.status, a.body)
				}
				mu.Unlock()
			}
		})
	}
	atLeast := func(what string, n func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			mu.Lock()
			done := n()
			mu.Unlock()
			if done {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("waited too long: " + what)
			}
		}
	}
	atLeast("some events are taken", func() bool { return len(taken) > 50 })
	b.nats.Stop()
	atLeast("some events are refused", func() bool { return refused > 50 })
	if a := b.do(t, "GET", "/readyz", nil); a.status != 503 {
		t.Errorf("ready without NATS: %s", a.body)
	}
	if a := b.do(t, "GET", "/healthz", nil); a.status != 200 {
		t.Errorf("not alive without NATS: %s", a.body)
	}
	b.nats.Restart(t)
	before := len(taken)
	atLeast("more events are taken", func() bool { return len(taken) > before+50 })
	stop.Store(true)
	senders.Wait()
	for id, seq := range taken {
		if m := b.message(t, seq); !strings.Contains(string(m.Data), `"id":"`+id+`"`) {
			t.Errorf("event %s is not message %d: %s", id, seq, m.Data)
		}
	}
}

// TestServerThatSaysNothing: NATS comes back as a server that takes connections and
// no more. Whoever sends an event is told at once to come again.
func TestServerThatSaysNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.nats.Stop()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", strings.TrimPrefix(b.nats.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	tried := make(chan net.Conn)
	go func() {
		defer close(tried)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tried <- conn
		}
	}()
	defer func() {
		_ = l.Close()
		for conn := range tried {
			_ = conn.Close()
		}
	}()
	conn := <-tried
	defer conn.Close() // which ends the try
	begun := time.Now()
	for range 3 {
		if a := b.post(t, "/v1/events", structured, bearerHeader); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
	if a := b.do(t, "GET", "/readyz", nil); a.status != 503 {
		t.Errorf("ready: %s", a.body)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the answers took %s", took)
	}
}

// TestStreamsThatAreNotOurs: an event is not taken where nobody consumes it.
func TestStreamsThatAreNotOurs(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) {
		c.Subjects = Subjects{Model: "elsewhere.model", Checkpoint: "nowhere", Object: "nowhere"}
	})
	b.stream(t, "OTHER", "elsewhere.>")
	for body, want := range map[string]struct {
		status int
		detail string
	}{
		`{"uri":"s3://ckpt/a"}`:               {503, "no stream takes"},
		`{"uri":"s3://models/a","model":"m"}`: {500, "OTHER"},
	} {
		if p := b.post(t, "/v1/events", body, bearerHeader).problem(t, want.status); !strings.Contains(p.Detail, want.detail) {
			t.Errorf("detail %q, want %q in it", p.Detail, want.detail)
		}
	}
}

// TestSlowBodies: senders who dawdle, and need no secret for that, hold up neither
// other routes, nor health, nor the hooks of their own route.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for n := range 2 * (maxInHand + 8) {
		length := 100
		if n%2 == 1 {
			length = smallBody + 1
		}
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(b.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "POST /hooks/wandb HTTP/1.1\r\nHost: a\r\nX-Wandb-Signature: x\r\nContent-Length: %d\r\n\r\n{", length); err != nil {
			t.Fatal(err)
		}
	}
	b.post(t, "/v1/events", structured, bearerHeader).sent(t)
	b.post(t, "/hooks/wandb", wandbBody, "X-Wandb-Signature: "+wandbSig).sent(t)
	if a := b.do(t, "GET", "/healthz", nil); a.status != 200 {
		t.Errorf("status %d", a.status)
	}
}
