package app

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/prestage/prestage/internal/budget"
	"github.com/prestage/prestage/internal/confirm"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/rules"
)

// lota is the way to the LOTA endpoint.
type lota struct {
	transport *http.Transport
	store     *prestage.S3
	endpoint  *prestage.Endpoint
	guard     *prestage.Guard
	buckets   prestage.Buckets
	rules     *rules.Live
	metrics   *prestage.Metrics
	addr      string      // of the endpoint, host:port
	tells     atomic.Bool // more than that a fill was accepted
	spending  *budget.Metrics
	budget    prestage.Budget // nil: none is kept
}

// DefaultRegion signs where no region is configured: CoreWeave's documents
// disagree on what LOTA wants to see, and "auto" is in production use.
const DefaultRegion = "auto"

func newLOTA(cfg Config, d Deps, live *rules.Live, limiter *prestage.Limiter) (*lota, error) {
	endpoint, err := cfg.lotaURL()
	if err != nil {
		return nil, err
	}
	buckets, err := prestage.ParseBuckets(cfg.Buckets)
	if err != nil {
		return nil, &SettingError{Name: "PRESTAGE_BUCKETS", Want: err.Error()}
	}
	awsConfig := d.AWS
	if awsConfig.Region == "" {
		awsConfig.Region = DefaultRegion
		d.Log.Info("AWS_REGION is not set, requests are signed for a default", slog.String("region", DefaultRegion))
	}
	addr := cfg.LOTAAddr(endpoint)
	l := &lota{
		transport: prestage.NewTransport(cfg.Concurrency, max(cfg.FillTimeout, prestage.ReadTimeout), cfg.LOTADial),
		buckets:   buckets, rules: live,
		metrics: prestage.NewMetrics(d.Registry),
		addr:    addr, spending: budget.NewMetrics(d.Registry),
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
	l.guard = prestage.NewGuard(l.endpoint, limiter, l.store)
	return l, nil
}

// watch keeps an eye on the endpoint, and on the rules file, until the function
// that it returns is called.
func (l *lota) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { _ = l.endpoint.Run(ctx) })
	watchers.Go(func() { l.rules.Watch(ctx) })
	return func() {
		cancel()
		watchers.Wait()
	}
}

// planner is what expands requests.
func (l *lota) planner(cfg Config, log *slog.Logger) (*prestage.Planner, error) {
	return prestage.NewPlanner(prestage.PlannerConfig{
		Store: l.store, Guard: l.guard, Buckets: l.buckets, MinBytes: cfg.MinBytes, Rules: l.rules.Set, Cluster: cfg.Cluster, Log: log,
	})
}

// warmer is what the lanes, and warm, use. What is learnt of the endpoint is told
// to lessons.
func (l *lota) warmer(cfg Config, ledger dedupe.Ledger, log, lessons *slog.Logger) (*prestage.Warmer, error) {
	planner, err := l.planner(cfg, log)
	if err != nil {
		return nil, err
	}
	confirmer, err := l.confirmer(cfg, lessons)
	if err != nil {
		return nil, err
	}
	return prestage.NewWarmer(prestage.WarmerConfig{
		Store: l.store, Planner: planner, Guard: l.guard, Ledger: ledger,
		TTL: cfg.DedupeTTL, FillTimeout: cfg.FillTimeout, CacheBytes: int64(cfg.CacheBytes), Confirmer: confirmer, Reader: l.store, Budget: l.budget, DryRun: cfg.DryRun, Metrics: l.metrics, Log: log,
	})
}

// confirmResponse is the value of PRESTAGE_CONFIRM with which a 2xx will do.
const confirmResponse = "response"

// confirmer is what finds out how fills are known, nil when a 2xx will do, and in
// a dry run, which reads nothing.
func (l *lota) confirmer(cfg Config, log *slog.Logger) (*confirm.Confirmer, error) {
	if cfg.Confirm == confirmResponse || cfg.DryRun {
		return nil, nil
	}
	return confirm.New(confirm.Config{
		Mode: confirm.Mode(cfg.Confirm), Concurrency: cfg.Concurrency,
		Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Tells: func(tells bool) {
			l.tells.Store(tells)
			l.metrics.EndpointTells(tells)
		},
		Log: log,
	})
}

func (l *lota) close() { l.transport.CloseIdleConnections() }

func hostPort(u *url.URL) string {
	if port := u.Port(); port != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), u.Scheme) // "http" and "https" are port names
}
