package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/tracing"
)

// trace begins the span of a delivery of ev. Tell notes what came of it.
func (l *Lane) trace(ctx context.Context, d *delivery, ev events.Event) (_ context.Context, end func()) {
	return l.cfg.Tracer.Consume(ctx, tracing.Message{
		Stream: d.Stream, ID: fmt.Sprintf("%s/%d", d.Stream, d.Seq), Received: d.Received, Parent: ev.TraceParent, State: ev.TraceState,
	},
		slog.String("event_id", ev.ID), slog.String("source", ev.Source), slog.String("subject", d.Subject),
		slog.String("cluster", l.cfg.Cluster), slog.String("lane", l.name), slog.Uint64("deliveries", d.Deliveries))
}

// resolve is Resolve, in a span of its own where a registry is asked.
func (l *Lane) resolve(ctx, start context.Context, ev events.Event) (events.Event, error) {
	if !ev.Artifact.Named() {
		return ev, nil
	}
	began := time.Now()
	found, err := l.cfg.Resolve(start, ev)
	tracing.Asked(ctx, "resolve", began, err, slog.String("registry", string(ev.Artifact.Registry)))
	return found, err
}
