package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/prestage/prestage/internal/app"
)

// runCmd is the daemon.
type runCmd struct {
	Gateway bool `help:"Be the gateway as well, on PRESTAGE_GATEWAY_ADDR: hooks are taken while LOTA is away, too."`
}

// Run works until a signal, then drains.
func (c runCmd) Run(ctx context.Context, w world) error {
	cfg, err := w.config()
	if err != nil {
		return err
	}
	log := w.logger(cfg)
	if ignored := app.Ignored(w.environ); len(ignored) > 0 {
		log.LogAttrs(ctx, slog.LevelWarn, "settings without effect in this version", slog.Any("names", ignored))
	}
	aws, err := loadAWS(ctx, log)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// What net/http has to say (of an answer that nobody asked for) goes through
	// the package log: it must not break a log of JSON lines.
	slog.SetDefault(log)
	daemon, err := app.New(ctx, cfg, app.Deps{Log: log, Registry: reg, AWS: aws, Build: build()})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if c.Gateway {
		gateway, err := app.NewGateway(ctx, cfg, log)
		if err != nil {
			return err
		}
		group.Go(func() error { return gateway.Run(ctx) })
	}
	group.Go(func() error { return daemon.Run(ctx) })
	return group.Wait()
}
