package resolve

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// token is what no error may tell.
const token = "hush-hush"

func hasSecret(text string) bool { return strings.Contains(text, "hush") }

// absentBody is what MLflow answers for a version that there is not.
const absentBody = `{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Model Version (name=llama, version=3) not found"}`

// answer is what the server says to a question.
type answer struct {
	status int
	body   string
}

// server is a tracking server that answers what it was told to. Anything else is
// absent.
type server struct {
	*httptest.Server

	mu      sync.Mutex
	answers map[string][]answer // the last of them counts for ever
	heard   []string
	header  http.Header // of the last question
	told    func()
}

func newServer(t *testing.T, answers map[string]answer) *server {
	t.Helper()
	s := &server{answers: map[string][]answer{}}
	for q, a := range answers {
		s.answers[q] = []answer{a}
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.Method + " " + r.URL.RequestURI()
	s.heard, s.header = append(s.heard, q), r.Header
	a := answer{404, absentBody}
	if list := s.answers[q]; len(list) > 0 {
		a = list[0]
		if len(list) > 1 {
			s.answers[q] = list[1:]
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body))
	if s.told != nil {
		s.told()
	}
}

// then has q answered by one answer after the other.
func (s *server) then(q string, answers ...answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[q] = answers
}

// onAsked calls f after each question.
func (s *server) onAsked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = f
}

func (s *server) asked(q string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, h := range s.heard {
		if h == q {
			n++
		}
	}
	return n
}

func (s *server) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

func (s *server) tracking(t *testing.T) *Tracking {
	t.Helper()
	return trackingAt(t, s.URL)
}

func trackingAt(t *testing.T, base string) *Tracking {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	tr := NewTracking(u, func(context.Context) string { return "Bearer " + token })
	t.Cleanup(tr.Close)
	return tr
}
