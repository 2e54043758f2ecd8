package prestage

import (
	"context"
	"errors"
	"fmt"

	"github.com/prestage/prestage/internal/outcome"
)

// fits refuses a request whose plan is larger than the cache, before anything of
// it is filled: the later objects would drive out the earlier ones, and everybody
// else's. All that would be filled or is warm counts; sizes that nobody tells are
// asked for. The plan is walked for that, as far as it takes.
func (e *event) fits(begin context.Context) error {
	if e.cacheBytes == 0 {
		return nil
	}
	req := e.req
	req.AskSizes, req.NoIndex = true, !req.Notified // what an object completes counts
	tooLarge := errors.New("too large")
	var objects, bytes int64
	sum, err := e.planner.Walk(begin, req, func(i Item) error {
		if i.Skip == "" && i.Size > 0 {
			objects++
			bytes += i.Size
		}
		if bytes > e.cacheBytes {
			return tooLarge
		}
		return nil
	})
	switch {
	case errors.Is(err, tooLarge):
		return larger(req, e.cacheBytes, fmt.Sprintf("%d objects of it have %d bytes", objects, bytes))
	case req.TotalBytes > e.cacheBytes:
		return larger(req, e.cacheBytes, fmt.Sprintf("%d bytes are announced", req.TotalBytes))
	case errors.Is(err, outcome.Interrupted):
		return err
	case err == nil && sum.Fill.Unsized > 0 && len(sum.Problems) > 0: // it may be too large
		return sum.Problems[0]
	}
	return nil // what else is wrong is found again
}

func larger(req Request, cache int64, why string) error {
	return &outcome.Error{
		Op: "plan", Ref: req.about(), Class: outcome.Permanent, Reason: outcome.Unsupported,
		Err:  fmt.Errorf("larger than the cache: %s, it holds %d", why, cache),
		Hint: "PRESTAGE_CACHE_BYTES is what the cache holds, nodes × 1TiB",
	}
}
