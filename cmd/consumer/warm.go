package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// warmCmd warms from a shell, without a stream.
type warmCmd struct {
	targets

	DryRun bool   `help:"Print the plan and send no ranged HEAD."`
	Force  bool   `help:"Ask also for what is on record as warm."`
	Output string `enum:"text,json" default:"text" help:"text, or json: a receipt a line."`
}

// receipt is what warm prints at the end of each target. Its fields are those
// of an event's receipt, as far as they make sense without one.
type receipt struct {
	Target    string              `json:"target"`
	Cluster   string              `json:"cluster"`
	Outcome   string              `json:"outcome"` // warm, skipped, failed or interrupted
	Reason    outcome.Reason      `json:"reason"`
	Verdict   outcome.Verdict     `json:"verdict"`
	Objects   prestage.Counts     `json:"objects"`
	Bytes     int64               `json:"bytes"`
	Confirmed *prestage.Confirmed `json:"confirmed,omitempty"`
	WarmAt    time.Time           `json:"warm_at,omitzero"`
	Seconds   float64             `json:"seconds"`
	Error     string              `json:"error"`
	Failures  []prestage.Failure  `json:"failures"`
}

// Run plans, warms and tells.
func (c warmCmd) Run(ctx context.Context, w world) error {
	requests, err := c.requests(w.stdin)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	cfg, err := w.config()
	if err != nil {
		return err
	}
	ledger, _, closeLedger, err := w.ledger(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeLedger()

	// A first signal stops asking; what has been asked for may still finish.
	work, cut := app.DrainContext(ctx, cfg.DrainTimeout)
	defer cut()
	engine, err := w.engine(work, cfg, ledger)
	if err != nil {
		return err
	}
	defer engine.Close()
	models, err := c.models(ctx, engine, w.teller(c.Output))
	if err != nil {
		return fmt.Errorf("warm: %w", err)
	}
	requests = append(requests, models...)

	failed := 0
	for _, r := range requests {
		if c.DryRun || cfg.DryRun {
			if err := printPlan(ctx, w, engine.Planner, r, int64(cfg.CacheBytes), c.Output == "json", nil); err != nil {
				return err
			}
			continue
		}
		if c.Force {
			r.RewarmBefore = time.Now()
		}
		rec, err := c.warm(work, ctx, w, cfg, engine, r)
		if err != nil {
			return err
		}
		if rec.Outcome == "failed" {
			failed++
		}
		if ctx.Err() != nil {
			return errors.New("interrupted; call it again to go on: " + w.resumes())
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d targets failed", failed, len(requests))
	}
	return nil
}

// warm does one request and prints its receipt.
func (c warmCmd) warm(work, start context.Context, w world, cfg app.Config, engine *app.Engine, r prestage.Request) (receipt, error) {
	began := time.Now()
	// The plan is walked once for its totals, so that progress has an end.
	sum, err := engine.Planner.Walk(start, r, func(prestage.Item) error { return nil })
	if err != nil && start.Err() != nil {
		return receipt{}, errors.New("interrupted before anything was asked for")
	}
	if sum.Doubt != "" {
		w.teller(c.Output)(fmt.Sprintf("%s: a checkpoint of format %s, %s", title(r), sum.Layout, sum.Doubt))
	}
	bar := newProgress(w, title(r), sum, engine.Up)
	r.Observe, r.Last = bar.tell, true
	report := engine.Warmer.Warm(work, start, r, prestage.NewProgress())
	bar.stop()

	rec := receipt{
		Target: title(r), Cluster: cfg.Cluster, Verdict: report.Verdict, Objects: report.Objects, Bytes: report.Bytes, Confirmed: report.Confirmed,
		Seconds: time.Since(began).Seconds(), Failures: append([]prestage.Failure{}, report.Failures...),
	}
	switch {
	case len(report.Problems) > 0:
		worst := slices.MinFunc(report.Problems, func(a, b prestage.Problem) int {
			if outcome.Worse(a.Reason, b.Reason) {
				return -1
			}
			return 1
		})
		rec.Outcome, rec.Reason, rec.Error = "failed", worst.Reason, worst.Sample.Error()
		if start.Err() != nil {
			rec.Outcome = "interrupted"
		}
	case report.Objects.Filled+report.Objects.AlreadyWarm > 0:
		rec.Outcome, rec.WarmAt = string(consumer.Warm), time.Now().UTC()
	default:
		rec.Outcome, rec.Reason = string(consumer.Skipped), consumer.MostSkips(report.Skips)
	}
	return rec, c.print(w, rec)
}

func (c warmCmd) print(w world, r receipt) error {
	if c.Output == "json" {
		return printJSON(w.stdout, r)
	}
	verdict := ""
	if r.Verdict != "" {
		verdict = " (" + string(r.Verdict) + ")"
	}
	_, err := fmt.Fprintf(w.stdout, "%s: %s%s: %d filled, %d already warm, %d skipped, %d failed; %s in %.1f s\n",
		visible(r.Target), r.Outcome, verdict, r.Objects.Filled, r.Objects.AlreadyWarm, r.Objects.Skipped, r.Objects.Failed, byteText(r.Bytes), r.Seconds)
	if r.Reason != "" {
		fmt.Fprintf(w.stdout, "  %s: %s\n", r.Reason, visible(r.Error))
	}
	for _, f := range r.Failures {
		if f.URI != "" && f.Error != r.Error {
			fmt.Fprintf(w.stdout, "  %s: %s\n", visible(f.URI), visible(f.Error))
		}
	}
	return err
}

// ledger is JetStream's, which is js, when the environment names a NATS server,
// else this process's own.
func (w world) ledger(ctx context.Context, cfg app.Config) (l dedupe.Ledger, js jetstream.JetStream, closeIt func(), err error) {
	if !w.natsNamed() {
		return dedupe.NewMemory(), nil, func() {}, nil
	}
	nc, err := w.dial(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	js, err = jetstream.New(nc)
	if err == nil {
		var kv jetstream.KeyValue
		kv, err = js.KeyValue(ctx, app.ObjectsBucket)
		if err == nil {
			return dedupe.NewKV(js, kv, cfg.Cluster, dedupe.KVOptions{Logger: w.quietLogger()}), js, nc.Close, nil
		}
	}
	nc.Close()
	return nil, nil, nil, fmt.Errorf("ledger: %w; start prestage run once, or unset NATS_URL to warm without a record", err)
}

// natsNamed says that the environment names a NATS server.
func (w world) natsNamed() bool {
	return slices.ContainsFunc(w.environ, func(line string) bool {
		value, ok := strings.CutPrefix(line, "NATS_URL=")
		return ok && value != ""
	})
}

// resumes says what a second call will do.
func (w world) resumes() string {
	if w.natsNamed() {
		return "what is on record is not asked for again"
	}
	return "what has been filled is asked for again, which is cheap, since NATS_URL names no ledger"
}
