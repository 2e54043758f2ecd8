package prestage

import (
	"context"
	"errors"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/rules"
)

// survey is what a listing shows of the checkpoint below a prefix.
type survey struct {
	check    *layout.Check
	shards   shardCheck
	problems []*outcome.Error // with what was to be read
}

func (w *walk) newSurvey(check *layout.Check) *survey {
	return &survey{check: check, shards: shardCheck{limit: maxRemembered, room: w.room}}
}

// done frees what the survey remembers.
func (s *survey) done() { s.shards.done() }

// survey calls use with everything below a prefix and has s look at it. What a
// writer removes when it has written everything is asked for first: whatever
// was there then is in the listing.
func (w *walk) survey(ctx context.Context, prefix object.Ref, s *survey, use func(object.Attrs) error) error {
	if err := w.look(ctx, prefix.Bucket, s, s.check.Before()); err != nil {
		return err
	}
	return w.pages(ctx, prefix, func(page Page) error {
		return each(page, func(a object.Attrs) error {
			s.check.See(a.Key)
			s.shards.saw(a.Key)
			if isIndex(a) && s.check.Of(a.Key) && !w.req.NoIndex {
				if err := w.readIndex(ctx, s, a.Ref); err != nil {
					return err
				}
			}
			return use(a)
		})
	})
}

// settled writes what came of a survey of the request's own prefix into the
// Summary.
func (w *walk) settled(ctx context.Context, prefix object.Ref, s *survey) error {
	w.sum.Layout = s.check.Format()
	if w.req.NoIndex {
		return nil
	}
	shards, marks, err := w.verdict(ctx, prefix.Bucket, s)
	if err != nil {
		return err
	}
	w.sum.Judged = true
	w.sum.Problems = append(w.sum.Problems, s.problems...)
	if w.req.Stated && w.named(prefix) == "" && w.policy(prefix) != rules.Atomic {
		w.sum.Doubt, marks = marks, ""
	}
	for _, text := range []string{shards, marks} {
		if text != "" {
			w.incomplete("%s", text)
		}
	}
	return nil
}

// verdict says what the checkpoint misses, after a survey: shards that an index
// names, and what the format's rule wants.
func (w *walk) verdict(ctx context.Context, bucket string, s *survey) (shards, marks string, err error) {
	if err := w.look(ctx, bucket, s, s.check.After()); err != nil {
		return "", "", err
	}
	return s.shards.missing(), s.check.Missing(), nil
}

// look answers what the layout wants to know beside the listing.
func (w *walk) look(ctx context.Context, bucket string, s *survey, looks []layout.Look) error {
	if w.req.NoIndex {
		return nil
	}
	for _, l := range looks {
		if l.Absent != "" {
			page, err := w.list(ctx, object.Ref{Bucket: bucket, Key: l.Absent}, "")
			if err != nil {
				return err
			}
			s.check.Answer(l, len(page.Objects) > 0, nil)
			continue
		}
		text, found, err := w.small(ctx, object.Ref{Bucket: bucket, Key: l.Text})
		if err != nil {
			return err
		}
		s.check.Answer(l, found, text)
	}
	return nil
}

// small reads a small text. One that is too long to be one is there, but empty.
func (w *walk) small(ctx context.Context, ref object.Ref) (text []byte, found bool, err error) {
	text, err = w.get(ctx, ref, layout.MaxTracker)
	switch {
	case err == nil:
		return text, true, nil
	case errors.Is(err, outcome.Failed): // not found
		return nil, false, nil
	case errors.Is(err, outcome.Permanent):
		return nil, true, nil
	}
	return nil, false, err
}

// readIndex has the shards of a listed index checked. One that cannot be read
// makes the prefix incomplete, since nobody can load what it describes.
func (w *walk) readIndex(ctx context.Context, s *survey, ref object.Ref) error {
	data, err := w.get(ctx, ref, maxManifestBytes)
	if err == nil {
		var m manifest
		if m, err = parseManifest(data, ref, w.check); err == nil && m.shards == nil {
			err = errors.New("has no weight_map")
		}
		if err == nil {
			s.shards.expect(ref, m.shards)
			return nil
		}
		s.problems = append(s.problems, incomplete(w.req, "index %q: %v", ref, err))
		return nil
	}
	switch {
	case errors.Is(err, outcome.Interrupted):
		return err
	case errors.Is(err, outcome.Failed), errors.Is(err, outcome.Permanent): // gone, or grown, since it was listed
		s.problems = append(s.problems, incomplete(w.req, "index %q: %v", ref, err))
	default:
		s.problems = append(s.problems, outcome.As(err))
	}
	return nil
}

// named is the format that is said to be at ref: by the rules, else by the event.
func (w *walk) named(ref object.Ref) layout.Format {
	for _, name := range []string{w.rule(ref).Format, w.req.Layout} {
		if f, _ := layout.Parse(name); f != "" {
			return f
		}
	}
	return ""
}

func (w *walk) policy(ref object.Ref) rules.Policy { return w.rule(ref).Policy }
