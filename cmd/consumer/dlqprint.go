package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/dlq"
)

// letterRow is a letter as it is listed. Where a receipt has the same thing, its
// name is that of the receipt.
type letterRow struct {
	Letter    string    `json:"letter"` // the subject
	Reason    string    `json:"reason"`
	Error     string    `json:"error"`
	Attempts  int       `json:"attempts"`
	Stream    string    `json:"stream"`
	StreamSeq uint64    `json:"stream_seq"`
	Time      time.Time `json:"stream_time,omitzero"`
	Subject   string    `json:"subject"` // the event's
	EventID   string    `json:"event_id"`
	Source    string    `json:"source"`
	Buckets   []string  `json:"buckets"`
	Bytes     int       `json:"payload_bytes"`
	Omitted   bool      `json:"payload_omitted,omitempty"`
	LetterSeq uint64    `json:"letter_seq"` // in PRESTAGE_DLQ; redriving changes it
	Damage    string    `json:"damage,omitempty"`

	Redrives    int       `json:"redrives"`
	RedrivenSeq uint64    `json:"redriven_seq,omitempty"` // where the event is in its stream since
	RedrivenAt  time.Time `json:"redriven_at,omitzero"`
	Parent      string    `json:"redriven_from,omitempty"` // the letter that this event was redriven from

	Result  string `json:"result,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func describe(l found) letterRow {
	return letterRow{
		Letter: l.Letter.Subject, Reason: string(l.Reason), Error: l.Error, Attempts: l.Attempts,
		Stream: l.Stream, StreamSeq: l.EventSeq, Time: l.EventTime, Subject: l.EventSubject,
		EventID: l.content.ID, Source: l.content.Source, Buckets: append([]string{}, l.content.Buckets...),
		Bytes: len(l.Data), Omitted: l.Omitted, LetterSeq: l.Seq, Damage: l.Damage,
		Redrives: l.Mark.Count, RedrivenSeq: l.Mark.Seq, RedrivenAt: l.Mark.At, Parent: l.Parent,
	}
}

// place is how a letter is named to these commands.
func (r letterRow) place() string {
	if r.Damage != "" {
		return fmt.Sprintf("%s/%d", dlq.Stream, r.LetterSeq)
	}
	_, replay, _ := strings.Cut(strings.TrimPrefix(r.Letter, "prestage.dlq."), fmt.Sprintf(".%s.%d.", r.Stream, r.StreamSeq))
	if replay != "" {
		return r.Letter
	}
	return fmt.Sprintf("%s/%d", r.Stream, r.StreamSeq)
}

// letterPrinter prints rows as they come.
type letterPrinter struct {
	w      world
	list   *jsonList // nil: text
	header bool      // is out
	wish   string    // what --dry-run does not do: redriven or purged
	counts map[string]int
}

func newLetterPrinter(w world, output, wish string) *letterPrinter {
	p := &letterPrinter{w: w, wish: wish, counts: map[string]int{}}
	if output == "json" {
		p.list = newJSONList(w.stdout)
	}
	return p
}

const letterLine = "%-18s %-19s %5s %5s %-14s %-34s %-24s %s\n"

// row lists a letter.
func (p *letterPrinter) row(r letterRow) error {
	if p.list != nil {
		return p.list.add(r)
	}
	if !p.header {
		p.header = true
		fmt.Fprintf(p.w.stdout, letterLine, "LETTER", "REASON", "AGE", "TRIES", "REDRIVEN AS", "SUBJECT", "EVENT", "ERROR")
	}
	as, age, text := "-", "-", r.Error
	if r.RedrivenSeq > 0 {
		as = fmt.Sprintf("%s/%d", r.Stream, r.RedrivenSeq)
	}
	if !r.Time.IsZero() {
		age = ageText(time.Since(r.Time))
	}
	if r.Damage != "" {
		text = "no letter: " + r.Damage
	}
	_, err := fmt.Fprintf(p.w.stdout, letterLine, visible(r.place()), cell(r.Reason, 19), age, fmt.Sprint(r.Attempts), cell(as, 14),
		cell(r.Subject, 34), cell(r.EventID, 24), cell(text, 100))
	return err
}

// done tells what came of a letter.
func (p *letterPrinter) done(r letterRow) error {
	p.counts[r.Result]++
	if p.list != nil {
		return p.list.add(r)
	}
	text := map[string]string{
		redriven:     fmt.Sprintf("redriven as %s/%d", r.Stream, r.RedrivenSeq),
		redrivenOnce: fmt.Sprintf("left alone: redriven before as %s/%d (--again sends it once more)", r.Stream, r.RedrivenSeq),
		gone:         "is gone: closed, purged or redriven meanwhile",
		failed:       "failed",
		purged:       "purged",
		dryRun:       "would be " + p.wish,
	}[r.Result]
	if r.Problem != "" {
		text += ": " + r.Problem
	}
	_, err := fmt.Fprintf(p.w.stdout, "%s (%s, event %s) %s\n", visible(r.place()), visible(r.Reason), visible(r.EventID), visible(text))
	return err
}

func (p *letterPrinter) end() error {
	if p.list != nil {
		return p.list.end()
	}
	return nil
}

// conclude ends the output. Letters that failed, and an interrupt, are an error.
func (p *letterPrinter) conclude(ctx context.Context, err error) error {
	err = errors.Join(err, p.end())
	var counts []string
	for _, result := range slices.Sorted(maps.Keys(p.counts)) {
		counts = append(counts, fmt.Sprintf("%d %s", p.counts[result], result))
	}
	summary := strings.Join(counts, ", ")
	if summary == "" {
		summary = "no letter"
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("dlq: interrupted after %s; call it again to go on", summary)
	case err != nil:
		return err
	case p.counts[failed] > 0:
		return fmt.Errorf("dlq: %s", summary)
	case p.list == nil:
		_, err = fmt.Fprintln(p.w.stdout, summary)
	}
	return err
}

// shownLetter is a letter with all that it holds.
type shownLetter struct {
	letterRow

	Hint          string      `json:"hint"`
	Headers       nats.Header `json:"headers"`                  // the event's own
	Payload       *string     `json:"payload,omitempty"`        // missing where it is no text, or lost
	PayloadBase64 []byte      `json:"payload_base64,omitempty"` // when it is no text
}

func showLetter(ctx context.Context, w world, m *mailbox, l found, asJSON bool) error {
	data, note := l.Data, ""
	if l.Omitted {
		var err error
		if data, err = m.Payload(ctx, l.Letter); err != nil {
			note = err.Error()
		} else {
			note = "left out of the letter, read from " + l.Stream
		}
	}
	row := describe(l)
	if asJSON {
		out := shownLetter{letterRow: row, Hint: dlq.Hint(l.Reason), Headers: l.Header}
		switch text := string(data); {
		case l.Omitted && data == nil:
			out.Problem = note
		case utf8.Valid(data):
			out.Payload = &text
		default:
			out.PayloadBase64 = data
		}
		return printJSON(w.stdout, out)
	}
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w.stdout, "%-10s %s\n", name, visible(value))
		}
	}
	field("letter", fmt.Sprintf("%s (%s/%d)", row.Letter, dlq.Stream, row.LetterSeq))
	field("damage", row.Damage)
	field("event", fmt.Sprintf("%s, source %q, %s/%d", row.EventID, row.Source, row.Stream, row.StreamSeq))
	field("subject", row.Subject)
	field("time", row.Time.Format(time.RFC3339Nano))
	field("reason", row.Reason)
	field("error", row.Error)
	field("attempts", fmt.Sprint(row.Attempts))
	field("hint", dlq.Hint(l.Reason))
	field("from", row.Parent)
	if row.Redrives > 0 {
		field("redriven", fmt.Sprintf("as %s/%d at %s, redrive %d", row.Stream, row.RedrivenSeq, row.RedrivenAt.Format(time.RFC3339), row.Redrives))
	}
	for _, name := range slices.Sorted(maps.Keys(l.Header)) {
		for _, v := range l.Header[name] {
			field("header", name+": "+v)
		}
	}
	field("payload", strings.TrimSpace(fmt.Sprintf("%d bytes %s", len(data), note)))
	for line := range strings.Lines(string(data)) {
		fmt.Fprintf(w.stdout, "  %s\n", visible(strings.TrimSuffix(line, "\n")))
	}
	fmt.Fprintln(w.stdout)
	return nil
}
