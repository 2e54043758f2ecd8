package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/prestage/prestage/internal/dlq"
)

// dlqCmd works with dead letters.
type dlqCmd struct {
	Ls      dlqLsCmd      `cmd:"" help:"List dead letters."`
	Show    dlqShowCmd    `cmd:"" help:"Show letters whole, and what to do about them."`
	Redrive dlqRedriveCmd `cmd:"" help:"Publish the events of letters once more. The consumer removes a letter when its event ends well."`
	Purge   dlqPurgeCmd   `cmd:"" help:"Delete letters for good."`
}

type dlqLsCmd struct {
	letterFilter

	Output string `enum:"text,json" default:"text" help:"text, a line a letter, or json, a list of them."`
}

// Run lists letters while it reads them.
func (c dlqLsCmd) Run(ctx context.Context, w world) error {
	return withMailbox(ctx, w, c.letterFilter, func(m *mailbox) error {
		out := newLetterPrinter(w, c.Output, "")
		return errors.Join(m.each(ctx, c.letterFilter, func(l found) error { return out.row(describe(l)) }), out.end())
	})
}

type dlqShowCmd struct {
	letterFilter

	Output string `enum:"text,json" default:"text" help:"text, or json: a letter a line."`
}

// Run prints the letters that are named.
func (c dlqShowCmd) Run(ctx context.Context, w world) error {
	if len(c.Letters) == 0 {
		return &exitError{exitUsage, errors.New("dlq show: name a letter, see dlq ls")}
	}
	return withMailbox(ctx, w, c.letterFilter, func(m *mailbox) error {
		return m.each(ctx, c.letterFilter, func(l found) error { return showLetter(ctx, w, m, l, c.Output == "json") })
	})
}

type dlqRedriveCmd struct {
	letterFilter

	Again  bool   `help:"Also letters that were redriven before."`
	DryRun bool   `help:"Say what would be redriven, and send nothing."`
	Output string `enum:"text,json" default:"text" help:"text, a line a letter, or json, a list of them."`
}

// What came of one letter.
const (
	redriven     = "redriven"
	redrivenOnce = "redriven_before"
	gone         = "gone"
	failed       = "failed"
	purged       = "purged"
	dryRun       = "dry_run"
)

// Run redrives one letter after the other. An interrupt lets the one in hand be
// finished.
func (c dlqRedriveCmd) Run(ctx context.Context, w world) error {
	return withMailbox(ctx, w, c.letterFilter, func(m *mailbox) error {
		out := newLetterPrinter(w, c.Output, redriven)
		err := m.each(ctx, c.letterFilter, func(l found) error { return out.done(c.redrive(ctx, m, l)) })
		return out.conclude(ctx, err)
	})
}

func (c dlqRedriveCmd) redrive(ctx context.Context, m *mailbox, l found) letterRow {
	row := describe(l)
	if c.DryRun {
		row.Result = dryRun
		if l.Mark.Count > 0 && !c.Again {
			row.Result = redrivenOnce
		} else if err := m.Check(ctx, l.Letter); err != nil {
			row.Result, row.Problem = failed, err.Error()
		}
		return row
	}
	r, err := m.Redrive(ctx, l.Letter, c.Again)
	switch {
	case err != nil:
		row.Result, row.Problem = failed, err.Error()
		return row
	case r.Before:
		row.Result = redrivenOnce
	case r.Seq == 0:
		row.Result = gone
	default:
		row.Result = redriven
	}
	row.Redrives, row.RedrivenSeq = r.Count, r.Seq
	if r.Unmarked != nil {
		row.Problem = r.Unmarked.Error()
	}
	return row
}

type dlqPurgeCmd struct {
	letterFilter

	Yes    bool   `help:"Do not ask."`
	DryRun bool   `help:"Say what would be purged, and delete nothing."`
	Output string `enum:"text,json" default:"text" help:"text, a line a letter, or json, a list of them."`
}

// Run deletes exactly the letters that it counted before asking. Where nobody is
// asked it needs no list of them.
func (c dlqPurgeCmd) Run(ctx context.Context, w world) error {
	if !c.Yes && !c.DryRun && !isTerminal(w.stdin) {
		return &exitError{exitUsage, errors.New("dlq purge: deletes for good; give --yes, or --dry-run to see what")}
	}
	return withMailbox(ctx, w, c.letterFilter, func(m *mailbox) error {
		m.placesOnly = true
		out := newLetterPrinter(w, c.Output, purged)
		if c.DryRun || c.Yes {
			err := m.each(ctx, c.letterFilter, func(l found) error { return out.done(c.purge(ctx, m, describe(l))) })
			return out.conclude(ctx, err)
		}
		var picked []letterRow
		if err := m.each(ctx, c.letterFilter, func(l found) error {
			picked = append(picked, describe(l))
			return nil
		}); err != nil {
			return err
		}
		if len(picked) > 0 && !w.confirms(fmt.Sprintf("Delete %d dead letters of cluster %s for good?", len(picked), m.cfg.Cluster)) {
			return errors.New("dlq purge: nothing deleted")
		}
		for _, row := range picked {
			if ctx.Err() != nil {
				break
			}
			if err := out.done(c.purge(ctx, m, row)); err != nil {
				return err
			}
		}
		return out.conclude(ctx, nil)
	})
}

func (c dlqPurgeCmd) purge(ctx context.Context, m *mailbox, row letterRow) letterRow {
	if c.DryRun {
		row.Result = dryRun
		return row
	}
	row.Result = purged
	switch missing, err := m.Delete(ctx, dlq.Letter{Subject: row.Letter, Seq: row.LetterSeq}); {
	case err != nil:
		row.Result, row.Problem = failed, err.Error()
	case missing:
		row.Result = gone
	}
	return row
}

// confirms asks a person.
func (w world) confirms(question string) bool {
	fmt.Fprintf(w.stderr, "%s Type yes: ", question)
	line, _ := bufio.NewReader(w.stdin).ReadString('\n')
	return strings.TrimSpace(line) == "yes"
}

func withMailbox(ctx context.Context, w world, f letterFilter, do func(*mailbox) error) error {
	if err := f.check(); err != nil {
		return err
	}
	m, err := openMailbox(ctx, w)
	if err != nil {
		return err
	}
	defer m.close()
	return do(m)
}
