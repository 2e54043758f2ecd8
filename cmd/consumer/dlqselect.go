package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/outcome"
)

// letterFilter picks letters; all that is given has to hold.
type letterFilter struct {
	Letters   []string      `arg:"" optional:"" name:"letter" help:"Letters: an event's sequence (42), stream and sequence (EVENTS/42), the letter's subject, PRESTAGE_DLQ/7, or an event id."`
	Reason    []string      `help:"Only letters of these reasons, comma-separated."`
	Bucket    string        `help:"Only letters whose event names a bucket that this glob matches."`
	Subject   string        `help:"Only letters whose event came on this subject; * and > as in NATS."`
	OlderThan time.Duration `help:"Only letters whose event is older, such as 24h."`
	NewerThan time.Duration `help:"Only letters whose event is younger."`
}

func (f letterFilter) check() error {
	for _, r := range f.Reason {
		if all := outcome.DeadLetterReasons(); !slices.Contains(all, outcome.Reason(r)) {
			return &exitError{exitUsage, fmt.Errorf("--reason=%q: want one of %s", r, joinReasons(all))}
		}
	}
	if _, err := path.Match(f.Bucket, ""); err != nil {
		return &exitError{exitUsage, fmt.Errorf(`--bucket=%q: want a glob, such as "ckpt-*"`, f.Bucket)}
	}
	if f.OlderThan < 0 || f.NewerThan < 0 {
		return &exitError{exitUsage, errors.New("--older-than and --newer-than: want a duration above 0, such as 24h")}
	}
	return nil
}

func joinReasons(reasons []outcome.Reason) string {
	var out []string
	for _, r := range reasons {
		out = append(out, string(r))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// found is a letter with what its event asks for.
type found struct {
	dlq.Letter
	content dlq.Content
}

func (f letterFilter) matches(l found, now time.Time) bool {
	age := now.Sub(l.EventTime)
	switch {
	case len(f.Reason) > 0 && !slices.Contains(f.Reason, string(l.Reason)):
	case f.Subject != "" && !app.Covered(l.EventSubject, []string{f.Subject}):
	case f.OlderThan > 0 && age < f.OlderThan:
	case f.NewerThan > 0 && age > f.NewerThan:
	case f.Bucket != "" && !slices.ContainsFunc(l.content.Buckets, func(b string) bool {
		ok, _ := path.Match(f.Bucket, b) // checked
		return ok
	}):
	default:
		return true
	}
	return false
}

// mailbox is the dead letters of the configured cluster.
type mailbox struct {
	*dlq.Box
	cfg   app.Config
	close func()

	// placesOnly: a number alone is an event's sequence, and never a letter's
	// own. Nothing is deleted on a guess.
	placesOnly bool
}

// openMailbox connects. It must be closed.
func openMailbox(ctx context.Context, w world) (*mailbox, error) {
	cfg, js, closeIt, err := w.jetStream()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	s, err := js.Stream(ctx, dlq.Stream)
	if err == nil {
		return &mailbox{Box: dlq.New(js, s, cfg.Cluster), cfg: cfg, close: closeIt}, nil
	}
	closeIt()
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("the stream %s does not exist: start prestage run once, it creates it", dlq.Stream)
	}
	return nil, fmt.Errorf("stream %s: %w", dlq.Stream, err)
}

// each calls visit with the letters that f picks, in the order of the stream
// unless f names them. A name that no letter has is an error, after the others
// have been visited.
func (m *mailbox) each(ctx context.Context, f letterFilter, visit func(found) error) error {
	now := time.Now()
	pick := func(l dlq.Letter) error {
		if l := (found{l, m.content(ctx, l)}); f.matches(l, now) {
			return visit(l)
		}
		return nil
	}
	if len(f.Letters) == 0 {
		return m.Each(ctx, nil, pick)
	}
	ids := map[string]bool{}  // whether a letter had it
	seen := map[string]bool{} // what was known already: a purged letter has no second name
	for _, name := range f.Letters {
		known, err := m.named(ctx, name, func(l dlq.Letter) error {
			seen[name], seen[l.Content().ID] = true, true
			return pick(l)
		})
		if err != nil {
			return err
		}
		if !known {
			ids[name] = false
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if err := m.Each(ctx, nil, func(l dlq.Letter) error {
		id := l.Content().ID
		if _, wanted := ids[id]; !wanted {
			return nil
		}
		ids[id] = true
		return pick(l)
	}); err != nil {
		return err
	}
	for _, name := range f.Letters {
		if had, asked := ids[name]; asked && !had && !seen[name] {
			return fmt.Errorf("no letter %s in cluster %s: closed, purged, or never written", visible(name), m.cfg.Cluster)
		}
	}
	return nil
}

// content is what l's event says. Which buckets it names only the payload tells,
// which may still be in the event's stream when l has left it out.
func (m *mailbox) content(ctx context.Context, l dlq.Letter) dlq.Content {
	out := l.Content()
	if !l.Omitted {
		return out
	}
	if data, err := m.Payload(ctx, l); err == nil {
		l.Data = data
		out.Buckets = l.Content().Buckets
	}
	return out
}

var (
	place  = regexp.MustCompile(`^([A-Za-z0-9_-]{1,128})/([0-9]{1,20})$`)
	number = regexp.MustCompile(`^[0-9]{1,20}$`)
)

// named visits the letters whose place name is; known is false when it is no
// place or none is there.
func (m *mailbox) named(ctx context.Context, name string, visit func(dlq.Letter) error) (known bool, err error) {
	stream, digits := "", ""
	switch at := place.FindStringSubmatch(name); {
	case at != nil:
		stream, digits = at[1], at[2]
	case number.MatchString(name):
		stream, digits = m.cfg.Stream, name
	case m.IsSubject(name):
		return m.on(ctx, visit, name)
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || seq == 0 { // an event id
		return false, nil
	}
	if stream != dlq.Stream {
		subject := dlq.Subject(m.cfg.Cluster, stream, seq)
		if known, err = m.on(ctx, visit, subject, subject+".>"); known || err != nil || stream != m.cfg.Stream {
			return known, err
		}
	}
	if stream != dlq.Stream && (m.placesOnly || name != digits) {
		return false, nil
	}
	l, err := m.Get(ctx, seq)
	if err != nil || l == nil {
		return false, err
	}
	return true, visit(*l)
}

func (m *mailbox) on(ctx context.Context, visit func(dlq.Letter) error, subjects ...string) (known bool, err error) {
	err = m.Each(ctx, subjects, func(l dlq.Letter) error {
		known = true
		return visit(l)
	})
	return known, err
}
