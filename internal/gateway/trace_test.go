package gateway

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/prestage/prestage/internal/tracing"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestTraceGoesOn through a gateway that exports nothing: what came is stored, if it
// is a trace context.
func TestTraceGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for name, tt := range map[string]struct {
		parent, state string
		want          []string // traceparent and tracestate
	}{
		"none":       {want: []string{"", ""}},
		"one":        {parent: traceParent, state: "a=1", want: []string{traceParent, "a=1"}},
		"no context": {parent: "hello", state: "a=1", want: []string{"", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			a := b.post(t, "/v1/events", `{"uri":"s3://ckpt/a"}`, bearerHeader, "Content-Type: application/json", "Traceparent: "+tt.parent, "Tracestate: "+tt.state)
			h := b.message(t, a.sent(t).Seq).Header
			if diff := cmp.Diff(tt.want, []string{h.Get("traceparent"), h.Get("tracestate")}); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTraceOfRequests: what is stored is below the request's span, unless the event
// says itself where it was made. Other paths have no spans.
func TestTraceOfRequests(t *testing.T) {
	t.Parallel()
	made := tracetest.NewSpanRecorder()
	b := setup(t, func(c *Config) { c.Tracer = tracing.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(made))) })
	own := strings.Replace(structured, `"specversion"`, `"traceparent":"`+traceParent+`","specversion"`, 1)
	other := strings.Replace(structured, "step-100", "step-101", 1)
	a := b.post(t, "/v1/events", "["+own+","+other+"]", bearerHeader, "Content-Type: application/cloudevents-batch+json")
	if a.status != 202 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	b.do(t, "GET", "/healthz", nil)
	b.do(t, "GET", "/v1/events?id=step-100", nil, bearerHeader)

	for deadline := time.Now().Add(time.Minute); len(made.Ended()) < 2 && time.Now().Before(deadline); { // they end after the answer
		time.Sleep(time.Millisecond)
	}
	var names []string
	for _, s := range made.Ended() {
		names = append(names, s.Name())
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"GET /v1/events", "POST /v1/events"}, names); diff != "" {
		t.Fatalf("spans (-want +got):\n%s", diff)
	}
	post := made.Ended()[slices.IndexFunc(made.Ended(), func(s sdk.ReadOnlySpan) bool { return s.Name() == "POST /v1/events" })].SpanContext()
	for seq := range b.stored(t) {
		m := b.message(t, seq+1)
		want := ""
		if strings.Contains(string(m.Data), "step-101") {
			want = "00-" + post.TraceID().String() + "-" + post.SpanID().String() + "-01"
		}
		if got := m.Header.Get("traceparent"); got != want {
			t.Errorf("%s is stored with %q, want %q", m.Data, got, want)
		}
	}
}
