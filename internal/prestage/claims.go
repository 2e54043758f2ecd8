package prestage

import (
	"context"
	"log/slog"
	"slices"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/rules"
)

// maxKept is how many objects of a listing are kept until the checkpoint is known
// to be whole, S3's largest page; of a longer one the listing is read again.
const maxKept = 1000

// notice is what a store tells of objects that were written and removed, one by
// one. Nothing is remembered from one notice to the next: whether a checkpoint is
// complete is for the store to say, whose listings are consistent.
type notice struct {
	*walk
	own    map[object.Ref]bool // the objects that are told of
	held   []Item              // those of them that wait for the rest of their checkpoint
	claims []claimed           // each once
	known  map[claimed]bool    // the same
	whole  places              // of those that turned out to be
}

// claimed is a checkpoint that may have been completed.
type claimed struct {
	layout.Claim
	bucket string
	atomic bool // nobody else fills what it has
}

// notified yields what an event tells of, and all of the checkpoints that are
// complete by it.
func (w *walk) notified(ctx context.Context, items []Item) error {
	n := &notice{walk: w, own: make(map[object.Ref]bool, len(items)), known: make(map[claimed]bool), whole: make(places)}
	sizes := w.newSizer(n.told)
	for _, i := range items {
		n.own[i.Ref] = true
		n.claim(i.Ref, layout.Claims(i.Key, w.named(i.Ref)), w.policy(i.Ref) == rules.Atomic)
		if err := sizes.add(ctx, i); err != nil {
			return err
		}
	}
	if err := sizes.end(ctx); err != nil {
		return err
	}
	for _, ref := range w.req.Removed {
		if w.check(ref) == nil {
			n.claim(ref, layout.Removals(ref.Key, w.named(ref)), w.policy(ref) == rules.Atomic)
		}
	}
	for _, c := range n.claims {
		if err := n.complete(ctx, c); err != nil {
			return err
		}
	}
	for _, i := range n.held {
		if !n.whole.has(i.Ref) {
			i.Skip = outcome.AwaitsMarker
		}
		if err := w.item(i); err != nil {
			return err
		}
	}
	return nil
}

// told yields one of the objects that are told of, or holds it until it is known
// whether its checkpoint is whole.
func (n *notice) told(i Item) error {
	n.judge(&i)
	if i.Skip == "" && n.policy(i.Ref) == rules.Atomic && layout.Awaits(i.Key, n.named(i.Ref)) {
		n.held = append(n.held, i)
		return nil
	}
	return n.item(i)
}

// claim notes what an object may have completed, each checkpoint once. Where
// every object is filled on its own event, those are left out that no marker
// completes: there is nothing that waits for them.
func (n *notice) claim(ref object.Ref, claims []layout.Claim, atomic bool) {
	for _, c := range claims {
		c := claimed{Claim: c, bucket: ref.Bucket, atomic: atomic}
		if (c.Late && !atomic) || !n.rules.Reach(n.cluster, n.req.Subject, c.bucket, c.Prefix) {
			continue
		}
		c.Late = false
		if !n.known[c] {
			n.known[c] = true
			n.claims = append(n.claims, c)
		}
	}
}

// complete yields all of a checkpoint that is whole. That it is not yet is no
// failure: whatever it waits for has an event of its own.
func (n *notice) complete(ctx context.Context, c claimed) error {
	found, err := n.examine(ctx, c)
	if err != nil {
		return n.unexamined(ctx, c, err)
	}
	if !found.whole {
		return nil
	}
	this := make(places)
	this.add(found.ref(), found.Flat)
	use := func(a object.Attrs) error {
		if n.own[a.Ref] || !this.has(a.Ref) || n.whole.has(a.Ref) {
			return nil
		}
		return n.listed(a)
	}
	if found.more {
		err = n.pages(ctx, found.ref(), func(page Page) error { return each(page, use) })
	} else {
		err = each(Page{Objects: found.kept}, use)
	}
	n.whole.add(found.ref(), found.Flat)
	if c.Tracker != "" {
		n.whole.add(object.Ref{Bucket: c.bucket, Key: c.Tracker}, false)
	}
	return err
}

// examined is a claim that was looked into.
type examined struct {
	claimed                // what it comes to
	whole   bool           // nothing is missing
	kept    []object.Attrs // what the listing had,
	more    bool           // or a part of it
}

func (c claimed) ref() object.Ref { return object.Ref{Bucket: c.bucket, Key: c.Prefix} }

// examine lists what is claimed and holds it against the rule of its format.
func (n *notice) examine(ctx context.Context, c claimed) (examined, error) {
	tracked := c.Tracker != ""
	if tracked {
		to, err := n.track(ctx, c)
		if err != nil || to == "" {
			return examined{}, err
		}
		c.Claim = layout.Claim{Format: c.Format, Prefix: to}
	}
	out := examined{claimed: c}
	s := n.newSurvey(c.Check(tracked))
	defer s.done()
	if err := n.walk.look(ctx, c.bucket, s, s.check.Before()); err != nil || s.check.Unfinished() {
		return out, err
	}
	err := n.survey(ctx, c.ref(), s, func(a object.Attrs) error {
		if out.more = out.more || len(out.kept) == maxKept; !out.more {
			out.kept = append(out.kept, a)
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	shards, marks, err := n.verdict(ctx, c.bucket, s)
	if err != nil {
		return out, err
	}
	missing := slices.DeleteFunc([]string{shards, marks}, func(text string) bool { return text == "" })
	for _, p := range s.problems {
		if p.Class != outcome.Failed {
			return out, p
		}
		missing = append(missing, p.Error())
	}
	out.whole = s.check.Format() != "" && len(missing) == 0
	attrs := []slog.Attr{slog.String("uri", c.ref().String()), slog.String("format", string(s.check.Format()))}
	if out.whole {
		n.log.LogAttrs(ctx, slog.LevelInfo, "checkpoint is complete", attrs...)
		return out, nil
	}
	n.log.LogAttrs(ctx, slog.LevelDebug, "checkpoint is not complete yet", append(attrs, slog.Any("missing", missing))...)
	return out, nil
}

// track reads which directory a tracker names, "" when it names none.
func (n *notice) track(ctx context.Context, c claimed) (string, error) {
	text, found, err := n.small(ctx, object.Ref{Bucket: c.bucket, Key: c.Tracker})
	switch {
	case err != nil:
		return "", err
	case found:
		to, err := c.Named(text)
		if err != nil {
			n.log.LogAttrs(ctx, slog.LevelDebug, "tracker names no checkpoint",
				slog.String("uri", object.Ref{Bucket: c.bucket, Key: c.Tracker}.String()), slog.Any("error", err))
		}
		return to.Prefix, nil
	case !c.Newest:
		return "", nil
	}
	newest := ""
	err = n.pages(ctx, object.Ref{Bucket: c.bucket, Key: c.Prefix + layout.Iterations}, func(page Page) error {
		for _, a := range page.Objects {
			newest = layout.Newest(c.Prefix, a.Key, newest)
		}
		return nil
	})
	return newest, err
}

// unexamined decides about a claim that could not be looked into. Where every
// object is filled on its own event, a refusal to list only costs what no event
// told of.
func (n *notice) unexamined(ctx context.Context, c claimed, err error) error {
	e := outcome.As(err)
	switch {
	case e.Class == outcome.Interrupted:
		return err
	case e.Class == outcome.Failed, !c.atomic && (e.Class == outcome.Refused || e.Class == outcome.Permanent):
		n.log.LogAttrs(ctx, slog.LevelWarn, "checkpoint not looked at", slog.String("uri", c.ref().String()), slog.Any("error", err))
	case len(n.sum.Problems) < MaxFailures:
		n.sum.Problems = append(n.sum.Problems, e)
	}
	return nil
}
