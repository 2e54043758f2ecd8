package consumer

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/dlq"
)

// What the original headers may take in a letter. Real ones have a few hundred
// bytes; the payload must still fit beside them in a small maximum.
const (
	maxOriginalHeaders = 32 << 10
	maxErrorHeader     = 1 << 10
)

// letter is the dead letter of a message: its payload and headers, and why.
// limit is the largest message that the server takes, headers included; a
// payload that would not fit is left out and said to be. Headers with which the
// server would act (Nats-…), and ones that could be taken for ours, are kept
// under another name.
func letter(d *delivery, r Receipt, subject string, limit int) *nats.Msg {
	m := nats.NewMsg(subject)
	room := min(maxOriginalHeaders, limit/2)
	for _, name := range slices.Sorted(maps.Keys(d.Header)) {
		if !headerName(name) {
			continue
		}
		kept := name
		if hasFold(name, "Nats-") || hasFold(name, "Prestage-") {
			kept = dlq.OriginalPrefix + name
		}
		for _, v := range d.Header[name] {
			v = printable(v, maxOriginalHeaders)
			if room -= len(kept) + len(v) + len(": \r\n"); room < 0 {
				break
			}
			m.Header[kept] = append(m.Header[kept], v)
		}
	}
	m.Header.Set(dlq.HeaderReason, string(r.Reason))
	m.Header.Set(dlq.HeaderError, printable(r.Error, maxErrorHeader))
	m.Header.Set(dlq.HeaderAttempts, strconv.Itoa(r.Attempts))
	m.Header.Set(dlq.HeaderStream, d.Stream)
	m.Header.Set(dlq.HeaderSubject, printable(d.Subject, maxErrorHeader))
	m.Header.Set(dlq.HeaderSequence, strconv.FormatUint(d.Seq, 10))
	m.Header.Set(dlq.HeaderTime, stamp(d.Time))
	m.Data = d.Data
	if headerSize(m.Header)+len(d.Data) > limit {
		omitPayload(m, r, limit)
	}
	return m
}

// omitPayload leaves out the payload. What it says of the event's id and source is
// kept where that fits, and is no other afterwards.
func omitPayload(m *nats.Msg, r Receipt, limit int) {
	m.Header.Set(dlq.HeaderPayload, dlq.PayloadOmitted)
	m.Header.Set(dlq.HeaderDigest, dlq.Digest(m.Data))
	m.Data = nil
	for _, h := range [...]struct{ name, value string }{{dlq.HeaderID, r.EventID}, {dlq.HeaderSource, r.Source}} {
		fits := headerSize(m.Header)+len(h.name)+len(h.value)+len(": \r\n") <= limit
		if h.value != "" && h.value == strings.TrimSpace(printable(h.value, maxErrorHeader)) && fits {
			m.Header.Set(h.name, h.value)
		}
	}
}

// stamp writes a stream's timestamp so that equal times have equal text.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// headerSize is more than what h takes on the wire: "NATS/1.0", the lines, and
// room for what publishing adds (the expected stream and sequence), and
// redriving (the mark).
func headerSize(h nats.Header) int {
	n := 512
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

// headerName says that name can be written as a header's.
func headerName(name string) bool {
	if name == "" || len(name) > 256 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return true
}

func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// printable is s without control characters or broken UTF-8, cut to limit
// bytes, so that no text from outside can end a header or a log line.
func printable(s string, limit int) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || (c >= 0x7f && c < 0xa0) || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
