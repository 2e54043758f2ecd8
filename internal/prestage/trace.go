package prestage

import (
	"context"
	"log/slog"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/tracing"
)

// traceFill makes a span of a fill, the waiting for its turn included.
func (e *event) traceFill(ctx context.Context, began time.Time, ref object.Ref, f fill, err error) {
	what := "fill"
	if e.dryRun {
		what = "head"
	}
	attrs := []slog.Attr{
		slog.String("aws.s3.bucket", ref.Bucket), slog.String("aws.s3.key", ref.Key),
		slog.String("http.request.method", "HEAD"), slog.Int("tries", f.tries),
	}
	if err == nil {
		attrs = append(attrs, slog.Int("http.response.status_code", f.Status), slog.Int64("bytes", max(f.Size, 0)))
	}
	tracing.Asked(ctx, what, began, err, attrs...)
}

// traceConfirm makes a span of the confirmation of an event's objects.
func traceConfirm(ctx context.Context, began time.Time, v outcome.Verdict, c Confirmed) {
	tracing.Asked(ctx, "confirm", began, nil, slog.String("verdict", string(v)), slog.Int("sampled", c.Sampled), slog.Int("of", c.Of))
}
