package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/errgroup"

	"github.com/prestage/prestage/internal/budget"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/persist"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/resolve"
	"github.com/prestage/prestage/internal/rules"
	"github.com/prestage/prestage/internal/status"
	"github.com/prestage/prestage/internal/tracing"
)

// Deps are what an App takes from outside its configuration.
type Deps struct {
	Log      *slog.Logger
	Registry *prometheus.Registry
	// AWS carries region and credentials; its HTTP client is not used for LOTA.
	AWS    aws.Config
	Build  Build
	Tracer *tracing.Tracer // nil: events have no spans
}

// App is the daemon.
type App struct {
	cfg      Config
	deps     Deps
	resolver *resolve.Resolver
	mlflow   *resolve.MLflow // which resolver asks
	admin    *listener
	state    atomic.Pointer[state]
	link     persist.Link // to NATS
	lota     *lota
	desk     consumer.Desk
}

// state is what /readyz looks at.
type state struct {
	nc       *nats.Conn
	endpoint *prestage.Endpoint
	running  bool  // provisioned and fetching
	missing  error // what prestage writes to and somebody deleted
	draining bool
}

// New checks cfg, reads the rules file and binds the admin listener, whose port
// may be 0.
func New(ctx context.Context, cfg Config, deps Deps) (*App, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, deps: deps}
	a.state.Store(&state{})
	var err error
	if a.resolver, a.mlflow, err = newResolver(cfg, deps.Log, func() *rules.Set { return a.lota.rules.Set() }, a.read); err != nil {
		return nil, err
	}
	live, err := openRules(cfg, deps)
	if err != nil {
		return nil, err
	}
	a.admin, err = listenAdmin(ctx, cfg.HTTPAddr, deps.Registry, a.Ready, map[string]http.HandlerFunc{"/api/status": a.serveStatus, "/{$}": a.servePage}, deps.Log)
	if err != nil {
		return nil, err
	}
	if a.lota, err = newLOTA(cfg, deps, live, prestage.NewSharedLimiter(cfg.Concurrency)); err != nil {
		a.admin.close(ctx)
		return nil, err
	}
	return a, nil
}

// read reads a small object, for who looks for artifacts.
func (a *App) read(ctx context.Context, ref object.Ref, limit int64) ([]byte, error) {
	planner, err := a.lota.planner(a.cfg, a.deps.Log)
	if err != nil {
		return nil, err
	}
	return planner.Get(ctx, ref, limit)
}

// AdminAddr is where the admin listener really is.
func (a *App) AdminAddr() string { return a.admin.listener.Addr().String() }

var errUnreachable = errors.New("nats is not reachable")

// Ready says why events are not being taken, or nil.
func (a *App) Ready() error {
	s := a.state.Load()
	switch {
	case s.draining:
		return errors.New("draining")
	case s.nc == nil || !a.link.IsConnected():
		return errUnreachable
	case !s.running:
		return errors.New("streams, buckets and consumers are not ready")
	case s.missing != nil:
		return s.missing
	default:
		return s.endpoint.Ready()
	}
}

// Run works until ctx ends, then drains: fetching stops at once, fills under
// way get PRESTAGE_DRAIN_TIMEOUT. It returns nil after a clean stop.
func (a *App) Run(ctx context.Context) error {
	defer a.admin.close(ctx)
	defer a.mlflow.Close()
	defer a.lota.close()
	metrics := a.newMetrics()
	// From here on probes are answered: the first try to connect may take long.
	group, fetch := errgroup.WithContext(ctx)
	group.Go(a.admin.serve)
	closed := make(chan error, 1)
	nc, err := connectUntil(fetch, a.cfg, instanceName(a.cfg), a.deps.Log, closed, a.link.Watch)
	if nc == nil {
		a.admin.close(ctx)
		return errors.Join(err, group.Wait())
	}
	defer nc.Close()
	group.Go(func() error {
		tellWhyNot(fetch, a.cfg, nc, a.deps.Log)
		return nil
	})
	group.Go(func() error {
		warnOfNoIdentity(fetch, a.deps.AWS.Credentials, a.deps.Log)
		return nil
	})
	group.Go(func() error {
		select {
		case <-fetch.Done():
			return nil
		case err := <-closed:
			return fmt.Errorf("nats connection closed for good: %w", suspect(err))
		}
	})
	group.Go(func() error {
		defer a.admin.close(ctx)
		return a.consume(fetch, nc, metrics)
	})
	return group.Wait()
}

// consume runs the lanes until fetch ends and what is in hand is settled.
func (a *App) consume(fetch context.Context, nc *nats.Conn, metrics metrics) error {
	cfg, lota, log := a.cfg, a.lota, a.deps.Log
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	a.state.Store(&state{nc: nc, endpoint: lota.endpoint})
	if err := status.Answer(nc, cfg.Cluster, a.instance); err != nil {
		return err
	}
	stopped := context.AfterFunc(fetch, func() { a.change(func(s *state) { s.draining = true }) })
	defer stopped()

	defer lota.watch(context.WithoutCancel(fetch))() // fills under way still want the gate

	for {
		res, err := a.provision(fetch, js)
		if err != nil || fetch.Err() != nil {
			return err
		}
		var ledger dedupe.Ledger = dedupe.NewKV(js, res.objects, cfg.Cluster, dedupe.KVOptions{Logger: log, GivenUp: metrics.dropped, Conn: &a.link})
		if cfg.DryRun {
			ledger = dedupe.NewOverlay(ledger)
			log.LogAttrs(fetch, slog.LevelWarn, "dry run: nothing is filled, receipts say what would be")
		}
		stopBudget := lota.keepBudget(context.WithoutCancel(fetch), cfg, budget.NewKV(&a.link, res.receipts, cfg.Cluster, log), log)
		warmer, err := lota.warmer(cfg, ledger, log, log)
		if err != nil {
			stopBudget()
			return err
		}
		a.change(func(s *state) { s.running, s.missing = true, nil })
		err = a.runLanes(fetch, js, res, consumer.Config{
			Cluster: cfg.Cluster,
			Policy:  consumer.Policy{MaxAttempts: cfg.MaxAttempts, GiveUpAfter: cfg.GiveUpAfter}, Supersede: cfg.Supersede, DryRun: cfg.DryRun, Name: cfg.dryName(), Desk: &a.desk, Tracer: a.deps.Tracer,
			Rules: lota.rules.Set, Conn: nc, Link: &a.link, JS: js, Events: res.events, Receipts: res.receipts, Results: res.results, Letters: res.letters,
			Resolver: a.resolver, Warmer: warmer, Gate: lota.endpoint, Metrics: metrics.lanes, Log: log,
		})
		stopBudget()
		if !errors.Is(err, consumer.ErrGone) || !cfg.Provision {
			return err
		}
		a.change(func(s *state) { s.running = false })
		// Somebody deleted the stream or a durable. Whoever did may be about to
		// make it anew: leave them a moment.
		log.LogAttrs(fetch, slog.LevelError, "consumer or stream deleted, provisioning again", slog.Any("error", err))
		select {
		case <-fetch.Done():
			return nil
		case <-time.After(2 * time.Second):
		}
	}
}

// metrics are those that are not the endpoint's.
type metrics struct {
	lanes   *consumer.Metrics
	dropped prometheus.Counter
}

func (a *App) newMetrics() metrics {
	reg := a.deps.Registry
	registerInfo(reg, a.deps.Build)
	var names []string
	for _, l := range a.cfg.lanes() {
		names = append(names, l.name)
	}
	return metrics{
		lanes: consumer.NewMetrics(reg, names...),
		dropped: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "prestage_ledger_writes_dropped_total",
			Help: "Records of fills for which the ledger's bucket had no room; each may cost one more HEAD.",
		}),
	}
}

// change changes what /readyz looks at.
func (a *App) change(f func(*state)) {
	for {
		was := a.state.Load()
		now := *was
		f(&now)
		if a.state.CompareAndSwap(was, &now) {
			return
		}
	}
}

// runLanes runs all lanes. One that fails stops the others, which drain as they
// do at the end of fetch.
func (a *App) runLanes(fetch context.Context, js jetstream.JetStream, res *resources, cc consumer.Config) error {
	group, fetch := errgroup.WithContext(fetch)
	work, cut := DrainContext(fetch, a.cfg.DrainTimeout)
	defer cut()
	group.Go(func() error {
		a.watchStores(fetch, a.provisioner(js), res.stores)
		return nil
	})
	for i, l := range a.cfg.lanes() {
		lane := consumer.NewLane(l.name, l.kind, cc)
		group.Go(func() error { return lane.Run(work, fetch, res.consumers[i]) })
		group.Go(func() error {
			lane.WatchLag(fetch, res.events, res.consumers[i])
			return nil
		})
	}
	return group.Wait()
}

// provision waits until everything is there. An error is one that waiting does
// not cure.
func (a *App) provision(ctx context.Context, js jetstream.JetStream) (*resources, error) {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(200*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second),
		backoff.WithMaxElapsedTime(0))
	p := a.provisioner(js)
	var res *resources
	err := backoff.RetryNotify(func() error {
		p.clustered = js.Conn().ConnectedClusterName() != "" // known once there is a connection
		try, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		var err error
		res, err = p.ensure(try)
		if hopeless(err) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(b, ctx), func(err error, wait time.Duration) {
		a.deps.Log.LogAttrs(ctx, slog.LevelWarn, "waiting for jetstream", slog.Any("error", err), slog.String("retry_in", wait.String()))
	})
	if ctx.Err() != nil {
		return nil, nil
	}
	return res, err
}

func (a *App) provisioner(js jetstream.JetStream) *provisioner {
	return &provisioner{cfg: a.cfg, js: js, clustered: js.Conn().ConnectedClusterName() != "", log: a.deps.Log}
}

// DrainContext outlives fetch by timeout, then ends.
func DrainContext(fetch context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancelCause(context.WithoutCancel(fetch))
	stop := context.AfterFunc(fetch, func() {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(errors.New("PRESTAGE_DRAIN_TIMEOUT is over"))
		case <-work.Done():
		}
	})
	return work, func() {
		stop()
		cancel(nil)
	}
}
