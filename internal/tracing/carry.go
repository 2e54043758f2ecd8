package tracing

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// W3C trace context, in HTTP's headers, in NATS's, and as the attributes of a
// CloudEvent. https://www.w3.org/TR/trace-context/
const (
	headerParent = "traceparent"
	headerState  = "tracestate"
)

// Bounds of what comes from outside: a traceparent of version 00 has 55 bytes, a
// tracestate of more than 512 need not be carried on.
const (
	maxParent = 256
	maxState  = 1 << 10
)

// arrived is ctx in the trace that somebody outside began. What is no trace context
// is as if nothing had come.
func arrived(ctx context.Context, parent, state string) context.Context {
	if parent == "" || len(parent) > maxParent {
		return ctx
	}
	came := propagation.MapCarrier{headerParent: parent}
	if len(state) <= maxState {
		came[headerState] = state
	}
	return propagation.TraceContext{}.Extract(ctx, came)
}

// Carry is the trace context to send on with what is sent for ctx, both "" where
// there is none.
func Carry(ctx context.Context) (parent, state string) {
	goes := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, goes)
	return goes[headerParent], goes[headerState]
}

// Send sets the trace context for ctx in the headers of a message.
func Send(ctx context.Context, header map[string][]string) {
	parent, state := Carry(ctx)
	if parent != "" {
		header[headerParent] = []string{parent}
	}
	if state != "" {
		header[headerState] = []string{state}
	}
}

// ID is that of the trace that ctx is in, "" where it is in none.
func ID(ctx context.Context) string {
	if id := trace.SpanContextFromContext(ctx).TraceID(); id.IsValid() {
		return id.String()
	}
	return ""
}
