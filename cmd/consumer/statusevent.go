package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/status"
)

// maxObjectLines is how many objects of an event are printed. JSON has more.
const maxObjectLines = 100

// eventText is the story of an event: what is under way, its receipts, its
// letters, then what each message names and how that stands.
func eventText(e status.Event) string {
	var b strings.Builder
	if !e.Known() {
		fmt.Fprintf(&b, "event %s: nothing is known yet\n", visible(e.EventID))
	}
	for _, t := range e.Tasks {
		fmt.Fprintf(&b, "%s/%d is being filled on the %s lane, delivered %s ago; so far %s\n", cell(t.Stream, 80), t.StreamSeq, cell(t.Lane, 20),
			ageText(time.Since(t.Received)), countsText(t.Objects.Total, t.Objects.Filled, t.Objects.AlreadyWarm, t.Objects.Skipped, t.Objects.Failed))
	}
	for _, r := range e.Receipts {
		printReceipt(&b, r)
	}
	for _, l := range e.Letters {
		fmt.Fprintf(&b, "dead letter %s", visible(l.Letter))
		if l.Redrives > 0 {
			fmt.Fprintf(&b, ", redriven as sequence %d", l.RedrivenSeq)
		}
		b.WriteByte('\n')
	}
	for _, m := range e.Messages {
		printMessage(&b, m)
	}
	return b.String()
}

func countsText(total, filled, warm, skipped, failed int) string {
	return fmt.Sprintf("%d objects: %d filled, %d already warm, %d skipped, %d failed", total, filled, warm, skipped, failed)
}

// field is a line below a heading.
func field(w io.Writer, name, format string, args ...any) {
	fmt.Fprintf(w, "  %-16s %s\n", name, fmt.Sprintf(format, args...))
}

func printReceipt(w io.Writer, r consumer.Receipt) {
	fmt.Fprintf(w, "%s\n", receiptText(r))
	at := func(name string, at time.Time) {
		if !at.IsZero() {
			field(w, name, "%s", at.Format(time.RFC3339))
		}
	}
	field(w, "source", "%q", visible(r.Source))
	at("stream had it", r.StreamTime)
	at("first delivered", r.Received)
	at("refused since", r.FirstRefusal)
	at("next attempt", r.RetryAt)
	at("warm", r.WarmAt)
	field(w, "work", "%d attempts; %s; %s", r.Attempts,
		countsText(r.Objects.Total, r.Objects.Filled, r.Objects.AlreadyWarm, r.Objects.Skipped, r.Objects.Failed), byteText(r.Bytes))
	for _, f := range r.Failures {
		field(w, "failed", "%s: %s", visible(f.URI), visible(f.Error))
	}
}

func printMessage(w io.Writer, m status.Message) {
	fmt.Fprintf(w, "%s/%d in the stream", cell(m.Stream, 80), m.StreamSeq)
	if m.Subject != "" {
		fmt.Fprintf(w, " since %s: %d bytes on %s", m.Time.Format(time.RFC3339), m.Bytes, cell(m.Subject, 200))
	}
	if m.Format != "" {
		fmt.Fprintf(w, ", read as %s", cell(m.Format, 40))
	}
	fmt.Fprintln(w)
	if m.Names != "" {
		field(w, "names", "%s", visible(m.Names))
	}
	if m.Problem != "" {
		field(w, "but", "%s", visible(m.Problem))
	}
	for i, o := range m.Objects {
		if i == maxObjectLines {
			field(w, "", "and %d objects more, which --output json has", len(m.Objects)-i)
			break
		}
		field(w, string(o.State), "%s", objectText(o))
	}
	if m.More {
		field(w, "", "and more than these %d", len(m.Objects))
	}
}

func objectText(o status.Object) string {
	text := visible(o.URI)
	if o.Size != object.UnknownSize {
		text += ", " + byteText(o.Size)
	}
	switch {
	case o.State == status.Skipped:
		text += ": " + string(o.Reason)
	case o.Error != "":
		text += ": " + visible(o.Error)
	case !o.FilledAt.IsZero():
		text += fmt.Sprintf(", asked for at %s (%s)", o.FilledAt.UTC().Format(time.RFC3339), o.Verdict)
	}
	return text
}
