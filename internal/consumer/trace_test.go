package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/tracing"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestTrace has a delivery end in each way: its span tells of it.
func TestTrace(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body   string
		report prestage.Report
		warm   func()
		want   map[string]string
		failed bool
	}{
		"warm":          {report: filled(), want: map[string]string{"prestage.outcome": "warm", "prestage.verdict": "accepted", "prestage.filled": "1", "prestage.bytes": "5242880"}},
		"it waits":      {report: failing(outcome.Failed, outcome.NotFound), failed: true, want: map[string]string{"prestage.outcome": "pending", "prestage.attempts": "1", "prestage.failed": "1"}},
		"given back":    {report: failing(outcome.Interrupted, ""), want: map[string]string{"prestage.cause": "shutting down"}},
		"dead-lettered": {body: `{"uri":1}`, failed: true, want: map[string]string{"prestage.outcome": "dead_lettered", "prestage.reason": "malformed", "error.type": "malformed"}},
		"a panic":       {warm: func() { panic("oops") }, failed: true, want: map[string]string{"prestage.outcome": "pending", "prestage.attempts": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, setup{warm: func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
				if tt.warm != nil {
					tt.warm()
				}
				return tt.report
			}})
			made := tracetest.NewSpanRecorder()
			rig.lane.cfg.Tracer = tracing.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(made)))
			m := nats.NewMsg(testSubject)
			m.Header.Set("Traceparent", traceParent)
			if m.Data = []byte(oneObject); tt.body != "" {
				m.Data = []byte(tt.body)
			}
			if _, err := rig.js.PublishMsg(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			rig.process(t)

			spans := made.Ended()
			if len(spans) != 1 {
				t.Fatalf("%d spans", len(spans))
			}
			got := make(map[string]string)
			for _, a := range spans[0].Attributes() {
				got[string(a.Key)] = a.Value.String()
			}
			for key, want := range tt.want {
				if got[key] != want {
					t.Errorf("%s is %q, want %q", key, got[key], want)
				}
			}
			if failed := spans[0].Status().Code == codes.Error; failed != tt.failed {
				t.Errorf("status %v", spans[0].Status())
			}
			if from := spans[0].Parent(); from.SpanID().String() != "b7ad6b7169203331" {
				t.Errorf("it is below %v", from)
			}
		})
	}
}

// TestTraceOfResolving: what a registry is asked is a span, and its failure is that
// span's.
func TestTraceOfResolving(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	made := tracetest.NewSpanRecorder()
	rig.lane.cfg.Tracer = tracing.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(made)))
	rig.lane.cfg.Resolver = resolveFunc(func(_ context.Context, ev events.Event) (events.Event, error) {
		return ev, &outcome.Error{Op: "resolve", Status: 404, Class: outcome.Permanent, Reason: outcome.UnresolvableSource, Err: errors.New("no such model")}
	})
	rig.publish(t, anAlias)
	rig.process(t)
	spans := made.Ended()
	if len(spans) != 2 || spans[0].Name() != "resolve" || spans[0].Parent().SpanID() != spans[1].SpanContext().SpanID() {
		t.Fatalf("spans %v", spans)
	}
	got := make(map[string]string)
	for _, a := range spans[0].Attributes() {
		got[string(a.Key)] = a.Value.String()
	}
	if diff := cmp.Diff(map[string]string{
		"prestage.registry": "mlflow", "http.response.status_code": "404", "error.type": "unresolvable_source",
	}, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

// TestTraceGoesOn through a program that exports nothing.
func TestTraceGoesOn(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	m := nats.NewMsg(testSubject)
	m.Header.Set("traceparent", traceParent)
	m.Data = []byte(oneObject)
	for _, want := range []string{traceParent, ""} {
		if want == "" {
			m.Header.Set("traceparent", "00-no-trace")
		}
		if _, err := rig.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		d, _ := rig.process(t)
		stored, err := rig.results.GetMsg(t.Context(), d.Seq)
		if err != nil {
			t.Fatal(err)
		}
		var result map[string]any
		if err := json.Unmarshal(stored.Data, &result); err != nil {
			t.Fatal(err)
		}
		if got, _ := result["traceparent"].(string); got != want {
			t.Errorf("the result goes on in %q, want %q", got, want)
		}
		if _, there := result["tracestate"]; there {
			t.Error("the result has a tracestate")
		}
		if n := strings.Count(rig.log.String(), `"trace_id":"0af7651916cd43dd8448eb211c80319c"`); n != 1 { // the first event's
			t.Errorf("%d log lines name the trace", n)
		}
	}
}
