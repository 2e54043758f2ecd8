package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/budget"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/resolve"
	"github.com/prestage/prestage/internal/rules"
)

// Engine is what the daemon's lanes work with, for a command that has no lanes:
// the same plans, limits, retries and fills.
type Engine struct {
	Resolver *resolve.Resolver
	MLflow   *resolve.MLflow // which Resolver asks
	Planner  *prestage.Planner
	Warmer   *prestage.Warmer
	// Up says whether LOTA can be reached; while it cannot, work waits.
	Up func() bool
	// Head sends a plain HEAD, which fills nothing.
	Head func(ctx context.Context, ref object.Ref) (prestage.Answer, error)

	// Rules are those that hold now.
	Rules func() *rules.Set

	endpoint *prestage.Endpoint
	stop     []func()
}

// NewEngine makes an Engine that remembers in ledger, for somebody who waits:
// PRESTAGE_BUDGET is not kept. It must be closed.
func NewEngine(ctx context.Context, cfg Config, deps Deps, ledger dedupe.Ledger) (*Engine, error) {
	return newEngine(ctx, cfg, deps, ledger, nil)
}

// NewBackfill makes an Engine for routine work: PRESTAGE_BUDGET is kept where js is
// not nil, which has the cluster's account.
func NewBackfill(ctx context.Context, cfg Config, deps Deps, ledger dedupe.Ledger, js jetstream.JetStream) (*Engine, error) {
	if js == nil || cfg.Budget == 0 || cfg.DryRun {
		return newEngine(ctx, cfg, deps, ledger, nil)
	}
	receipts, err := js.KeyValue(ctx, ReceiptsBucket)
	if err != nil {
		return nil, fmt.Errorf("bucket %s, which has the account of PRESTAGE_BUDGET: %w", ReceiptsBucket, err)
	}
	return newEngine(ctx, cfg, deps, ledger, budget.NewKV(js.Conn(), receipts, cfg.Cluster, deps.Log))
}

// newEngine makes an Engine that keeps the budget whose account is in spent,
// unless that is nil.
func newEngine(ctx context.Context, cfg Config, deps Deps, ledger dedupe.Ledger, spent budget.Store) (*Engine, error) {
	live, err := openRules(cfg, deps)
	if err != nil {
		return nil, err
	}
	l, err := newLOTA(cfg, deps, live, prestage.NewLimiter(cfg.Concurrency))
	if err != nil {
		return nil, err
	}
	e := &Engine{Up: l.endpoint.Up, Head: l.store.Head, Rules: l.rules.Set, endpoint: l.endpoint}
	if e.Planner, err = l.planner(cfg, deps.Log); err != nil {
		return nil, err
	}
	if e.Resolver, e.MLflow, err = newResolver(cfg, deps.Log, l.rules.Set, e.Planner.Get); err != nil {
		return nil, err
	}
	stopBudget := l.keepBudget(ctx, cfg, spent, deps.Log)
	// A command that ends soon learns little, and prints the verdict anyway.
	if e.Warmer, err = l.warmer(cfg, ledger, deps.Log, slog.New(slog.DiscardHandler)); err != nil {
		stopBudget()
		return nil, err
	}
	e.stop = []func(){stopBudget, l.watch(ctx), l.close, e.MLflow.Close}
	return e, nil
}

// Expand calls yield with each object that an event stored at that time names:
// what there is now, without reading the index files among them.
func (e *Engine) Expand(ctx context.Context, ev events.Event, subject string, stored time.Time, yield func(prestage.Item) error) error {
	return expand(ctx, e.Resolver, e.Planner, ev, subject, stored, yield)
}

func expand(ctx context.Context, r *resolve.Resolver, p *prestage.Planner, ev events.Event, subject string, stored time.Time, yield func(prestage.Item) error) error {
	ev, lost := r.Resolve(ctx, ev)
	if lost != nil && len(ev.Objects) == 0 {
		return lost
	}
	req := consumer.Request(ev, subject, stored, time.Now())
	req.NoIndex = true
	if _, err := p.Walk(ctx, req, yield); err != nil {
		return err
	}
	return lost
}

// Close ends what the Engine runs.
func (e *Engine) Close() {
	for _, stop := range e.stop {
		stop()
	}
}
