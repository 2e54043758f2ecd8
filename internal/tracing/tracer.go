package tracing

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// scope names the instrumentation.
const scope = "github.com/prestage/prestage"

// Tracer begins the spans under which all others are. Nil makes none, and has
// contexts carry on what came.
type Tracer struct{ tracer trace.Tracer }

// New returns a Tracer whose spans go to p.
func New(p trace.TracerProvider) *Tracer { return &Tracer{p.Tracer(scope)} }

// Message is one delivery of a message.
type Message struct {
	Stream   string
	ID       string // of the message in the messaging system
	Received time.Time
	Parent   string // traceparent, as its producer gave it; "" where it gave none
	State    string // tracestate, likewise
}

// Consume begins the span of a delivery: a child of the span in which its producer
// sent the message, each delivery of it one of its own. It is named and described
// after OpenTelemetry's conventions for messaging.
// https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
func (t *Tracer) Consume(ctx context.Context, m Message, attrs ...slog.Attr) (_ context.Context, end func()) {
	ctx = arrived(ctx, m.Parent, m.State)
	if t == nil {
		return ctx, func() {}
	}
	ctx, span := t.tracer.Start(ctx, "process "+m.Stream,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(m.Received),
		trace.WithAttributes(attributes(append([]slog.Attr{
			slog.String("messaging.system", "nats"), slog.String("messaging.operation.type", "process"), slog.String("messaging.operation.name", "process"),
			slog.String("messaging.destination.name", m.Stream), slog.String("messaging.message.id", m.ID),
		}, attrs...))...))
	q := &quota{}
	return context.WithValue(ctx, quotaKey{}, q), func() {
		if n := q.leftOut(); n > 0 {
			span.SetAttributes(attributes([]slog.Attr{slog.Int("spans_left_out", n)})...)
		}
		span.End()
	}
}

// Serve begins the span of a request for route, and returns the request in it; end is
// told the status that was answered. https://opentelemetry.io/docs/specs/semconv/http/http-spans/
func (t *Tracer) Serve(req *http.Request, route string) (_ *http.Request, end func(status int)) {
	ctx := arrived(req.Context(), req.Header.Get(headerParent), strings.Join(req.Header.Values(headerState), ","))
	if t == nil {
		return req.WithContext(ctx), func(int) {}
	}
	method, name := req.Method, req.Method
	if method != http.MethodGet && method != http.MethodPost { // whoever asks chooses it
		method, name = "_OTHER", "HTTP"
	}
	ctx, span := t.tracer.Start(ctx, name+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes([]slog.Attr{
		slog.String("http.request.method", method), slog.String("http.route", route),
	})...))
	return req.WithContext(ctx), func(status int) {
		span.SetAttributes(attributes([]slog.Attr{slog.Int("http.response.status_code", status)})...)
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		span.End()
	}
}
