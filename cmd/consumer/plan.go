package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
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
		all = errors.Join(all, printPlan(ctx, w, engine.Planner, r, p.Output == "json", explain))
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
	}
	plannedSummary struct {
		Target      string                   `json:"target"`
		Objects     int64                    `json:"objects"`
		Bytes       int64                    `json:"bytes"`
		Unsized     int64                    `json:"unsized"`
		FillBytes   int64                    `json:"fill_bytes"`
		Skipped     map[outcome.Reason]int64 `json:"skipped"`
		Layout      layout.Format            `json:"layout"`   // of the checkpoint below a prefix, "": none is known
		Complete    *bool                    `json:"complete"` // null: no rule says
		Problems    []string                 `json:"problems"`
		MaxTierCost *float64                 `json:"max_tier_cost_usd"` // null: not known, since some size is not
		PricesOf    string                   `json:"prices_of"`
		Explain     []string                 `json:"explain,omitempty"`
	}
)

// printPlan prints one request's plan. Sizes that nobody told are asked for.
func printPlan(ctx context.Context, w world, p *prestage.Planner, r prestage.Request, asJSON bool, explain *explainer) error {
	enc := json.NewEncoder(w.stdout)
	r.AskSizes = true
	var fill, unsized int64
	sum, err := p.Walk(ctx, r, func(i prestage.Item) error {
		switch {
		case i.Skip != "":
		case i.Size == object.UnknownSize:
			unsized++
		default:
			fill += i.Size
		}
		if !asJSON {
			_, err := fmt.Fprintf(w.stdout, "%s%s\n", i, explain.itemText(r.Subject, i))
			return err
		}
		line := plannedItem{URI: i.Ref.String(), Size: i.Size, Action: "fill", Reason: i.Skip}
		if i.Skip != "" {
			line.Action = "skip"
		}
		line.Rule, line.Why = explain.item(r.Subject, i)
		return enc.Encode(line)
	})
	if err != nil {
		return fmt.Errorf("plan %s: %w", title(r), err)
	}
	explained := explain.target(r)
	if !asJSON {
		for _, text := range explained {
			fmt.Fprintf(w.stdout, "%s: %s\n", title(r), text)
		}
		_, err = fmt.Fprintf(w.stdout, "%s: %s\n%s\n", title(r), sum, tierCostText(fill, unsized))
		return err
	}
	out := plannedSummary{
		Target: title(r), Objects: sum.Objects, Bytes: sum.Bytes, Unsized: sum.Unsized, FillBytes: fill,
		Skipped: map[outcome.Reason]int64{}, Problems: []string{}, PricesOf: pricesOf, Layout: sum.Layout, Explain: explained,
	}
	if sum.Layout != "" && sum.Judged {
		whole := len(sum.Problems) == 0
		out.Complete = &whole
	}
	if unsized == 0 {
		most := tierCost(fill)
		out.MaxTierCost = &most
	}
	maps.Copy(out.Skipped, sum.Skips)
	for _, problem := range sum.Problems {
		out.Problems = append(out.Problems, problem.Error())
	}
	return enc.Encode(out)
}
