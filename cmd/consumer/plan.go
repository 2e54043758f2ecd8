package main

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// planCmd shows what would be asked for.
type planCmd struct {
	targets

	NoIndex bool   `help:"Read no index file: shards that an index names are then not checked."`
	Explain bool   `help:"Say which rule of PRESTAGE_RULES decides, and why."`
	Output  string `enum:"text,json" default:"text" help:"text, or json: a line an object, then the summary."`
}

// Run prints the plan. No ranged HEAD is sent.
func (p planCmd) Run(ctx context.Context, w world) error {
	requests, err := p.requests(w.stdin)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	cfg, err := w.config()
	if err != nil {
		return err
	}
	engine, err := w.engine(ctx, cfg, dedupe.NewMemory())
	if err != nil {
		return err
	}
	defer engine.Close()
	models, err := p.models(ctx, engine, w.teller(p.Output))
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	requests = append(requests, models...)
	var explain *explainer
	if p.Explain {
		explain = &explainer{rules: engine.Rules(), cluster: cfg.Cluster}
	}
	var all error
	for _, r := range requests {
		r.NoIndex = p.NoIndex
		all = errors.Join(all, printPlan(ctx, w, engine.Planner, r, int64(cfg.CacheBytes), p.Output == "json", explain))
	}
	return all
}

// plannedItem and plannedSummary are the lines of a plan in JSON.
type (
	plannedItem struct {
		URI    string         `json:"uri"`
		Size   int64          `json:"size"` // -1: not known
		Action string         `json:"action"`
		Reason outcome.Reason `json:"reason,omitempty"`
		Rule   string         `json:"rule,omitempty"` // these two with --explain
		Why    string         `json:"why,omitempty"`
		Class  string         `json:"storage_class,omitempty"` // STANDARD_IA; others are not told
	}
	plannedSummary struct {
		Target      string                   `json:"target"`
		Objects     int64                    `json:"objects"`
		Bytes       int64                    `json:"bytes"`
		Unsized     int64                    `json:"unsized"`
		FillBytes   int64                    `json:"fill_bytes"`
		Archived    int64                    `json:"archived"`       // of what is to be filled, objects in STANDARD_IA
		ArchBytes   int64                    `json:"archived_bytes"` // theirs
		TooLarge    bool                     `json:"too_large"`      // larger than PRESTAGE_CACHE_BYTES: refused
		Skipped     map[outcome.Reason]int64 `json:"skipped"`
		Layout      layout.Format            `json:"layout"`   // of the checkpoint below a prefix, "": none is known
		Complete    *bool                    `json:"complete"` // null: no rule says
		Problems    []string                 `json:"problems"`
		MaxTierCost *float64                 `json:"max_tier_cost_usd"` // null: not known, since some size is not
		PricesOf    string                   `json:"prices_of"`
		Explain     []string                 `json:"explain,omitempty"`
	}
)

// printPlan prints one request's plan, for a cache of so many bytes, 0 when that
// is not told. Sizes that nobody told are asked for.
func printPlan(ctx context.Context, w world, p *prestage.Planner, r prestage.Request, cache int64, asJSON bool, explain *explainer) error {
	r.AskSizes, r.Last = true, true
	sum, err := p.Walk(ctx, r, func(i prestage.Item) error {
		if !asJSON {
			_, err := fmt.Fprintf(w.stdout, "%s%s\n", i, explain.itemText(r.Subject, i))
			return err
		}
		line := plannedItem{URI: i.Ref.String(), Size: i.Size, Action: "fill", Reason: i.Skip}
		if i.Skip != "" {
			line.Action = "skip"
		}
		line.Rule, line.Why = explain.item(r.Subject, i)
		if i.Archived {
			line.Class = prestage.ClassArchive
		}
		return printJSON(w.stdout, line)
	})
	if err != nil {
		return fmt.Errorf("plan %s: %w", title(r), err)
	}
	explained := explain.target(r)
	standard := sum.Fill.Bytes - sum.Archive.Bytes
	tooLarge := cache > 0 && sum.Fill.Bytes > cache
	if !asJSON {
		text := tierCostText(standard, sum.Fill.Unsized) + archiveText(sum.Archive)
		if tooLarge {
			text += fmt.Sprintf("\nlarger than the cache, which holds %s (PRESTAGE_CACHE_BYTES): it is refused, and nothing of it filled", byteText(cache))
		}
		for _, line := range explained {
			fmt.Fprintf(w.stdout, "%s: %s\n", visible(title(r)), visible(line))
		}
		_, err = fmt.Fprintf(w.stdout, "%s: %s\n%s\n", visible(title(r)), visible(sum.String()), text)
		return errors.Join(err, unseen(r, sum))
	}
	out := plannedSummary{
		Target: title(r), Objects: sum.Objects, Bytes: sum.Bytes, Unsized: sum.Unsized, FillBytes: sum.Fill.Bytes,
		Archived: sum.Archive.Objects, ArchBytes: sum.Archive.Bytes, TooLarge: tooLarge,
		Skipped: map[outcome.Reason]int64{}, Problems: []string{}, PricesOf: pricesOf, Layout: sum.Layout, Explain: explained,
	}
	if sum.Layout != "" && sum.Judged {
		whole := sum.Whole()
		out.Complete = &whole
	}
	if sum.Fill.Unsized == 0 {
		most := tierCost(standard)
		out.MaxTierCost = &most
	}
	maps.Copy(out.Skipped, sum.Skips)
	for _, problem := range sum.Problems {
		out.Problems = append(out.Problems, problem.Error())
	}
	return errors.Join(printJSON(w.stdout, out), unseen(r, sum))
}

// unseen is an error when the store did not say how objects stand that are
// planned all the same. That one of a checkpoint is missing is what a plan tells.
func unseen(r prestage.Request, sum prestage.Summary) error {
	for _, problem := range sum.Problems {
		if outcome.As(problem).Reason != outcome.Incomplete {
			return fmt.Errorf("plan %s: not all of it could be looked at: %w", title(r), problem)
		}
	}
	return nil
}
