package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/prestage/prestage/internal/app"
)

// runCmd is the daemon.
type runCmd struct{}

// Run works until a signal, then drains.
func (runCmd) Run(ctx context.Context, w world) error {
	c, err := app.ParseConfig(w.environ)
	if err != nil {
		return err
	}
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a, err := app.New(ctx, c, app.Deps{Log: w.logger(c), Registry: reg, AWS: aws})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}
