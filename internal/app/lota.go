package app

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/prestage"
)

// lota is the way to the LOTA endpoint.
type lota struct {
	transport *http.Transport
	store     *prestage.S3
	endpoint  *prestage.Endpoint
	guard     *prestage.Guard
	metrics   *prestage.Metrics
}

// DefaultRegion signs where no region is configured: CoreWeave's documents
// disagree on what LOTA wants to see, and "auto" is in production use.
const DefaultRegion = "auto"

func newLOTA(cfg Config, d Deps) (*lota, error) {
	endpoint, err := cfg.lotaURL()
	if err != nil {
		return nil, err
	}
	awsConfig := d.AWS
	if awsConfig.Region == "" {
		awsConfig.Region = DefaultRegion
		d.Log.Info("AWS_REGION is not set, requests are signed for a default", slog.String("region", DefaultRegion))
	}
	addr := cfg.LOTAAddr(endpoint)
	l := &lota{
		transport: prestage.NewTransport(cfg.Concurrency, cfg.FillTimeout, cfg.LOTADial),
		metrics:   prestage.NewMetrics(d.Registry),
	}
	l.store = prestage.NewS3(awsConfig, prestage.S3Options{Endpoint: endpoint, Transport: l.transport})
	l.endpoint = prestage.NewEndpoint(prestage.EndpointConfig{
		Addr: addr, Metrics: l.metrics, Log: d.Log,
		Dial: func(ctx context.Context) error {
			conn, err := l.transport.DialContext(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	})
	l.guard = prestage.NewGuard(l.endpoint, prestage.NewLimiter(cfg.Concurrency), l.store)
	return l, nil
}

// watch keeps an eye on the endpoint until the function that it returns is
// called.
func (l *lota) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = l.endpoint.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// planner is what expands requests.
func (l *lota) planner(cfg Config, log *slog.Logger) (*prestage.Planner, error) {
	buckets, err := prestage.ParseBuckets(cfg.Buckets)
	if err != nil {
		return nil, &SettingError{Name: "PRESTAGE_BUCKETS", Want: err.Error()}
	}
	return prestage.NewPlanner(prestage.PlannerConfig{
		Store: l.store, Guard: l.guard, Buckets: buckets, MinBytes: cfg.MinBytes, Log: log,
	})
}

// warmer is what the lanes, and warm, use.
func (l *lota) warmer(cfg Config, ledger dedupe.Ledger, log *slog.Logger) (*prestage.Warmer, error) {
	planner, err := l.planner(cfg, log)
	if err != nil {
		return nil, err
	}
	return prestage.NewWarmer(prestage.WarmerConfig{
		Store: l.store, Planner: planner, Guard: l.guard, Ledger: ledger,
		TTL: cfg.DedupeTTL, FillTimeout: cfg.FillTimeout, DryRun: cfg.DryRun, Metrics: l.metrics, Log: log,
	})
}

func (l *lota) close() { l.transport.CloseIdleConnections() }

func hostPort(u *url.URL) string {
	if port := u.Port(); port != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), u.Scheme) // "http" and "https" are port names
}
