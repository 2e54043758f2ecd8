package main

import (
	"context"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/tracing"
)

// gatewayCmd takes events over HTTP.
type gatewayCmd struct{}

// Help is what "prestage gateway --help" adds.
func (gatewayCmd) Help() string {
	return `Paths: POST /v1/events (CloudEvents structured, binary or batch; native JSON),
/hooks/mlflow, /hooks/wandb, /hooks/huggingface, /hooks/s3, /hooks/harbor,
/hooks/distribution; GET /v1/events?id=EVENT-ID for the receipt; /healthz, /readyz.

202 is answered only after the stream's ack, with the event's id. The settings
are the PRESTAGE_GATEWAY_... variables; a path without a secret is closed.
With OTEL_EXPORTER_OTLP_ENDPOINT each request is traced, by OTLP over HTTP.
"prestage run --gateway" is both in one process.`
}

// Run serves until a signal.
func (gatewayCmd) Run(ctx context.Context, w world) error {
	c, err := w.config()
	if err != nil {
		return err
	}
	log := w.logger(c)
	tracer, flush := tracing.Start(ctx, w.environ, build().Version, log)
	defer flush()
	g, err := app.NewGateway(ctx, c, log, tracer)
	if err != nil {
		return err
	}
	return g.Run(ctx)
}
