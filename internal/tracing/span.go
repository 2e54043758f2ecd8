package tracing

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/prestage/prestage/internal/outcome"
)

// Note adds to the span that ctx belongs to what a log line of that level tells.
// From a warning on the span is one that failed: for the "reason", with the text of
// the "error" among attrs.
func Note(ctx context.Context, level slog.Level, attrs ...slog.Attr) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attributes(attrs)...)
	if level < slog.LevelWarn {
		return
	}
	reason, text := "", ""
	for _, a := range attrs {
		switch a.Key {
		case "reason":
			reason = a.Value.String()
		case "error":
			text = a.Value.String()
		}
	}
	fail(span, reason, text)
}

// Asked makes a span, below the one that ctx belongs to, of what was asked of
// somebody else from began until now. err is nil or why it failed. Of each name a
// message has a bounded number of them (see quota).
func Asked(ctx context.Context, name string, began time.Time, err error, attrs ...slog.Attr) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return
	}
	if q, ok := ctx.Value(quotaKey{}).(*quota); ok && !q.take(name, err != nil) {
		return
	}
	_, span := parent.TracerProvider().Tracer(scope).Start(ctx, name,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(began), trace.WithAttributes(attributes(attrs)...))
	if err != nil {
		e := outcome.As(err)
		if e.Status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", e.Status))
		}
		fail(span, string(e.Reason), e.Error())
	}
	span.End()
}

// fail marks a span as one that failed.
func fail(span trace.Span, reason, what string) {
	if reason == "" {
		reason = "_OTHER" // which the conventions have for what has no name
	}
	span.SetStatus(codes.Error, text(what))
	span.SetAttributes(attribute.String("error.type", reason))
}
