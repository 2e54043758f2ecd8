package tracing

import (
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// maxText bounds a text in a span, in bytes.
const maxText = 1 << 10

// attributes are those of a log line. A name without a dot, which is ours, gets the
// prefix "prestage."; others are those of OpenTelemetry's conventions.
func attributes(attrs []slog.Attr) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(attrs))
	for _, a := range attrs {
		key := a.Key
		if !strings.Contains(key, ".") {
			key = "prestage." + key
		}
		switch v := a.Value.Resolve(); v.Kind() {
		case slog.KindBool:
			out = append(out, attribute.Bool(key, v.Bool()))
		case slog.KindInt64:
			out = append(out, attribute.Int64(key, v.Int64()))
		case slog.KindUint64:
			out = append(out, attribute.Int64(key, int64(min(v.Uint64(), 1<<63-1)))) //nolint:gosec // bounded
		case slog.KindFloat64:
			out = append(out, attribute.Float64(key, v.Float64()))
		default:
			out = append(out, attribute.String(key, text(v.String())))
		}
	}
	return out
}

// text is s as a span may hold it: one that is not UTF-8 would have its whole batch
// refused.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText-len("…")] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
