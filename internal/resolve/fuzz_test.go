package resolve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// script is a transport that gives one answer after the other.
type script struct {
	t       *testing.T
	status  int
	answers []string
	asked   int
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != "mlflow.test" || req.Method != http.MethodGet || !strings.HasPrefix(req.URL.Path, "/base/api/2.0/mlflow/") {
		s.t.Errorf("%s %s was asked for", req.Method, req.URL)
	}
	body := s.answers[min(s.asked, len(s.answers)-1)]
	s.asked++
	return &http.Response{StatusCode: s.status, Header: http.Header{"Retry-After": {body}}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// FuzzAnswers: whatever an event and a server say, one host is asked a bounded
// number of times, and what comes of it is a prefix or an error that can be shown.
func FuzzAnswers(f *testing.F) {
	f.Add("llama", "3", "", 200, `{"artifact_uri":"models:/m-7c1e"}`, `{"model":{"info":{"name":"model","artifact_uri":"s3://models/x"}}}`)
	f.Add("", "", "models:/llama@champion", 200, `{"model_version":{"name":"llama","version":"3"}}`, `{"artifact_uri":"s3://models/llama/3"}`)
	f.Add("", "", "runs:/0a1b/model", 200, `{"run":{"info":{"artifact_uri":"s3://m/0a1b"},"outputs":{"model_outputs":[{"model_id":"m-1"},{"model_id":"../.."}]}}}`, `{}`)
	f.Add("llama", "3", "", 200, `{"artifact_uri":"mlflow-artifacts://h:1/1/a"}`, "")
	f.Add("..", "..", "runs:/../..", 404, absentBody, "")
	f.Add("a\x00", "\n", "models://u:p@h/x/1", 503, "<html>", "null")
	f.Add("", "", "models:/%2e%2e/1", 301, `{"error_code":"X"}`, "[]")
	f.Fuzz(func(t *testing.T, name, version, uri string, status int, first, second string) {
		s := &script{t: t, status: status, answers: []string{first, second}}
		tr := NewTracking(&url.URL{Scheme: "http", Host: "mlflow.test", Path: "/base"}, func(context.Context) string { return "Bearer " + token })
		tr.client.Transport = s
		m := NewMLflow(tr, object.Ref{Bucket: "mlflow"}, defaultMarks)
		m.again = nil
		ev, err := m.Find(t.Context(), events.Event{Artifact: events.Artifact{Registry: events.MLflow, Name: name, Version: version, URI: uri}})
		if s.asked > 1+maxHops*(2+maxOutputs) {
			t.Errorf("%d questions", s.asked)
		}
		if err == nil {
			if ev.Prefix.Check() != nil || !ev.Prefix.IsPrefix() || ev.Prefix.Key == "" {
				t.Errorf("found %v", ev.Prefix)
			}
			return
		}
		e, ok := errors.AsType[*outcome.Error](err)
		if !ok || e.Hint == "" || (e.Reason != outcome.UnresolvableSource && e.Reason != outcome.Unsupported) || e.RetryAfter > maxRetryAfter {
			t.Errorf("%#v", err)
		}
		if text := err.Error(); len(text) > 2048 || strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) || strings.Contains(text, token) {
			t.Errorf("error %q", text)
		}
	})
}
