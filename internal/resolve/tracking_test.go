package resolve

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
)

var llama = events.Artifact{Registry: events.MLflow, Name: "llama", Version: "3"}

// TestAnswers: what the server says decides whether the event ends, waits, or
// counts an attempt.
func TestAnswers(t *testing.T) {
	t.Parallel()
	html := "<html>hush</html>"
	for name, tt := range map[string]struct {
		status int
		body   string
		class  outcome.Class
		text   string
	}{
		"no such version":        {404, absentBody, outcome.Permanent, "knows no such thing (RESOURCE_DOES_NOT_EXIST)"},
		"no such alias":          {400, `{"error_code":"INVALID_PARAMETER_VALUE"}`, outcome.Permanent, "knows no such thing"},
		"no such page":           {404, html, outcome.Failed, "MLFLOW_TRACKING_URI"},
		"no such endpoint":       {404, `{"error_code":"ENDPOINT_NOT_FOUND"}`, outcome.Failed, "ENDPOINT_NOT_FOUND"},
		"no token":               {401, html, outcome.Refused, "MLFLOW_TRACKING_TOKEN"},
		"token of another":       {403, `{"error_code":"PERMISSION_DENIED","message":"Bearer hush-hush"}`, outcome.Refused, "MLFLOW_TRACKING_TOKEN"},
		"bad request":            {400, html, outcome.Refused, "HTTP 400"},
		"not implemented":        {501, "", outcome.Refused, "HTTP 501"},
		"broken":                 {500, `{"error_code":"INTERNAL_ERROR"}`, outcome.Transient, "INTERNAL_ERROR"},
		"bad gateway":            {502, html, outcome.Transient, "HTTP 502"},
		"away":                   {503, "", outcome.Transient, "HTTP 503"},
		"busy":                   {429, `{"error_code":"REQUEST_LIMIT_EXCEEDED"}`, outcome.Transient, "HTTP 429"},
		"a page":                 {200, html, outcome.Refused, "not what MLflow answers"},
		"nothing":                {200, "", outcome.Refused, "not what MLflow answers"},
		"a list":                 {200, `[1]`, outcome.Refused, "not what MLflow answers"},
		"another type":           {200, `{"artifact_uri":{"a":1}}`, outcome.Refused, "not what MLflow answers"},
		"too deep":               {200, `{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, outcome.Refused, "not what MLflow answers"},
		"too large":              {200, `{"artifact_uri":"` + strings.Repeat("x", maxAnswer) + `"}`, outcome.Refused, "larger than"},
		"too large, and refused": {403, strings.Repeat(" ", 2*maxAnswer), outcome.Refused, "HTTP 403"},
		"a code with a secret":   {400, `{"error_code":"hush"}`, outcome.Refused, "without an error code"},
		"created":                {201, `{"artifact_uri":"s3://models/x"}`, outcome.Refused, "HTTP 201"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, map[string]answer{api + "model-versions/get-download-uri?name=llama&version=3": {tt.status, tt.body}})
			got, err := s.tracking(t).Place(t.Context(), llama)
			e := outcome.As(err)
			if got != "" || e.Class != tt.class || e.Reason != outcome.UnresolvableSource || !strings.Contains(e.Error(), tt.text) || e.Hint == "" {
				t.Errorf("%q, class %v, %v", got, e.Class, err)
			}
			if text := e.Error(); hasSecret(text) || len(text) > 1024 {
				t.Errorf("error of %d bytes: %.200q", len(text), text)
			}
		})
	}
}

// TestOnlyTheHost: a redirect is not followed, wherever it leads, and no proxy
// is used.
func TestOnlyTheHost(t *testing.T) {
	t.Parallel()
	other := newServer(t, nil)
	if transport, ok := trackingAt(t, other.URL).client.Transport.(*http.Transport); !ok || transport.Proxy != nil {
		t.Error("a proxy would be given the token")
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Errorf("%d: followed to another path", status)
			}
			to := other.URL + r.URL.Path
			if status == 307 {
				to = "/elsewhere"
			}
			http.Redirect(w, r, to, status)
		}))
		defer s.Close()
		_, err := trackingAt(t, s.URL).Place(t.Context(), llama)
		if e := outcome.As(err); e.Class != outcome.Refused || !strings.Contains(e.Error(), "MLFLOW_TRACKING_URI") {
			t.Errorf("%d: %v", status, err)
		}
	}
	if asked := other.questions(); len(asked) > 0 {
		t.Errorf("another host was asked: %v", asked)
	}
}

// TestQuestion: the path of the setting is kept, and the server learns who asks
// and for which workspace.
func TestQuestion(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, base := range []string{"/prefix", "/prefix/"} {
		of := llama
		of.Workspace = "team-a"
		_, _ = trackingAt(t, s.URL+base).Place(t.Context(), of)
	}
	const q = "GET /prefix/api/2.0/mlflow/model-versions/get-download-uri?name=llama&version=3"
	if diff := cmp.Diff([]string{q, q}, s.questions()); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{"Authorization": "Bearer " + token, "X-Mlflow-Workspace": "team-a", "Accept": "application/json"} {
		if got := s.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	bad := llama
	bad.Workspace = "a\r\nX-Evil: b"
	tracking := s.tracking(t)
	_, err := tracking.Place(t.Context(), bad)
	// Anything else would have the event wait for ever, and others with it.
	if e := outcome.As(err); e.Class != outcome.Permanent || strings.ContainsAny(e.Error(), "\r\n") || len(s.questions()) != 2 {
		t.Errorf("%v, %d questions", err, len(s.questions()))
	}
	if err := tracking.rest.over(time.Now()); err != nil {
		t.Errorf("the server is left alone: %v", err)
	}
}

// TestDown: nothing that happens to a connection ends an event.
func TestDown(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	_ = l.Close()
	half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"artifact_uri":`))
	}))
	defer half.Close()
	header := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
	}))
	defer header.Close()
	for name, base := range map[string]string{"closed": closed, "half an answer": half.URL, "an endless header": header.URL} {
		_, err := trackingAt(t, base).Place(t.Context(), llama)
		if e := outcome.As(err); e.Class != outcome.Transient || e.Reason != outcome.UnresolvableSource || hasSecret(e.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSlow: a server that does not answer holds a question until ctx ends, at the
// latest.
func TestSlow(t *testing.T) {
	t.Parallel()
	asked, done := make(chan struct{}, 1), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-done
	}))
	defer slow.Close()
	defer close(done)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("shutting down")
	go func() {
		<-asked
		cancel(why)
	}()
	_, err := trackingAt(t, slow.URL).Place(ctx, llama)
	if e := outcome.As(err); e.Class != outcome.Interrupted || !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestOneAsksForAll: a server that hangs holds one event for as long as a
// question may take, and the others not at all.
func TestOneAsksForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		tr := trackingAt(t, "http://mlflow.test")
		tr.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		place := func() time.Duration {
			began := time.Now()
			if _, err := tr.Place(ctx, llama); !errors.Is(err, outcome.Transient) {
				t.Errorf("%v", err)
			}
			return time.Since(began)
		}
		if took := place(); took != askTimeout {
			t.Errorf("the first took %s, want %s", took, askTimeout)
		}
		for range 2 {
			before := asked.Load()
			for range 5 {
				if took := place(); took > 0 || asked.Load() > before {
					t.Errorf("another took %s, %d asked", took, asked.Load()-before)
				}
			}
			time.Sleep(maxRest) // of the bubble's clock
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() { place() })
			}
			all.Wait()
			if n := asked.Load() - before; n != 1 {
				t.Errorf("%d asked when the rest was over, want one", n)
			}
		}
	})
}

// TestRest: a server that failed is not asked again at once, then by one question,
// then by all.
func TestRest(t *testing.T) {
	t.Parallel()
	down := &outcome.Error{Class: outcome.Transient, Err: errors.New("down")}
	at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	var r rest
	step := func(after time.Duration, may bool) {
		t.Helper()
		at = at.Add(after)
		err := r.over(at)
		if (err == nil) != may {
			t.Errorf("at %s: %v", at.Format(time.TimeOnly), err)
		}
		if e := outcome.As(err); err != nil && (e.Class != outcome.Transient || e.RetryAfter <= 0) {
			t.Errorf("at %s: %+v", at.Format(time.TimeOnly), e)
		}
	}
	step(0, true)
	step(0, true)
	r.begin(at, down)
	r.begin(at, down) // of the second question
	step(999*time.Millisecond, false)
	step(time.Millisecond, true)
	step(0, false) // one is enough
	r.begin(at, down)
	step(1999*time.Millisecond, false)
	step(time.Millisecond, true)
	step(askTimeout, true) // the one before was interrupted
	r.end()
	step(0, true)
	step(0, true)
	for range 10 {
		r.begin(at, down)
		at = at.Add(time.Hour)
		step(0, true)
	}
	r.begin(at, down)
	step(maxRest-time.Millisecond, false)
	step(time.Millisecond, true)
	r.begin(at, &outcome.Error{Class: outcome.Transient, RetryAfter: time.Minute})
	step(time.Minute-time.Millisecond, false)
	if down.RetryAfter != 0 {
		t.Error("the first error was changed")
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-1": 0, "soon": 0, "60000": maxRetryAfter, "99999999999": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}); got != want {
			t.Errorf("%q: %s", value, got)
		}
	}
}
