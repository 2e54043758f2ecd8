package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/publish"
	"github.com/prestage/prestage/internal/reconcile"
)

// reconcileCmd is one bounded pass over prefixes and objects.
type reconcileCmd struct {
	URIs      []string      `arg:"" optional:"" name:"uri" help:"s3://bucket/prefix/ with the slash, or s3://bucket/key."`
	FromList  string        `placeholder:"FILE" help:"A file with a URI a line, besides those named; - is standard input."`
	MLflow    string        `name:"mlflow" enum:"none,marked,all" default:"none" help:"Also the model versions of MLFLOW_TRACKING_URI's registry: marked are those with an alias or a tag that asks for them to be served. Events then go by the model lane, whatever --kind says."`
	Workspace []string      `name:"mlflow-workspace" placeholder:"NAME" help:"With --mlflow: of which workspaces, comma-separated; by default the one that the server takes where none is named."`
	Kind      string        `enum:"checkpoint,model" default:"checkpoint" help:"checkpoint or model: by which lane the events go."`
	Subject   string        `help:"Subject; by default the lane's first one, with reconcile below it."`
	OlderThan time.Duration `help:"Warm again what was filled longer ago than this, such as 12h; sets rewarm_before."`
	MaxEvents int64         `default:"10000" help:"Publish no more than so many events; the next pass goes on."`
	Timeout   time.Duration `default:"1h" help:"Exit 3 after this long; the next pass goes on."`
	DryRun    bool          `help:"Publish nothing; say what would be, and the most that it can cost."`
	Output    string        `enum:"text,json" default:"text" help:"text, or json: a line a finding, then the summary."`
}

// Run makes the pass.
func (c reconcileCmd) Run(ctx context.Context, w world) error {
	cfg, err := w.config()
	if err != nil {
		return err
	}
	if c.MLflow != noRegistry {
		c.Kind = "model"
	}
	list, subject, err := c.check(w, cfg)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("reconcile: %w", err)}
	}
	defer list.close()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	pass, engine, closeIt, err := c.pass(ctx, w, cfg, subject)
	if err != nil {
		return err
	}
	defer closeIt()
	err = list.each(func(req prestage.Request) (bool, error) { return pass.Target(ctx, req) }, pass.Fail)
	if err == nil && !pass.Report().Stopped && c.MLflow != noRegistry {
		err = c.registry(ctx, pass, engine)
	}
	report := pass.Report()
	if printed := c.summary(w, report); err == nil {
		err = printed
	}
	switch failed := report.Objects[reconcile.Failed]; {
	case errors.Is(err, context.DeadlineExceeded):
		return &exitError{exitTimeout, fmt.Errorf("reconcile: not done after %s; call it again to go on", c.Timeout)}
	case errors.Is(err, context.Canceled):
		return errors.New("reconcile: interrupted; call it again to go on")
	case err != nil:
		return fmt.Errorf("reconcile: %w", err)
	case failed > 0:
		return fmt.Errorf("reconcile: %d objects or targets could not be looked at", failed)
	}
	return nil
}

// noRegistry is the value of --mlflow with which no registry is looked at.
const noRegistry = "none"

// errStopped ends the registry's pages: the pass has published enough.
var errStopped = errors.New("stopped")

// registry looks at what MLflow's registry has.
func (c reconcileCmd) registry(ctx context.Context, pass *reconcile.Pass, engine *app.Engine) error {
	workspaces := c.Workspace
	if len(workspaces) == 0 {
		workspaces = []string{""}
	}
	var err error
	for n := 0; n < len(workspaces) && err == nil; n++ {
		err = engine.MLflow.Versions(ctx, workspaces[n], c.MLflow == "marked", func(a events.Artifact) error {
			more, err := pass.Version(ctx, engine.Resolver, a)
			if err == nil && !more {
				return errStopped
			}
			return err
		})
	}
	switch {
	case errors.Is(err, errStopped):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// check is what can be said before anything is asked.
func (c reconcileCmd) check(w world, cfg app.Config) (*uriList, string, error) {
	switch {
	case c.OlderThan < 0:
		return nil, "", errors.New("--older-than: want a duration above 0, such as 12h")
	case c.MaxEvents < 1:
		return nil, "", errors.New("--max-events: want a number above 0")
	case c.Timeout <= 0:
		return nil, "", errors.New("--timeout: want a duration above 0, such as 1h")
	}
	base := cfg.CheckpointSubjects[0]
	if c.Kind == "model" {
		base = cfg.ModelSubjects[0]
	}
	subject := c.Subject
	if subject == "" {
		// Below the lane's own: an event without a run must not be the last one on
		// the subject of a run, which is looked at for newer checkpoints.
		subject = publish.Subject(base, "reconcile")
	}
	if err := checkSubject(subject); err != nil {
		return nil, "", err
	}
	if c.MLflow != noRegistry {
		if cfg.MLflowTrackingURI == "" {
			return nil, "", errors.New("--mlflow: set MLFLOW_TRACKING_URI")
		}
		if _, err := cfg.Tracking(w.quietLogger()); err != nil {
			return nil, "", err
		}
	} else if len(c.Workspace) > 0 {
		return nil, "", errors.New("--mlflow-workspace: wants --mlflow")
	} else if len(c.URIs) == 0 && c.FromList == "" {
		return nil, "", errors.New("name URIs, or a file of them with --from-list, or --mlflow")
	}
	list, err := newURIList(c.URIs, c.FromList, w.stdin)
	return list, subject, err
}

// pass connects the pass with the store and NATS.
func (c reconcileCmd) pass(ctx context.Context, w world, cfg app.Config, subject string) (p *reconcile.Pass, engine *app.Engine, closeIt func(), err error) {
	_, js, closeNATS, err := w.jetStream()
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() {
		if err != nil {
			closeNATS()
		}
	}()
	setUp, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	events, err := js.Stream(setUp, cfg.Stream)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reconcile: stream %s: %w; start prestage run once, it creates it", cfg.Stream, err)
	}
	var buckets [2]jetstream.KeyValue
	for n, name := range []string{app.ObjectsBucket, app.ReceiptsBucket} {
		if buckets[n], err = js.KeyValue(setUp, name); err != nil {
			return nil, nil, nil, fmt.Errorf("reconcile: bucket %s: %w; start prestage run once, it creates it", name, err)
		}
	}
	if engine, err = w.engine(ctx, cfg, dedupe.NewMemory()); err != nil {
		return nil, nil, nil, err
	}
	kind := publish.CheckpointWritten
	if c.Kind == "model" {
		kind = publish.ModelPublished
	}
	return reconcile.New(reconcile.Config{
		Plans:   engine.Planner,
		Records: dedupe.NewKV(js, buckets[0], cfg.Cluster, dedupe.KVOptions{Logger: w.quietLogger()}),
		Stream:  &reconcile.JetStream{JS: js, Events: events, Receipts: buckets[1], Cluster: cfg.Cluster, Subject: subject},
		Subject: subject, Type: kind, TTL: cfg.DedupeTTL, OlderThan: c.OlderThan, MaxEvents: c.MaxEvents, DryRun: c.DryRun,
		Tell: func(f reconcile.Finding) error { return c.tell(w.stdout, f) },
	}), engine, func() { engine.Close(); closeNATS() }, nil
}

// tell prints one finding.
func (c reconcileCmd) tell(out io.Writer, f reconcile.Finding) error {
	if c.Output == "json" {
		line, err := visibleJSON(f)
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", line)
		}
		return err
	}
	text := string(f.State) + " " + f.URI
	if f.Seq > 0 {
		text += fmt.Sprintf(" as %s/%d", f.Stream, f.Seq)
	}
	if f.Reason != "" {
		text += ": " + string(f.Reason)
	}
	if f.Why != "" {
		text += ": " + f.Why
	}
	if !f.Newest.IsZero() {
		text += fmt.Sprintf("; nothing new for %s", ageText(time.Since(f.Newest)))
	}
	_, err := fmt.Fprintln(out, visible(text))
	return err
}

// reconciled is the last line in JSON.
type reconciled struct {
	reconcile.Report

	DryRun      bool     `json:"dry_run"`
	MaxTierCost *float64 `json:"max_tier_cost_usd"` // null: not known, since some size is not
	PricesOf    string   `json:"prices_of"`
}

// summary prints what the pass has come to.
func (c reconcileCmd) summary(w world, r reconcile.Report) error {
	if c.Output == "json" {
		out := reconciled{Report: r, DryRun: c.DryRun, PricesOf: pricesOf}
		if r.Unsized == 0 {
			most := tierCost(r.Bytes)
			out.MaxTierCost = &most
		}
		return printJSON(w.stdout, out)
	}
	var parts []string
	for _, s := range []reconcile.State{
		reconcile.Missing, reconcile.Published, reconcile.InStream, reconcile.Pending, reconcile.Warm, reconcile.Skipped,
		reconcile.DeadLettered, reconcile.Incomplete, reconcile.Unresolved, reconcile.Failed,
	} {
		if n := r.Objects[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := "nothing was found"
	if len(parts) > 0 {
		text = strings.Join(parts, ", ")
	}
	if r.Stopped {
		text += fmt.Sprintf("; stopped at --max-events %d, call it again to go on", c.MaxEvents)
	}
	if r.Objects[reconcile.DeadLettered] > 0 {
		text += "; see prestage dlq"
	}
	if c.DryRun {
		text += "\n" + tierCostText(r.Bytes, r.Unsized)
	}
	_, err := fmt.Fprintln(w.stdout, text)
	return err
}
