package prestage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// maxEmptyPages in a row are believed: a store may have just deleted keys there.
const maxEmptyPages = 100

// prefix yields everything below a prefix.
func (w *walk) prefix(ctx context.Context) error {
	prefix := w.req.Prefix
	switch {
	case prefix.Key == "" && !w.req.WholeBucket:
		return &outcome.Error{
			Op: "plan", Ref: prefix, Class: outcome.Permanent, Reason: outcome.Unsupported,
			Err:  errors.New("a whole bucket is not made hot by an event"),
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

	shards := shardCheck{limit: maxRemembered, room: w.room}
	defer shards.done()
	err := w.pages(ctx, func(page Page) error {
		for _, a := range page.Objects {
			if a.Size == 0 && strings.HasSuffix(a.Key, "/") {
				continue // a marker of a folder, no object of anybody
			}
			shards.saw(a.Key)
			if isIndex(a) && !w.req.NoIndex {
				if err := w.readIndex(ctx, &shards, a.Ref); err != nil {
					return err
				}
			}
			if err := w.item(Item{Attrs: a, Current: true, Listed: true}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if w.found == 0 {
		return w.missing(prefix, &outcome.Error{
			Op: "list", Ref: prefix, Class: outcome.Failed, Reason: outcome.NotFound,
			Err: errors.New("nothing is below the prefix"),
		})
	}
	if text := shards.missing(); text != "" {
		w.incomplete("%s", text)
	}
	return nil
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
func (w *walk) pages(ctx context.Context, use func(Page) error) error {
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
			defer catch(w.log, w.req.Prefix, func(err error) { r.err = err })
			r.page, r.err = w.list(ctx, token)
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
			return w.badListing("the same page comes again and again")
		}
		token = got.page.Next
		if empty++; len(got.page.Objects) > 0 {
			empty = 0
		}
		if empty > maxEmptyPages {
			return w.badListing("page after page is empty")
		}
		for _, a := range got.page.Objects {
			if !strings.HasPrefix(a.Key, w.req.Prefix.Key) || a.Key <= last {
				return w.badListing(fmt.Sprintf("key %q is out of place", a.Key))
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

func (w *walk) list(ctx context.Context, token string) (Page, error) {
	ref := w.req.Prefix
	return read(ctx, w.guard, ref, func(ctx context.Context) (Page, error) {
		return w.store.List(ctx, ref.Bucket, ref.Key, token)
	})
}

// badListing is the store's fault: nothing is missing for certain.
func (w *walk) badListing(text string) error {
	return &outcome.Error{
		Op: "list", Ref: w.req.Prefix, Class: outcome.Transient, Reason: outcome.FillFailed,
		Err: errors.New("the listing cannot be trusted: " + text),
	}
}

// readIndex has the shards of a listed index checked. One that cannot be read
// makes the prefix incomplete, since nobody can load what it describes.
func (w *walk) readIndex(ctx context.Context, shards *shardCheck, ref object.Ref) error {
	data, err := w.get(ctx, ref, maxManifestBytes)
	switch {
	case errors.Is(err, outcome.Interrupted):
		return err
	case errors.Is(err, outcome.Failed), errors.Is(err, outcome.Permanent): // gone, or grown, since it was listed
		w.incomplete("index %q: %v", ref, err)
		return nil
	case err != nil:
		w.sum.Problems = append(w.sum.Problems, outcome.As(err))
		return nil
	}
	m, err := parseManifest(data, ref, w.check)
	switch {
	case err != nil:
		w.incomplete("index %q: %v", ref, err)
	case m.shards == nil:
		w.incomplete("index %q: has no weight_map", ref)
	default:
		shards.expect(ref, m.shards)
	}
	return nil
}
