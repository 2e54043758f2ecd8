package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// planCmd shows what would be asked for.
type planCmd struct {
	targets

	NoIndex bool   `help:"Read no index file: shards that an index names are then not checked."`
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
	var all error
	for _, r := range requests {
		r.NoIndex = p.NoIndex
		fill, err := printPlan(ctx, w, engine.Planner, r, p.Output == "json")
		if err != nil {
			all = errors.Join(all, err)
			continue
		}
		if p.Output == "text" {
			fmt.Fprintln(w.stdout, tierCostText(fill))
		}
	}
	return all
}

// plannedItem and plannedSummary are the lines of a plan in JSON.
type (
	plannedItem struct {
		URI    string         `json:"uri"`
		Size   int64          `json:"size"` // -1: not known without a request
		Action string         `json:"action"`
		Reason outcome.Reason `json:"reason,omitempty"`
	}
	plannedSummary struct {
		Target      string                   `json:"target"`
		Objects     int64                    `json:"objects"`
		Bytes       int64                    `json:"bytes"`
		Unsized     int64                    `json:"unsized"`
		FillBytes   int64                    `json:"fill_bytes"`
		Skipped     map[outcome.Reason]int64 `json:"skipped"`
		Problems    []string                 `json:"problems"`
		MaxTierCost float64                  `json:"max_tier_cost_usd"`
		PricesOf    string                   `json:"prices_of"`
	}
)

// printPlan prints one request's plan and returns the bytes, as far as known,
// that would be filled.
func printPlan(ctx context.Context, w world, p *prestage.Planner, r prestage.Request, asJSON bool) (fill int64, err error) {
	enc := json.NewEncoder(w.stdout)
	sum, err := p.Walk(ctx, r, func(i prestage.Item) error {
		if i.Skip == "" && i.Size != object.UnknownSize {
			fill += i.Size
		}
		if !asJSON {
			_, err := fmt.Fprintln(w.stdout, i)
			return err
		}
		line := plannedItem{URI: i.Ref.String(), Size: i.Size, Action: "fill", Reason: i.Skip}
		if i.Skip != "" {
			line.Action = "skip"
		}
		return enc.Encode(line)
	})
	if err != nil {
		return 0, fmt.Errorf("plan %s: %w", title(r), err)
	}
	if !asJSON {
		_, err = fmt.Fprintf(w.stdout, "%s: %s\n", title(r), sum)
		return fill, err
	}
	out := plannedSummary{
		Target: title(r), Objects: sum.Objects, Bytes: sum.Bytes, Unsized: sum.Unsized, FillBytes: fill,
		Skipped: map[outcome.Reason]int64{}, Problems: []string{}, MaxTierCost: tierCost(fill), PricesOf: pricesOf,
	}
	maps.Copy(out.Skipped, sum.Skips)
	for _, problem := range sum.Problems {
		out.Problems = append(out.Problems, problem.Error())
	}
	return fill, enc.Encode(out)
}
