package dlq

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Letter is one dead letter.
type Letter struct {
	Subject string
	Seq     uint64    // of its newest copy in PRESTAGE_DLQ; marking changes it
	Stored  time.Time // that copy

	Reason   outcome.Reason
	Error    string
	Attempts int
	Mark     Mark
	Parent   string // subject of the letter that the event was redriven from, "" mostly

	// The event.
	Stream       string
	EventSeq     uint64
	EventTime    time.Time // the stream's timestamp
	EventSubject string
	Header       nats.Header // the event's own, without those of the server and of prestage
	Data         []byte      // nil when Omitted
	Omitted      bool        // the payload did not fit; it is where the event was

	// Damage says why this is no letter, "" mostly. Anybody who may publish to
	// the stream may have written it.
	Damage string

	raw nats.Header
}

// Mark says how often a letter was redriven, and how the last time.
type Mark struct {
	Count int
	Seq   uint64 // of the redriven event in its stream
	At    time.Time
}

// read makes a Letter of a message of PRESTAGE_DLQ.
func read(subject string, seq uint64, stored time.Time, h nats.Header, data []byte) Letter {
	l := Letter{
		Subject: subject, Seq: seq, Stored: stored.UTC(),
		Reason: outcome.Reason(h.Get(HeaderReason)), Error: h.Get(HeaderError),
		Parent: h.Get(OriginalPrefix + headerOf),
		Stream: h.Get(HeaderStream), EventSubject: h.Get(HeaderSubject),
		Header: own(h), Data: data, Omitted: h.Get(HeaderPayload) == PayloadOmitted,
		raw: h,
	}
	var errs [3]error
	l.Attempts, _ = strconv.Atoi(h.Get(HeaderAttempts)) // for people only
	l.EventSeq, errs[0] = strconv.ParseUint(h.Get(HeaderSequence), 10, 64)
	l.EventTime, errs[1] = parseTime(h.Get(HeaderTime))
	l.Mark, errs[2] = readMark(h)
	switch err := errors.Join(errs[:]...); {
	case err != nil:
		l.Damage = strings.ReplaceAll(err.Error(), "\n", "; ")
	case !slices.Contains(outcome.DeadLetterReasons(), l.Reason):
		l.Damage = fmt.Sprintf("%s is %.40q, which is no reason of a dead letter", HeaderReason, string(l.Reason))
	case l.Stream == "" || l.EventSubject == "":
		l.Damage = HeaderStream + " or " + HeaderSubject + " is missing"
	}
	return l
}

func readMark(h nats.Header) (m Mark, err error) {
	if h.Get(headerRedrives) == "" {
		return m, nil
	}
	if m.Count, err = strconv.Atoi(h.Get(headerRedrives)); err != nil {
		return m, err
	}
	if m.Seq, err = strconv.ParseUint(h.Get(headerRedrivenAs), 10, 64); err != nil {
		return m, err
	}
	m.At, err = parseTime(h.Get(headerRedrivenAt))
	return m, err
}

// parseTime takes only what can be written as JSON: a year of four digits, in
// UTC too.
func parseTime(s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, s)
	if at = at.UTC(); err == nil && (at.Year() < 0 || at.Year() > 9999) {
		return time.Time{}, fmt.Errorf("%q is no time of a message", s)
	}
	return at, err
}

// same says that l and m are copies of one letter.
func (l Letter) same(m Letter) bool { return l.Subject == m.Subject && l.EventTime.Equal(m.EventTime) }

// Content is what a letter's event says.
type Content struct {
	ID, Source string   // an omitted payload may have taken them along: ID is then "" unless a header has it
	Buckets    []string // that the event names, each once, sorted
}

// Content decodes the event. ID and Source are known even when it cannot be
// read.
func (l Letter) Content() Content {
	// Which of the two kinds plain JSON is does not matter here.
	ev, _ := events.Decode(events.Message{
		Stream: l.Stream, Seq: l.EventSeq, Time: l.EventTime, Subject: l.EventSubject,
		Kind: events.KindCheckpoint, Header: l.Header, Data: l.Data, WholeBucket: true,
	})
	if ev.Source == "" && ev.ID == fmt.Sprintf("%s/%d", l.Stream, l.EventSeq) {
		ev.ID = l.root()
		if l.Omitted {
			ev.ID, ev.Source = l.raw.Get(HeaderID), l.raw.Get(HeaderSource)
		}
	}
	names := map[string]bool{}
	for _, ref := range []object.Ref{ev.Prefix, ev.Manifest} {
		if ref.Bucket != "" {
			names[ref.Bucket] = true
		}
	}
	for i := range ev.Objects {
		names[ev.Objects[i].Bucket] = true
	}
	return Content{ID: ev.ID, Source: ev.Source, Buckets: slices.Sorted(maps.Keys(names))}
}

// root is the event that was redriven first, as <stream>/<seq>. It is the id of
// an event that has none of its own.
func (l Letter) root() string {
	if root := l.raw.Get(OriginalPrefix + headerRoot); isRoot(root) {
		return root
	}
	return fmt.Sprintf("%s/%d", l.Stream, l.EventSeq)
}

func isRoot(s string) bool {
	_, _, ok := cutRoot(s)
	return ok
}

func cutRoot(s string) (stream string, seq uint64, ok bool) {
	stream, number, _ := strings.Cut(s, "/")
	seq, err := strconv.ParseUint(number, 10, 64)
	return stream, seq, err == nil && stream != "" && len(stream) <= 255 && !strings.ContainsFunc(stream, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`.*>/\`, c)
	})
}

// Root says what event a redriven one was at first. An event without an id of
// its own keeps the id that it then had.
func Root(h nats.Header) (stream string, seq uint64, ok bool) { return cutRoot(h.Get(headerRoot)) }

// carries says that an event of the stream is the letter's own, published anew.
func (l Letter) carries(subject string, h nats.Header, data []byte) bool {
	return subject == l.EventSubject && l.holds(data) && equalHeaders(l.Header, own(h))
}

// holds says that data is the letter's payload.
func (l Letter) holds(data []byte) bool {
	if l.Omitted {
		return l.raw.Get(HeaderDigest) == Digest(data)
	}
	return bytes.Equal(l.Data, data)
}

// Digest is what a letter keeps of a payload that it omits.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func equalHeaders(a, b nats.Header) bool {
	return maps.EqualFunc(a, b, slices.Equal)
}
