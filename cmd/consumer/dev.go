package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/prestage/prestage/internal/dev"
	"github.com/prestage/prestage/internal/tracing"
)

// devCmd runs everything in one process.
type devCmd struct {
	Exit        bool   `help:"End after the proof: 0 only if everything is warm in the emulator's own truth."`
	Data        string `help:"Folder that keeps the stream and the objects; a temporary one by default." type:"path"`
	Verbose     bool   `help:"Show the daemon's log."`
	Rules       string `help:"Rules file to try out." type:"existingfile" placeholder:"FILE"`
	NATSPort    int    `name:"nats-port" help:"Port of NATS on 127.0.0.1; a free one by default."`
	LOTAPort    int    `name:"lota-port" help:"Port of LOTA, likewise."`
	PrimaryPort int    `name:"primary-port" help:"Port of the primary endpoint, likewise."`
	SimPort     int    `name:"sim-port" help:"Port of the emulator's admin listener, likewise."`
	AdminPort   int    `name:"admin-port" help:"Port of the daemon's admin listener, likewise."`
	GatewayPort int    `name:"gateway-port" help:"Port of the gateway, likewise."`
}

// Help is what "prestage dev --help" adds.
func (devCmd) Help() string {
	return `It brings its own settings and does not go by those of the environment, but for
MLFLOW_TRACKING_URI and the other MLFLOW_... ones: with them, models:/ URIs and
MLflow's webhooks are resolved as by "prestage run". The files have to be in the
emulator's buckets all the same. Traces are exported as by "prestage run", too:
OTEL_EXPORTER_OTLP_ENDPOINT says where to.`
}

// Validate says which port is none.
func (d devCmd) Validate() error {
	for _, p := range []struct {
		flag string
		port int
	}{
		{"--nats-port", d.NATSPort},
		{"--lota-port", d.LOTAPort},
		{"--primary-port", d.PrimaryPort},
		{"--sim-port", d.SimPort},
		{"--admin-port", d.AdminPort},
		{"--gateway-port", d.GatewayPort},
	} {
		if p.port < 0 || p.port > 65535 {
			return fmt.Errorf("%s=%d: want 0 to 65535", p.flag, p.port)
		}
	}
	return nil
}

// Run shows the proof and stays up.
func (d devCmd) Run(ctx context.Context, w world) error {
	logs, err := w.logSettings()
	if err != nil {
		return err
	}
	log := w.quietLogger()
	if d.Verbose {
		log = w.logger(logs)
	}
	var mlflow []string
	for _, line := range w.environ {
		if strings.HasPrefix(line, "MLFLOW_") {
			mlflow = append(mlflow, line)
		}
	}
	tracer, flush := tracing.Start(ctx, w.environ, build().Version, log)
	defer flush()
	return dev.Run(ctx, dev.Options{
		Data: d.Data, Exit: d.Exit, NATSPort: d.NATSPort, LOTAPort: d.LOTAPort,
		PrimaryPort: d.PrimaryPort, SimPort: d.SimPort, AdminPort: d.AdminPort, GatewayPort: d.GatewayPort,
		Rules: d.Rules, MLflow: mlflow, Command: invocation(), Build: build(), Tracer: tracer,
	}, w.stdout, isTerminal(w.stdout), log)
}

// invocation is how to call this program again: a binary that "go run" built
// is gone by then.
func invocation() string {
	if exe, err := os.Executable(); err == nil && !strings.Contains(exe, "go-build") {
		return exe
	}
	return "go run ./cmd/consumer"
}
