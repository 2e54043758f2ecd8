package tracing

import (
	"context"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"
)

// unreadable is said once of each.
const unreadable = "a setting of OpenTelemetry cannot be read"

// flushTimeout is how long the end of the program may wait for a collector.
const flushTimeout = time.Second

// Start begins to export spans, if the environment says where to, and returns what
// makes them; stop exports what is left. Whatever is wrong is logged, and stops
// nobody's work: platforms give these variables to every program.
//
// Where to is read from environ. All else that OpenTelemetry has variables for its
// libraries read by themselves, from the process's environment; they tell what they
// think of them through hooks of the process, which Start sets.
func Start(ctx context.Context, environ []string, version string, log *slog.Logger) (t *Tracer, stop func()) {
	to, problem := destination(environ)
	if to == "" {
		if problem != "" {
			log.LogAttrs(ctx, slog.LevelWarn, "no traces are exported", slog.String("why", problem))
		}
		return nil, func() {}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.LogAttrs(ctx, slog.LevelWarn, unreadable, because(err)) }))
	otel.SetLogger(logr.FromSlogHandler(discreet{log.Handler()}))

	client, err := otlptracehttp.New(ctx)
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "no traces are exported", because(err))
		return nil, func() {}
	}
	about, _ := resource.New(ctx, // which holds what could be read; of the rest NewTracerProvider tells
		resource.WithAttributes(attribute.String("service.name", "prestage"), attribute.String("service.version", version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	provider := sdk.NewTracerProvider(sdk.WithBatcher(client), sdk.WithResource(about))
	seldom := &rate.Sometimes{First: 3, Interval: 10 * time.Minute}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		seldom.Do(func() { log.LogAttrs(ctx, slog.LevelWarn, "traces not exported", because(err)) })
	}))
	log.LogAttrs(ctx, slog.LevelInfo, "traces are exported", slog.String("to", to))
	return New(provider), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.LogAttrs(ctx, slog.LevelWarn, "the last traces were not exported", because(err))
		}
	}
}

// because is an error that may hold what a collector answered.
func because(err error) slog.Attr { return slog.String("error", text(err.Error())) }

// discreet is the log of OpenTelemetry's libraries, which tell there of variables
// that they cannot read, with their values: a header's may be a secret. Which it is
// stands in the message.
type discreet struct{ slog.Handler }

// Enabled says that errors are told, as warnings.
func (d discreet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && d.Handler.Enabled(ctx, slog.LevelWarn)
}

// Handle leaves out everything but the message.
func (d discreet) Handle(ctx context.Context, r slog.Record) error {
	told := slog.NewRecord(r.Time, slog.LevelWarn, unreadable, 0)
	told.AddAttrs(slog.String("at", r.Message))
	return d.Handler.Handle(ctx, told)
}

// WithAttrs leaves them out.
func (d discreet) WithAttrs([]slog.Attr) slog.Handler { return d }

// WithGroup has nothing to group.
func (d discreet) WithGroup(string) slog.Handler { return d }
