package integration_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes spans as an OpenTelemetry collector does, by OTLP over HTTP.
type collector struct {
	server *httptest.Server

	mu       sync.Mutex
	spans    []span
	header   http.Header // of the last request
	requests int
}

// span is what was exported of one.
type span struct {
	name, kind      string
	trace, id       string // hexadecimal
	parent          string // "" for a root
	failed          bool
	attrs, resource map[string]string
}

// newCollector starts one. refuse, unless nil, answers in its place.
func newCollector(t *testing.T, refuse http.HandlerFunc) *collector {
	t.Helper()
	c := &collector{}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.requests++
		c.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if refuse != nil {
			refuse(w, r)
			return
		}
		if err == nil {
			err = c.take(r, body)
		}
		if err != nil {
			t.Errorf("a request that is no export: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.server.Close)
	return c
}

func (c *collector) take(r *http.Request, body []byte) error {
	var req collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		return err
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
		return fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = r.Header
	for _, of := range req.GetResourceSpans() {
		for _, by := range of.GetScopeSpans() {
			for _, s := range by.GetSpans() {
				c.spans = append(c.spans, span{
					name: s.GetName(), kind: s.GetKind().String(),
					trace: hex.EncodeToString(s.GetTraceId()), id: hex.EncodeToString(s.GetSpanId()), parent: hex.EncodeToString(s.GetParentSpanId()),
					failed: s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
					attrs:  texts(s.GetAttributes()), resource: texts(of.GetResource().GetAttributes()),
				})
			}
		}
	}
	return nil
}

// texts are attributes as text.
func texts(attrs []*commonpb.KeyValue) map[string]string {
	out := make(map[string]string)
	for _, a := range attrs {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			out[a.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			out[a.GetKey()] = fmt.Sprint(v.IntValue)
		default:
			out[a.GetKey()] = a.GetValue().String()
		}
	}
	return out
}

// settings have a program export to c, soon.
func (c *collector) settings(more ...string) []string {
	return append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.server.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}, more...)
}

// asked is how many requests came.
func (c *collector) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// has waits until n spans of a name have come that ok accepts.
func (c *collector) has(t *testing.T, n int, name string, ok func(span) bool) []span {
	t.Helper()
	var found []span
	eventually(t, fmt.Sprintf("%d spans %q", n, name), func() error {
		if found = c.all(name, ok); len(found) < n {
			return errors.New("fewer came")
		}
		return nil
	})
	if len(found) > n {
		t.Errorf("%d spans %q, want %d", len(found), name, n)
	}
	return found
}

// all are the spans of a name that have come, and that ok accepts.
func (c *collector) all(name string, ok func(span) bool) (found []span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.name == name && ok(s) {
			found = append(found, s)
		}
	}
	return found
}

// about accepts the spans of an event.
func about(s sent) func(span) bool {
	return func(have span) bool { return have.attrs["prestage.event_id"] == s.id }
}

// below accepts the children of a span.
func below(parent span) func(span) bool {
	return func(have span) bool { return have.trace == parent.trace && have.parent == parent.id }
}
