package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/lotasim/run"
	"github.com/prestage/prestage/internal/tracing"
)

// Options of a run.
type Options struct {
	Data        string // folder that keeps the stream and the objects; "": a temporary one
	Exit        bool   // end after the proof
	NATSPort    int    // ports on 127.0.0.1, 0: a free one
	LOTAPort    int
	PrimaryPort int
	SimPort     int // the emulator's admin listener
	AdminPort   int // the daemon's admin listener
	GatewayPort int
	Rules       string   // rules file, "": none
	MLflow      []string // settings of a tracking server, "NAME=value"
	Command     string   // how this program was called, for the lines to paste
	Build       app.Build
	Tracer      *tracing.Tracer // nil: nothing has spans
}

// The emulator's identity. These are no secrets: nothing beyond loopback takes
// them.
const (
	region    = "US-EAST-04A"
	accessKey = "CWDEVACCESSKEY"
	secretKey = "dev-secret-key-of-the-emulator"
	lotaHost  = "cwlota.com"
	storeHost = "cwobject.com"
)

// system is everything that runs.
type system struct {
	dir     string
	natsURL string
	lota    *run.System
	admin   string // address of the daemon's admin listener
	gateway string // address of the gateway
	cfg     app.Config
}

// Run starts the system, shows the proof on out, and stays until ctx ends or,
// with Exit, ends after the proof. The error says what did not become warm.
func Run(ctx context.Context, o Options, out io.Writer, terminal bool, log *slog.Logger) (err error) {
	dir, cleanup, err := dataDir(o.Data)
	if err != nil {
		return err
	}
	defer cleanup()

	ns, err := startNATS(dir, o.NATSPort)
	if err != nil {
		return err
	}
	defer func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	}()

	s := &system{dir: dir, natsURL: ns.ClientURL()}
	stop, err := s.startSim(ctx, o, log)
	if err != nil {
		return err
	}
	defer stop()

	// The daemon outlives a signal until it has drained; the rest outlives it.
	appCtx, stopApp := context.WithCancel(ctx)
	defer stopApp()
	daemon, err := s.newDaemon(appCtx, o, log)
	if err != nil {
		return err
	}
	gateway, err := app.NewGateway(appCtx, s.cfg, log, o.Tracer)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	s.admin, s.gateway = daemon.AdminAddr(), gateway.Addr()
	ended := make(chan error, 1)
	go func() {
		group, groupCtx := errgroup.WithContext(appCtx)
		group.Go(func() error { return daemon.Run(groupCtx) })
		group.Go(func() error { return gateway.Run(groupCtx) })
		ended <- group.Wait()
	}()
	defer func() {
		stopApp()
		err = errors.Join(err, <-ended)
	}()
	if err := awaitReady(ctx, daemon, ended); err != nil {
		return err
	}

	if err := s.prove(ctx, out, terminal); err != nil || o.Exit {
		return err
	}
	if err := s.paste(out, o.Command); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		ended <- nil
		return err
	}
}

// dataDir is the folder to work in, and what removes it when it is temporary.
func dataDir(dir string) (string, func(), error) {
	if dir != "" {
		abs, err := filepath.Abs(dir)
		if err == nil {
			err = os.MkdirAll(abs, 0o700)
		}
		if err != nil {
			return "", nil, fmt.Errorf("data folder: %w", err)
		}
		return abs, func() {}, nil
	}
	tmp, err := os.MkdirTemp("", "prestage-dev-")
	if err != nil {
		return "", nil, fmt.Errorf("data folder: %w", err)
	}
	return tmp, func() { _ = os.RemoveAll(tmp) }, nil
}

// startSim runs the store and the emulator before it.
func (s *system) startSim(ctx context.Context, o Options, log *slog.Logger) (stop func(), err error) {
	options := run.Defaults()
	options.LOTAAddr, options.PrimaryAddr, options.AdminAddr = loopback(o.LOTAPort), loopback(o.PrimaryPort), loopback(o.SimPort)
	options.Data = filepath.Join(s.dir, "objects")
	options.Buckets = []string{modelBucket, checkpointBucket}
	options.AccessKey, options.SecretKey, options.Region = accessKey, secretKey, region
	s.lota, err = run.Start(ctx, options, log)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	return func() {
		if err := s.lota.Close(); err != nil {
			log.Warn("emulator not closed cleanly", slog.Any("error", err))
		}
	}, nil
}

// newDaemon configures the daemon as a user would, by environment, but not by
// the user's own, but for an MLflow tracking server's.
func (s *system) newDaemon(ctx context.Context, o Options, log *slog.Logger) (*app.App, error) {
	var err error
	s.cfg, err = app.ParseConfig(append([]string{
		"NATS_URL=" + s.natsURL,
		"LOTA_ENDPOINT=http://" + lotaHost,
		"LOTA_DIAL=" + s.lota.Server.LOTAAddr(),
		"PRESTAGE_HTTP_ADDR=" + loopback(o.AdminPort),
		"PRESTAGE_GATEWAY_ADDR=" + loopback(o.GatewayPort),
		"PRESTAGE_GATEWAY_INSECURE=true", // on loopback only
		"PRESTAGE_RULES=" + o.Rules,
	}, o.MLflow...))
	if err != nil {
		return nil, fmt.Errorf("configuration of dev: %w", err)
	}
	return app.New(ctx, s.cfg, app.Deps{
		Log:      log,
		Registry: prometheus.NewRegistry(),
		Build:    o.Build,
		Tracer:   o.Tracer,
		AWS: aws.Config{
			Region:      region,
			Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		},
	})
}

// awaitReady waits until the daemon takes events.
func awaitReady(ctx context.Context, a *app.App, ended chan error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		why := a.Ready()
		if why == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the daemon is not ready: %w", why)
		case err := <-ended:
			ended <- nil
			return fmt.Errorf("the daemon ended: %w", err)
		case <-tick.C:
		}
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
