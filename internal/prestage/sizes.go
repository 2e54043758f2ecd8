package prestage

import (
	"context"
	"errors"
	"sync"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// askAtOnce is how many sizes are asked for at once, if there are permits.
const askAtOnce = 64

// sizer passes items on to use, if the request says so after asking for the
// sizes that nobody told. It holds few of them at a time.
type sizer struct {
	*walk
	use   func(Item) error
	claim Claim
	some  []Item
}

func (w *walk) newSizer(use func(Item) error) *sizer {
	return &sizer{walk: w, use: use, claim: Claim{Flow: w.guard.limiter.NewFlow(w.req.Priority)}}
}

func (s *sizer) add(ctx context.Context, i Item) error {
	if !s.req.AskSizes {
		return s.use(i)
	}
	if s.some = append(s.some, i); len(s.some) < askAtOnce {
		return nil
	}
	return s.end(ctx)
}

// end passes on those that it holds.
func (s *sizer) end(ctx context.Context) error {
	some := s.some
	s.some = some[:0]
	errs := make([]error, len(some))
	var asking sync.WaitGroup
	for n := range some {
		s.judge(&some[n])
		if some[n].Skip == "" && some[n].Size == object.UnknownSize {
			asking.Go(func() {
				defer catch(s.log, some[n].Ref, func(err error) { errs[n] = err })
				errs[n] = s.size(ctx, s.claim, &some[n])
			})
		}
	}
	asking.Wait()
	for n, i := range some {
		if err := s.sized(ctx, i, errs[n]); err != nil {
			return err
		}
	}
	return nil
}

// endOfAll is end for those who plan nothing else: where nothing is left that
// could be planned, what is wrong with the first one is the plan's error.
func (s *sizer) endOfAll(ctx context.Context) error {
	if err := s.end(ctx); err != nil {
		return err
	}
	if s.found == 0 && len(s.sum.Problems) > 0 {
		return s.sum.Problems[0]
	}
	return nil
}

// size sends a plain HEAD, which fills nothing and changes no tier. What it tells
// is the version that is there now.
func (w *walk) size(ctx context.Context, c Claim, i *Item) error {
	a, err := retry(ctx, i.Ref, func() (Answer, error) {
		return w.guard.plainHead(ctx, ctx, c, i.Ref, w.store.Head)
	})
	if err != nil {
		return err // the size stays unknown
	}
	a.Sequencer = i.Sequencer // which only an event tells
	i.Version, i.Size, i.Archived, i.Current = a.Version, a.Size, a.Archived, true
	return nil
}

// sized passes on i, whose size was asked for with the result err.
func (s *sizer) sized(ctx context.Context, i Item, err error) error {
	e := outcome.As(err)
	switch {
	case err == nil:
		return s.use(i)
	case errors.Is(err, outcome.Interrupted):
		return err
	case e.Reason == outcome.NotFound && s.req.MissingIsGone:
		i.Skip = outcome.Gone
		return s.use(i)
	}
	if s.req.Last {
		e = s.advice.about(ctx, e)
	}
	if len(s.sum.Problems) < MaxFailures {
		s.sum.Problems = append(s.sum.Problems, e)
	}
	if e.Reason == outcome.NotFound {
		return nil
	}
	return s.use(i) // its size stays unknown
}
