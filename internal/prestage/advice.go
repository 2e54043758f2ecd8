package prestage

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prestage/prestage/internal/outcome"
)

const (
	maxAdvice     = 8 // lists that one request may cost
	adviceTimeout = 10 * time.Second
)

// advice finds out, where an object is missing for good, whether it was meant as a
// prefix and lacks the slash. It is told, and never guessed: nothing below it is
// filled.
type advice struct {
	*Planner
	given atomic.Int32
}

// about is err with a hint, if there is one.
func (a *advice) about(ctx context.Context, err *outcome.Error) *outcome.Error {
	if err.Reason != outcome.NotFound || err.Ref.Key == "" || err.Ref.IsPrefix() || a.given.Add(1) > maxAdvice {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, adviceTimeout)
	defer cancel()
	below := err.Ref
	below.Key += "/"
	if found, listErr := read(ctx, a.guard, "list", below, func(ctx context.Context) (bool, error) {
		return a.store.Any(ctx, below)
	}); listErr != nil || !found {
		return err // without it no less is wrong
	}
	hinted := *err
	hinted.Hint = fmt.Sprintf("no object has this key, but keys are below it; did you mean %s?", below)
	return &hinted
}
