package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// A source that has used up its share leaves the others theirs.
func TestSources(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSources()
		use := func(remote string) (n int) {
			for s.allow(remote) {
				n++
			}
			return n
		}
		for _, tt := range []struct {
			remote string
			want   int
		}{
			{"192.0.2.1:1000", sourceBurst},
			{"192.0.2.1:2000", 0}, // another port of it
			{"[::ffff:192.0.2.1]:1", 0},
			{"192.0.2.2:1000", sourceBurst},
			{"[2001:db8::1]:1", sourceBurst},
			{"[2001:db8::2]:1", 0}, // of the same network
			{"[2001:db8:0:1::1]:1", sourceBurst},
			{"@", sourceBurst}, // no address at all
			{"pipe", 0},
		} {
			if got := use(tt.remote); got != tt.want {
				t.Errorf("%s: %d requests, want %d", tt.remote, got, tt.want)
			}
		}
		time.Sleep(time.Second)
		if got := use("192.0.2.1:3000"); got != sourceRate {
			t.Errorf("%d requests after a second, want %d", got, sourceRate)
		}
	})
}

// Whoever asks too much is told when to try again, before anything is read.
func TestSourceIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{Log: slog.New(slog.DiscardHandler)})
		ask := func(remote string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/events", nil)
			r.RemoteAddr = remote
			g.ServeHTTP(w, r)
			return w
		}
		for range sourceBurst {
			if w := ask("192.0.2.1:1"); w.Code != http.StatusUnauthorized {
				t.Fatalf("status %d", w.Code)
			}
		}
		if w := ask("192.0.2.1:2"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("status %d, headers %v", w.Code, w.Header())
		}
		if w := ask("192.0.2.2:1"); w.Code != http.StatusUnauthorized {
			t.Errorf("another's status is %d", w.Code)
		}
		time.Sleep(time.Second)
		if w := ask("192.0.2.1:1"); w.Code != http.StatusUnauthorized {
			t.Errorf("a second later the status is %d", w.Code)
		}
	})
}

func TestSourcesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSources()
		for i := range 3 * maxSources {
			s.allow(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255))
		}
		if len(s.known) != maxSources {
			t.Errorf("%d sources are known, want %d", len(s.known), maxSources)
		}
		time.Sleep(10 * time.Second) // long enough for their limits to be whole again
		s.allow("192.0.2.1:1")
		if len(s.known) != 1 {
			t.Errorf("%d sources are known, want the latest", len(s.known))
		}
	})
}

func TestSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := make(slots, 1)
		if !s.enter(t.Context()) {
			t.Fatal("no slot at the beginning")
		}
		begun := time.Now()
		if s.enter(t.Context()) || time.Since(begun) != slotWait {
			t.Errorf("a second one, or after %s", time.Since(begun))
		}
		time.AfterFunc(slotWait/2, s.leave)
		if !s.enter(t.Context()) {
			t.Error("none after one was given back")
		}
	})
}

// TestServerWaitsForNobody: whatever a sender does slowly has an end.
func TestServerWaitsForNobody(t *testing.T) {
	t.Parallel()
	s := NewServer(New(Config{Log: slog.New(slog.DiscardHandler)}))
	for what, d := range map[string]time.Duration{
		"a header": s.ReadHeaderTimeout, "a request": s.ReadTimeout, "an answer": s.WriteTimeout, "the next request": s.IdleTimeout,
	} {
		if d <= 0 || d > time.Minute {
			t.Errorf("%s may take %s", what, d)
		}
	}
	if n := s.MaxHeaderBytes; n <= 0 || n > 64<<10 {
		t.Errorf("headers may have %d bytes", n)
	}
}
