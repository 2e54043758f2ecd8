package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/nats-io/nuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/replay"
)

// replayCmd backfills from the stream's history.
type replayCmd struct {
	Since   string   `help:"Events stored since then: a time (RFC 3339), a date, or a duration before now such as 24h." placeholder:"TIME"`
	Until   string   `help:"Events stored until then, likewise, that moment included; now by default. A date is its beginning, in UTC." placeholder:"TIME"`
	FromSeq uint64   `help:"Events from this sequence of the stream on." placeholder:"SEQ"`
	ToSeq   uint64   `help:"Events up to this sequence." placeholder:"SEQ"`
	Subject []string `help:"Events on these subjects, wildcards allowed; those of both lanes by default."`
	Run_    []string `name:"run" help:"Events of these training runs." placeholder:"RUN"`
	Model   []string `help:"Events of these models."`
	Bucket  string   `help:"Events that name something in this bucket."`
	Prefix  string   `help:"With --bucket: something whose key begins so."`
	Latest  int      `help:"Only the newest N events of each run or model; one that was sent again counts as its first." placeholder:"N"`

	FromList    string `help:"Backfill without history: a file with a URI a line, or an S3 inventory in CSV, gzip or not; - is standard input." type:"existingfile" placeholder:"FILE" xor:"what"`
	RetryFailed string `help:"Only what a file of failures names." type:"existingfile" placeholder:"FILE" xor:"what"`
	Failures    string `help:"Where failures go, a JSON line each; prestage-replay-NAME.failed.jsonl by default, made with the first." type:"path" placeholder:"FILE"`

	Cluster     string  `help:"The cluster whose cache is meant; PRESTAGE_CLUSTER by default."`
	Name        string  `help:"Name of this replay, its receipts, results and letters. Under it a replay that was killed is gone on with; one of its own by default."`
	Force       bool    `help:"Ask also for what is on record as warm."`
	Rate        float64 `help:"Most fills a second." placeholder:"N"`
	Concurrency int     `help:"Most fills under way; a quarter of PRESTAGE_CONCURRENCY by default." placeholder:"N"`
	MaxBytes    int64   `help:"End before more bytes than these are filled; sizes that no event tells are asked for." placeholder:"BYTES"`
	DryRun      bool    `help:"Count events, objects, bytes and cost; send no ranged HEAD and write nothing."`
	Output      string  `enum:"text,json," default:"" help:"text, or json: lines of progress, then the summary; by default text on a terminal, else json."`
}

// Help is shown below the flags.
func (replayCmd) Help() string {
	return `Exit codes: 0 done, 1 failed, 2 wrong usage, 4 some events were dead-lettered.

A replay works through a durable of its own, behind the live lanes and with the
lowest priority that the system has, and ends by itself. It gives an event three attempts, and a bucket that refuses us five
minutes. What the ledger has on record is not asked for again.`
}

var replayName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Run replays.
func (c replayCmd) Run(ctx context.Context, w world) error {
	cfg, err := c.config(w)
	if err != nil {
		return err
	}
	selection, err := c.selection(time.Now())
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("replay: %w", err)}
	}
	var failed failures
	if c.FromList != "" || c.RetryFailed != "" {
		if flag := c.selects(); flag != "" {
			return &exitError{exitUsage, fmt.Errorf("replay: %s chooses events of the stream's history, the file has chosen", flag)}
		}
	}
	if c.RetryFailed != "" {
		if failed, err = readFailures(c.RetryFailed, cfg.Stream); err != nil {
			return &exitError{exitUsage, err}
		}
		if c.Name != "" && slices.Contains(failed.names, c.Name) {
			return &exitError{exitUsage, fmt.Errorf("replay: %s ended these events already, give the retry a --name of its own", c.Name)}
		}
		selection.Named = failed.events
		selection.FromSeq, selection.ToSeq = failed.span()
	}
	if c.Name == "" {
		c.Name = "r" + nuid.Next()
	}
	stepBack()
	out := &replayOutput{w: w, cmd: c, cluster: cfg.Cluster, cache: int64(cfg.CacheBytes), json: c.Output == "json" || (c.Output == "" && !isTerminal(w.stdout))}
	defer out.close()
	if c.FromList != "" || len(failed.objects) > 0 {
		return c.fromList(ctx, w, cfg, out, failed.objects)
	}
	return c.fromHistory(ctx, w, cfg, out, selection)
}

// config is the environment's, as the flags change it.
func (c replayCmd) config(w world) (app.Config, error) {
	cfg, err := w.config()
	if err != nil {
		return cfg, err
	}
	if c.Cluster != "" {
		cfg.Cluster = c.Cluster
	}
	cfg.Concurrency = max(1, cfg.Concurrency/4)
	if c.Concurrency != 0 {
		cfg.Concurrency = c.Concurrency
	}
	cfg.DryRun = cfg.DryRun || c.DryRun
	switch {
	case c.Name != "" && (!replayName.MatchString(c.Name) || c.Name == "dry"):
		return cfg, &exitError{exitUsage, fmt.Errorf("replay: --name %q: want letters, digits, _ and - only, at most 64, and not dry", c.Name)}
	case c.Rate < 0, c.MaxBytes < 0:
		return cfg, &exitError{exitUsage, errors.New("replay: --rate and --max-bytes are positive")}
	}
	return cfg, cfg.Validate()
}

func (c replayCmd) selection(now time.Time) (s replay.Selection, err error) {
	s = replay.Selection{
		FromSeq: c.FromSeq, ToSeq: c.ToSeq, Subjects: c.Subject, Runs: c.Run_, Models: c.Model,
		Bucket: c.Bucket, Prefix: c.Prefix, Latest: c.Latest,
	}
	if s.Since, _, err = instant("--since", c.Since, now); err != nil {
		return s, err
	}
	if s.Until, _, err = instant("--until", c.Until, now); err != nil {
		return s, err
	}
	if s.Subjects, err = app.Distinct(s.Subjects); err != nil {
		return s, fmt.Errorf("--subject: %w", err)
	}
	return s, s.Check()
}

// selects names a flag that chooses events, "" when none is given.
func (c replayCmd) selects() string {
	for flag, given := range map[string]bool{
		"--since": c.Since != "", "--until": c.Until != "", "--from-seq": c.FromSeq > 0, "--to-seq": c.ToSeq > 0,
		"--subject": len(c.Subject) > 0, "--run": len(c.Run_) > 0, "--model": len(c.Model) > 0,
		"--bucket": c.Bucket != "", "--prefix": c.Prefix != "", "--latest": c.Latest > 0,
	} {
		if given {
			return flag
		}
	}
	return ""
}

// instant reads a time, a date, or a duration before now.
func instant(flag, s string, now time.Time) (t time.Time, counted bool, err error) {
	if s == "" {
		return time.Time{}, false, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), true, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, false, nil
		}
	}
	return time.Time{}, false, fmt.Errorf("%s %q: want a time such as 2026-11-20T10:00:00Z, a date, or a duration such as 24h", flag, s)
}

// durations are the flags that are counted from now, as they were written.
func (c replayCmd) durations() string {
	for _, s := range []string{c.Since, c.Until} {
		if _, counted, _ := instant("", s, time.Time{}); counted {
			return c.Since + "/" + c.Until
		}
	}
	return ""
}

func (c replayCmd) fromHistory(ctx context.Context, w world, cfg app.Config, out *replayOutput, selection replay.Selection) error {
	log := w.quietLogger()
	aws, err := loadAWS(ctx, log)
	if err != nil {
		return err
	}
	// A first signal stops asking; what has been asked for may still finish.
	work, cut := app.DrainContext(ctx, cfg.DrainTimeout)
	defer cut()
	h, err := app.OpenHistory(work, cfg, app.Deps{Log: log, Registry: prometheus.NewRegistry(), AWS: aws})
	if err != nil {
		return err
	}
	defer h.Close()
	h.Lane.Name = c.Name
	r := &replay.Replay{
		Selection: selection, Stream: h.Stream, Lane: h.Lane, AckWait: cfg.AckWait,
		Subjects: cfg.Subjects(), Kind: cfg.KindOf, Live: cfg.Durables(),
		Force: c.Force, Durations: c.durations(), Rate: c.Rate, MaxBytes: c.MaxBytes,
		Told:   out.plan,
		Failed: func(receipt consumer.Receipt) { out.failed(failureOf(receipt, c.Name)) },
	}
	out.watch(r.Progress, h.Up)
	if cfg.DryRun {
		p, err := r.DryRun(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return errors.New("interrupted before all was counted")
		case err != nil:
			return err
		}
		out.dry(p)
		return nil
	}
	result, err := r.Run(work, ctx)
	switch {
	case errors.Is(err, replay.ErrOther):
		return &exitError{exitUsage, err}
	case err != nil && ctx.Err() != nil:
		out.ended("interrupted", result)
		return fmt.Errorf("interrupted; replay --name %s with the same flags goes on at the same place within a day", c.Name)
	case err != nil:
		return err
	}
	out.ended("done", result)
	var bad []string
	if n := max(result.DeadLetters, result.Letters); n > 0 {
		bad = append(bad, fmt.Sprintf("%d events were dead-lettered", n))
	}
	if result.Lost > 0 {
		bad = append(bad, fmt.Sprintf("%d events of %s are no longer in the stream", result.Lost, c.RetryFailed))
	}
	return out.partly(bad...)
}
