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

// sized yields items after asking for the sizes that nobody told.
func (w *walk) sized(ctx context.Context, items []Item) error {
	claim := Claim{Flow: w.guard.limiter.NewFlow(w.req.Priority)}
	for len(items) > 0 {
		some := items[:min(askAtOnce, len(items))]
		items = items[len(some):]
		errs := make([]error, len(some))
		var asking sync.WaitGroup
		for n := range some {
			w.judge(&some[n])
			if some[n].Skip == "" && some[n].Size == object.UnknownSize {
				asking.Go(func() {
					defer catch(w.log, some[n].Ref, func(err error) { errs[n] = err })
					errs[n] = w.size(ctx, claim, &some[n])
				})
			}
		}
		asking.Wait()
		for n, i := range some {
			if err := w.sizedItem(i, errs[n]); err != nil {
				return err
			}
		}
	}
	if w.found == 0 && len(w.sum.Problems) > 0 {
		return w.sum.Problems[0] // there is nothing to plan
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
	i.Version, i.Size, i.Current = a.Version, a.Size, true
	return nil
}

// sizedItem yields i, whose size was asked for with the result err.
func (w *walk) sizedItem(i Item, err error) error {
	e := outcome.As(err)
	switch {
	case err == nil:
		return w.item(i)
	case errors.Is(err, outcome.Interrupted):
		return err
	case e.Reason == outcome.NotFound && w.req.MissingIsGone:
		i.Skip = outcome.Gone
		return w.item(i)
	}
	if len(w.sum.Problems) < MaxFailures {
		w.sum.Problems = append(w.sum.Problems, e)
	}
	if e.Reason == outcome.NotFound {
		return nil
	}
	return w.item(i) // its size stays unknown
}
