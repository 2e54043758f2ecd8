package prestage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/rules"
)

// maxEmptyPages in a row are believed: a store may have just deleted keys there.
const maxEmptyPages = 100

// prefix yields everything below a prefix.
func (w *walk) prefix(ctx context.Context) error {
	prefix := w.req.Prefix
	switch {
	case prefix.Key == "" && !w.req.WholeBucket && !w.rule(prefix).WholeBucket:
		return &outcome.Error{
			Op: "plan", Ref: prefix, Class: outcome.Permanent, Reason: outcome.Unsupported,
			Err:  errors.New("a whole bucket is made hot only where a rule has whole_bucket"),
			Hint: "name a prefix, or call prestage warm --whole-bucket " + prefix.String(),
		}
	case !prefix.IsPrefix():
		return &outcome.Error{
			Op: "plan", Ref: prefix, Class: outcome.Permanent, Reason: outcome.Malformed,
			Err: errors.New(`a prefix ends in "/"`),
		}
	}
	if err := w.checkPrefix(prefix); err != nil {
		return err
	}
	if no, err := w.elsewhere(prefix); no {
		return err
	}

	if w.policy(prefix) == rules.Atomic && !w.req.NoIndex {
		return w.atomicPrefix(ctx, prefix)
	}
	s := w.newSurvey(layout.NewCheck(w.named(prefix), prefix.Key))
	defer s.done()
	err := w.survey(ctx, prefix, s, w.listed)
	if err != nil {
		return err
	}
	if w.found == 0 {
		return w.nothing(prefix)
	}
	return w.settled(ctx, prefix, s)
}

// atomicPrefix yields everything below a prefix if it is whole, else nothing.
func (w *walk) atomicPrefix(ctx context.Context, prefix object.Ref) error {
	s := w.newSurvey(layout.NewCheck(w.named(prefix), prefix.Key))
	defer s.done()
	var sum Summary
	if err := w.survey(ctx, prefix, s, func(a object.Attrs) error {
		sum.add(Item{Attrs: a})
		return nil
	}); err != nil {
		return err
	}
	if sum.Objects == 0 {
		return w.nothing(prefix)
	}
	if err := w.settled(ctx, prefix, s); err != nil || len(w.sum.Problems) > 0 {
		return err
	}
	if w.checkTotals(sum.Objects, sum); len(w.sum.Problems) > 0 {
		return nil
	}
	return w.pages(ctx, prefix, func(page Page) error { return each(page, w.listed) })
}

// listed yields an object of a listing.
func (w *walk) listed(a object.Attrs) error {
	return w.item(Item{Attrs: a, Current: true, Listed: true})
}

func (w *walk) nothing(prefix object.Ref) error {
	return w.missing(prefix, &outcome.Error{
		Op: "list", Ref: prefix, Class: outcome.Failed, Reason: outcome.NotFound,
		Err: errors.New("nothing is below the prefix"),
	})
}

// checkPrefix is check for what may be a whole bucket.
func (w *walk) checkPrefix(prefix object.Ref) error {
	if prefix.Key == "" {
		prefix.Key = "/" // any key does
	}
	return w.check(prefix)
}

// pages calls use with one page after the other, and reads the next one
// meanwhile.
func (w *walk) pages(ctx context.Context, prefix object.Ref, use func(Page) error) error {
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		page Page
		err  error
	}
	fetch := func(token string) <-chan result {
		c := make(chan result, 1)
		go func() {
			var r result
			defer func() { c <- r }()
			defer catch(w.log, prefix, func(err error) { r.err = err })
			r.page, r.err = w.list(ctx, prefix, token)
		}()
		return c
	}

	next := fetch("")
	defer func() {
		cancel()
		if next != nil {
			<-next
		}
	}()
	var token, last string
	empty := 0
	for next != nil {
		got := <-next
		next = nil
		if got.err != nil {
			return got.err
		}
		if got.page.Next != "" && got.page.Next == token {
			return badListing(prefix, "the same page comes again and again")
		}
		token = got.page.Next
		if empty++; len(got.page.Objects) > 0 {
			empty = 0
		}
		if empty > maxEmptyPages {
			return badListing(prefix, "page after page is empty")
		}
		for _, a := range got.page.Objects {
			if !strings.HasPrefix(a.Key, prefix.Key) || a.Key <= last {
				return badListing(prefix, fmt.Sprintf("key %q is out of place", a.Key))
			}
			last = a.Key
		}
		if token != "" {
			next = fetch(token)
		}
		if err := use(got.page); err != nil {
			return err
		}
	}
	return nil
}

// each calls use with every object of a page but the markers of folders, which
// are nobody's objects.
func each(page Page, use func(object.Attrs) error) error {
	for _, a := range page.Objects {
		if a.Size == 0 && strings.HasSuffix(a.Key, "/") {
			continue
		}
		if err := use(a); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) list(ctx context.Context, ref object.Ref, token string) (Page, error) {
	return read(ctx, w.guard, "list", ref, func(ctx context.Context) (Page, error) {
		return w.store.List(ctx, ref.Bucket, ref.Key, token)
	})
}

// badListing is the store's fault: nothing is missing for certain.
func badListing(prefix object.Ref, text string) error {
	return &outcome.Error{
		Op: "list", Ref: prefix, Class: outcome.Transient, Reason: outcome.FillFailed,
		Err: errors.New("the listing cannot be trusted: " + text),
	}
}
