package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/dedupe"
)

// world is what a command touches besides the network.
type world struct {
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	refused *refusals // of the server of NATS; nil: nobody asks
}

// config is the configuration from the environment.
func (w world) config() (app.Config, error) { return app.ParseConfig(w.environ) }

// jetStream connects to the NATS of the configuration. closeIt ends that.
func (w world) jetStream() (cfg app.Config, js jetstream.JetStream, closeIt func(), err error) {
	return w.jetStreamBy(w.dial)
}

// jetStreamUntil is jetStream, and waits for a server that is down until ctx ends.
func (w world) jetStreamUntil(ctx context.Context) (cfg app.Config, js jetstream.JetStream, closeIt func(), err error) {
	return w.jetStreamBy(func(c app.Config) (*nats.Conn, error) {
		return app.DialUntil(ctx, c, func(why error) {
			fmt.Fprintf(w.stderr, "prestage: no connection yet, trying on until --timeout: %s\n", visible(why.Error()))
		}, nats.ErrorHandler(w.refused.heard))
	})
}

func (w world) dial(c app.Config) (*nats.Conn, error) {
	return app.Dial(c, nats.ErrorHandler(w.refused.heard))
}

func (w world) jetStreamBy(dial func(app.Config) (*nats.Conn, error)) (cfg app.Config, js jetstream.JetStream, closeIt func(), err error) {
	if cfg, err = w.config(); err != nil {
		return cfg, nil, nil, err
	}
	nc, err := dial(cfg)
	if err != nil {
		return cfg, nil, nil, err
	}
	if js, err = jetstream.New(nc); err != nil {
		nc.Close()
		return cfg, nil, nil, fmt.Errorf("jetstream: %w", err)
	}
	return cfg, js, nc.Close, nil
}

// engine is the daemon's, for a command.
func (w world) engine(ctx context.Context, cfg app.Config, ledger dedupe.Ledger) (*app.Engine, error) {
	log := w.quietLogger()
	aws, err := loadAWS(ctx, log)
	if err != nil {
		return nil, err
	}
	return app.NewEngine(ctx, cfg, app.Deps{Log: log, Registry: prometheus.NewRegistry(), AWS: aws}, ledger)
}

// loadAWS is the SDK's default chain. What the SDK has to say goes to log: by
// itself it writes lines of its own format to standard error.
func loadAWS(ctx context.Context, log *slog.Logger) (aws.Config, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.LoggerFunc(
		func(class logging.Classification, format string, v ...any) {
			level := slog.LevelDebug
			if class == logging.Warn {
				level = slog.LevelWarn
			}
			log.LogAttrs(ctx, level, "aws sdk", slog.String("text", fmt.Sprintf(format, v...)))
		})))
	if err != nil {
		return aws.Config{}, &exitError{exitUsage, err}
	}
	return c, nil
}

// logSettings are LOG_LEVEL and LOG_FORMAT, whatever the other settings are.
func (w world) logSettings() (app.Config, error) {
	return app.ParseConfig(slices.DeleteFunc(slices.Clone(w.environ), func(line string) bool { return !strings.HasPrefix(line, "LOG_") }))
}

// quietLogger is for commands whose output is for people: warnings only.
func (w world) quietLogger() *slog.Logger {
	c, _ := w.logSettings() // a wrong one has ended the program
	c.LogLevel = max(c.LogLevel, slog.LevelWarn)
	return w.logger(c)
}
