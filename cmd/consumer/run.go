package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/prestage/prestage/internal/app"
)

// runCmd is the daemon.
type runCmd struct{}

// Run works until a signal, then drains.
func (runCmd) Run(ctx context.Context, w world) error {
	if err := app.NotYet(w.environ); err != nil {
		return err
	}
	c, err := w.config()
	if err != nil {
		return err
	}
	log := w.logger(c)
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
	a, err := app.New(ctx, c, app.Deps{Log: log, Registry: reg, AWS: aws, Build: build()})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}
