package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/budget"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/events"
)

// A replay has somebody who waits for its end, and a list of what failed: it
// gives up earlier than the live lanes.
const (
	replayAttempts = 3
	replayPatience = 5 * time.Minute
)

// History is what a replay works with: the stream, and the daemon's engine and
// stores.
type History struct {
	*Engine
	Stream jetstream.Stream
	Lane   consumer.Config // without a name

	nc *nats.Conn
}

// OpenHistory connects to what cfg names. The stream must exist; the stores are
// created as the daemon would, but for a dry run, which creates nothing. It must
// be closed.
func OpenHistory(ctx context.Context, cfg Config, deps Deps) (h *History, err error) {
	nc, err := Dial(cfg)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			nc.Close()
		}
	}()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	h = &History{nc: nc}
	if h.Stream, err = js.Stream(ctx, cfg.Stream); err != nil {
		return nil, fmt.Errorf("stream %s (PRESTAGE_STREAM): %w", cfg.Stream, err)
	}
	s, err := replayStores(ctx, cfg, deps, js)
	if err != nil {
		return nil, err
	}
	var ledger dedupe.Ledger = dedupe.NewMemory()
	if s.objects != nil {
		ledger = dedupe.NewKV(js, s.objects, cfg.Cluster, dedupe.KVOptions{Logger: deps.Log})
	}
	if cfg.DryRun {
		ledger = dedupe.NewOverlay(ledger)
	}
	var spent budget.Store
	if s.receipts != nil {
		spent = budget.NewKV(nc, s.receipts, cfg.Cluster, deps.Log)
	}
	if h.Engine, err = newEngine(ctx, cfg, deps, ledger, spent); err != nil {
		return nil, err
	}
	h.Lane = consumer.Config{
		Cluster: cfg.Cluster,
		Policy:  consumer.Policy{MaxAttempts: min(cfg.MaxAttempts, replayAttempts), GiveUpAfter: min(cfg.GiveUpAfter, replayPatience)},
		Rules:   h.Rules, Conn: nc, JS: js, Events: h.Stream, Receipts: s.receipts, Results: s.results, Letters: s.letters,
		Resolver: h.Resolver, Warmer: h.Warmer, Gate: h.endpoint, Metrics: consumer.NewMetrics(deps.Registry, "replay"), Log: deps.Log,
	}
	return h, nil
}

// replayStores are the daemon's. A dry run reads the ledger if there is one.
func replayStores(ctx context.Context, cfg Config, deps Deps, js jetstream.JetStream) (s stores, err error) {
	if !cfg.DryRun {
		p := &provisioner{cfg: cfg, js: js, clustered: js.Conn().ConnectedClusterName() != "", log: deps.Log}
		return p.stores(ctx, cfg.Setup())
	}
	s.objects, err = js.KeyValue(ctx, ObjectsBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return stores{}, nil
	}
	return s, wrap("bucket "+ObjectsBucket, err)
}

// Close ends what the History runs.
func (h *History) Close() {
	h.Engine.Close()
	h.nc.Close()
}

// KindOf says what plain JSON on a subject means: a model on those of the model
// lane, else a checkpoint.
func (c *Config) KindOf(subject string) events.Kind {
	if covered(subject, filters(c.ModelSubjects)) {
		return events.KindModel
	}
	return events.KindCheckpoint
}

// Subjects are those of both lanes, as JetStream wants them.
func (c *Config) Subjects() []string {
	return append(filters(c.ModelSubjects), filters(c.CheckpointSubjects)...)
}

// Durables are the names of the live lanes' consumers.
func (c *Config) Durables() []string {
	live := *c
	live.DryRun = false
	var names []string
	for _, l := range live.lanes() {
		names = append(names, live.durable(l))
	}
	return names
}
