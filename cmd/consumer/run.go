package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/tracing"
)

// runCmd is the daemon.
type runCmd struct {
	Gateway bool `help:"Be the gateway as well, on PRESTAGE_GATEWAY_ADDR: hooks are taken while LOTA is away, too."`
}

// Help is what "prestage run --help" adds.
func (runCmd) Help() string {
	return `Settings come from the environment; the README lists them. With
OTEL_EXPORTER_OTLP_ENDPOINT each delivery of an event is traced, by OTLP over HTTP.`
}

// Run works until a signal, then drains.
func (c runCmd) Run(ctx context.Context, w world) error {
	cfg, err := w.config()
	if err != nil {
		return err
	}
	log := w.logger(cfg)
	aws, err := loadAWS(ctx, log)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// What net/http has to say (of an answer that nobody asked for) goes through
	// the package log: it must not break a log of JSON lines.
	slog.SetDefault(log)
	tracer, flush := tracing.Start(ctx, w.environ, build().Version, log)
	defer flush()
	daemon, err := app.New(ctx, cfg, app.Deps{Log: log, Registry: reg, AWS: aws, Build: build(), Tracer: tracer})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if c.Gateway {
		gateway, err := app.NewGateway(ctx, cfg, log, tracer)
		if err != nil {
			return err
		}
		group.Go(func() error { return gateway.Run(ctx) })
	}
	group.Go(func() error { return daemon.Run(ctx) })
	return group.Wait()
}
