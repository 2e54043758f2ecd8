package main

import (
	"context"

	"github.com/prestage/prestage/internal/app"
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
"prestage run --gateway" is both in one process.`
}

// Run serves until a signal.
func (gatewayCmd) Run(ctx context.Context, w world) error {
	c, err := w.config()
	if err != nil {
		return err
	}
	g, err := app.NewGateway(ctx, c, w.logger(c))
	if err != nil {
		return err
	}
	return g.Run(ctx)
}
