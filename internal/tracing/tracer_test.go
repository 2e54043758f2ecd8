package tracing

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

func TestConsume(t *testing.T) {
	t.Parallel()
	tracer, made := record()
	received := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	m := Message{Stream: "EVENTS", ID: "EVENTS/42", Received: received, Parent: parent, State: "a=1"}
	for range 2 { // deliveries
		_, end := tracer.Consume(t.Context(), m, slog.String("event_id", "step-1"), slog.Uint64("deliveries", 1))
		end()
	}

	first := made.Ended()[0]
	if from := first.Parent(); from.TraceID().String() != traceID || from.SpanID().String() != spanID || !from.IsRemote() {
		t.Errorf("the parent is %v", from)
	}
	if first.SpanContext().TraceState().String() != "a=1" {
		t.Errorf("the trace's state is %q", first.SpanContext().TraceState())
	}
	if first.Name() != "process EVENTS" || first.SpanKind() != trace.SpanKindConsumer || !first.StartTime().Equal(received) || first.EndTime().Before(received) {
		t.Errorf("%s, %s, from %s to %s", first.Name(), first.SpanKind(), first.StartTime(), first.EndTime())
	}
	if diff := cmp.Diff(map[string]string{
		"messaging.system": "nats", "messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.destination.name": "EVENTS", "messaging.message.id": "EVENTS/42",
		"prestage.event_id": "step-1", "prestage.deliveries": "1",
	}, attributesOf(first)); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if second := made.Ended()[1]; second.Parent().SpanID() != first.Parent().SpanID() || second.SpanContext().SpanID() == first.SpanContext().SpanID() {
		t.Errorf("the second delivery is %v below %v", second.SpanContext(), second.Parent())
	}
}

// TestArrived has contexts come that are none, or that nobody has to read.
func TestArrived(t *testing.T) {
	t.Parallel()
	var large []string // more than anybody has to carry on, and well-formed
	for i := range 30 {
		large = append(large, fmt.Sprintf("vendor%d=%s", i, strings.Repeat("1", 40)))
	}
	for name, tt := range map[string]struct {
		parent, state string
		joined        bool
		carried       string
	}{
		"both":                      {parent: parent, state: "a=1,b=2", joined: true, carried: "a=1,b=2"},
		"no state":                  {parent: parent, joined: true},
		"nothing":                   {},
		"a state alone":             {state: "a=1"},
		"no trace":                  {parent: "00-00000000000000000000000000000000-b7ad6b7169203331-01"},
		"no hex":                    {parent: "00-0af7651916cd43dd8448eb211c80319x-b7ad6b7169203331-01"},
		"a version to come":         {parent: "cc" + parent[2:] + "-what-comes", joined: true},
		"a version that is none":    {parent: "ff" + parent[2:]},
		"more than there is":        {parent: parent + "-00"},
		"far more than there is":    {parent: "cc" + parent[2:] + "-" + strings.Repeat("a", maxParent)},
		"lines":                     {parent: parent + "\r\nX-Other: 1"},
		"a state that is none":      {parent: parent, state: "=\x00", joined: true},
		"a state that is too large": {parent: parent, state: strings.Join(large, ","), joined: true},
		"as large as it may be":     {parent: parent, state: strings.Join(large[:20], ","), joined: true, carried: strings.Join(large[:20], ",")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracer, made := record()
			_, end := tracer.Consume(t.Context(), Message{Stream: "EVENTS", Parent: tt.parent, State: tt.state})
			end()
			span := made.Ended()[0]
			if joined := span.SpanContext().TraceID().String() == traceID; joined != tt.joined || span.Parent().IsValid() != tt.joined {
				t.Errorf("joined: %v, below %v", joined, span.Parent())
			}
			if s := span.SpanContext().TraceState().String(); s != tt.carried {
				t.Errorf("state %q, want %q", s, tt.carried)
			}
		})
	}
}

// TestSampling: a producer's decision not to is kept.
func TestSampling(t *testing.T) {
	t.Parallel()
	tracer, made := record()
	ctx, end := tracer.Consume(t.Context(), Message{Stream: "EVENTS", Parent: strings.TrimSuffix(parent, "01") + "00"})
	Asked(ctx, "fill", time.Now(), nil)
	Note(ctx, slog.LevelError, slog.String("outcome", "dead_lettered"))
	end()
	if n := len(made.Ended()); n != 0 {
		t.Errorf("%d spans", n)
	}
	if p, _ := Carry(ctx); !strings.HasPrefix(p, "00-"+traceID) || !strings.HasSuffix(p, "-00") {
		t.Errorf("goes on as %q", p)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		method string
		status int
		want   string
		failed bool
	}{
		"stored":         {method: "POST", status: 202, want: "POST /v1/events"},
		"asked for":      {method: "GET", status: 200, want: "GET /v1/events"},
		"refused":        {method: "POST", status: 401, want: "POST /v1/events"},
		"not stored":     {method: "POST", status: 503, want: "POST /v1/events", failed: true},
		"another method": {method: "BREW-" + strings.Repeat("A", 5000), status: 405, want: "HTTP /v1/events"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracer, made := record()
			req := httptest.NewRequestWithContext(t.Context(), tt.method, "/v1/events?id=secret", http.NoBody)
			req.Header.Set("Traceparent", parent)
			req.Header.Add("Tracestate", "a=1")
			req.Header.Add("Tracestate", "b=2")
			req, end := tracer.Serve(req, "/v1/events")
			header := map[string][]string{}
			Send(req.Context(), header)
			end(tt.status)

			span := made.Ended()[0]
			if span.Name() != tt.want || span.SpanKind() != trace.SpanKindServer || span.Parent().SpanID().String() != spanID {
				t.Errorf("%s, %s, below %v", span.Name(), span.SpanKind(), span.Parent())
			}
			if failed := span.Status().Code == codes.Error; failed != tt.failed {
				t.Errorf("status %v", span.Status())
			}
			method := tt.method
			if tt.want == "HTTP /v1/events" {
				method = "_OTHER"
			}
			if diff := cmp.Diff(map[string]string{
				"http.request.method": method, "http.route": "/v1/events", "http.response.status_code": strconv.Itoa(tt.status),
			}, attributesOf(span)); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string][]string{
				"traceparent": {"00-" + traceID + "-" + span.SpanContext().SpanID().String() + "-01"}, "tracestate": {"a=1,b=2"},
			}, header); diff != "" {
				t.Errorf("sent on (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNil is the program without a collector: nothing is made, and what came goes on.
func TestNil(t *testing.T) {
	t.Parallel()
	var none *Tracer
	ctx, end := none.Consume(t.Context(), Message{Stream: "EVENTS", Parent: parent, State: "a=1"})
	Asked(ctx, "fill", time.Now(), nil)
	Note(ctx, slog.LevelWarn, slog.String("outcome", "pending"))
	end()
	if p, s := Carry(ctx); p != parent || s != "a=1" {
		t.Errorf("goes on as %q, %q", p, s)
	}

	req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/events", http.NoBody)
	req, served := none.Serve(req, "/v1/events")
	served(http.StatusAccepted)
	header := map[string][]string{}
	Send(req.Context(), header)
	if len(header) != 0 {
		t.Errorf("sent on: %v", header)
	}
}
