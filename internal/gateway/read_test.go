package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
)

// endless is a body without end, which says how much of it was read.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += int64(len(p))
	return len(p), nil
}

// TestBodiesAreBounded: of a body nothing is read before its sender has shown a
// token, and never more than what a message may hold.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		accepts int32 // bytes, by the server; 0: 1 MiB
		limit   int64
	}{
		"as the server accepts": {0, 1<<20 - headerRoom},
		"as events are read":    {16 << 20, maxBody},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := &Link{}
			nc, err := nats.Connect(natstest.StartWith(t, natstest.Options{MaxPayload: tt.accepts}).URL(), link.Watch)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			link.Use(js)
			for deadline := time.Now().Add(time.Minute); !link.IsConnected() && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond) // which it is told by another goroutine
			}
			g := New(Config{Link: link, Stream: "EVENTS", Keys: keys(t), Log: slog.New(slog.DiscardHandler)})
			ask := func(path string, headers ...string) (status int, read int64) {
				body := new(endless)
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, body)
				for _, h := range headers {
					name, value, _ := strings.Cut(h, ": ")
					r.Header.Set(name, value)
				}
				w := httptest.NewRecorder()
				g.ServeHTTP(w, r)
				return w.Code, body.read
			}
			for _, path := range []string{"/v1/events", "/hooks/s3", "/hooks/huggingface", "/hooks/harbor", "/hooks/distribution"} {
				if status, read := ask(path); status != http.StatusUnauthorized || read > 0 {
					t.Errorf("%s without a secret: status %d after %d bytes", path, status, read)
				}
			}
			// The signed ones are read to be checked.
			for path, header := range map[string]string{"/v1/events": bearerHeader, "/hooks/s3": bearerHeader, "/hooks/mlflow": "X: ", "/hooks/wandb": "X: "} {
				if status, read := ask(path, header); status != http.StatusRequestEntityTooLarge || read > tt.limit+1 {
					t.Errorf("%s: status %d after %d bytes, want at most %d read", path, status, read, tt.limit)
				}
			}
		})
	}
}

// TestAllSecretsAreTried: how long a comparison takes tells nobody which secret
// it was, or how many there are before it.
func TestAllSecretsAreTried(t *testing.T) {
	t.Parallel()
	secrets := []string{"one", "two", "three"}
	for _, given := range []string{"one", "two", "three", "four", "", "onetwo"} {
		tried := 0
		got := anyMatches(secrets, given, func(s string) string { tried++; return s })
		if want := given == "one" || given == "two" || given == "three"; got != want || tried != len(secrets) {
			t.Errorf("%q: %t after %d of %d", given, got, tried, len(secrets))
		}
	}
}

// TestLateBody: a body that stops coming is its sender's fault.
func TestLateBody(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/events", io.MultiReader(strings.NewReader("{"), broken{}))
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	New(Config{Link: b.link, Keys: keys(t), Log: slog.New(slog.DiscardHandler)}).ServeHTTP(w, r)
	if w.Code != http.StatusRequestTimeout {
		t.Errorf("status %d", w.Code)
	}
	if n := b.stored(t); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
