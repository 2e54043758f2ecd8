package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// uri waits for an object, or for all that a prefix has now.
func (x *waiter) uri(ctx context.Context, target string, ref object.Ref) waited {
	out := waited{Target: target, Outcome: "warm"}
	state := "nothing is on record; does an event name it?"
	err := func() error {
		if ref.IsPrefix() {
			return x.prefix(ctx, ref, &out, &state)
		}
		large, err := x.object(ctx, object.Attrs{Ref: ref}, &out, &state)
		if err == nil && !large {
			out.Outcome, out.Reason = "skipped", outcome.TooSmall
		}
		return err
	}()
	if err != nil {
		return out.ended(ctx, err, state)
	}
	return out
}

// prefix waits until there is something below ref, as for an object that is not
// there yet, and then for all of it. Only that is asked again and again: an event
// may name its objects in any way, so no key of the ledger would tell.
func (x *waiter) prefix(ctx context.Context, ref object.Ref, out *waited, state *string) error {
	rarer := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.Retry(func() error {
		err := x.listed(ctx, ref, out, state)
		if err == nil {
			return nil
		}
		if passes(err) || outcome.As(err).Reason == outcome.NotFound {
			*state = err.Error()
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(rarer, ctx))
}

// listed lists what there is, and waits for each that LOTA keeps.
func (x *waiter) listed(ctx context.Context, ref object.Ref, out *waited, state *string) error {
	large := 0
	sum, err := x.engine.Planner.Walk(ctx, prestage.Request{Prefix: ref, Complete: true, NoIndex: true, Seen: time.Now()}, func(i prestage.Item) error {
		if i.Skip != "" {
			return nil
		}
		large++
		_, err := x.object(ctx, i.Attrs, out, state)
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case len(sum.Problems) > 0:
		return sum.Problems[0]
	case large == 0:
		out.Outcome, out.Reason = "skipped", outcome.TooSmall
	}
	return nil
}

// object waits for a record of the version that is in the store. What is known
// of that version saves the HEAD where it is enough. Of an object that LOTA does
// not keep there is never a record: it is not large.
func (x *waiter) object(ctx context.Context, known object.Attrs, out *waited, state *string) (large bool, err error) {
	large = true
	err = x.ledger.Watch(ctx, known.Ref, func(e *dedupe.Entry) (bool, error) {
		switch {
		case e == nil:
			if known.ETag == "" {
				large = x.look(ctx, &known)
			}
			return !large, nil
		case time.Since(e.At) > x.cfg.DedupeTTL:
			*state = fmt.Sprintf("%s was filled at %s, which is longer ago than PRESTAGE_DEDUPE_TTL", known.Ref, e.At.Format(time.RFC3339))
			return false, nil
		case !x.enough(e.Verdict):
			*state = fmt.Sprintf("the fill of %s is known as %s only", known.Ref, e.Verdict)
			return false, nil
		}
		if !x.cmd.AnyVersion {
			current, why, err := x.current(ctx, known, *e)
			if err != nil || !current {
				*state = why
				return false, err
			}
		}
		if out.Verdict = outcome.Weaker(out.Verdict, e.Verdict); e.At.After(out.WarmAt) {
			out.WarmAt = e.At
		}
		return true, nil
	})
	return large, err
}

// lookTimeout bounds the look at an object that is not on record.
const lookTimeout = 30 * time.Second

// look asks the store once for what is not on record, and says whether LOTA would
// keep it. The version then saves the HEAD after its fill. Without an answer it is
// waited for all the same.
func (x *waiter) look(ctx context.Context, known *object.Attrs) (large bool) {
	if x.engine == nil || x.cmd.AnyVersion {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	answer, err := x.engine.Head(ctx, known.Ref)
	if err != nil {
		return true
	}
	known.Version = answer.Version
	return answer.Size > x.cfg.MinBytes || answer.Size == object.UnknownSize
}

// current says whether the version on record is the one that is there now, and
// if not, why.
func (x *waiter) current(ctx context.Context, known object.Attrs, e dedupe.Entry) (ok bool, why string, err error) {
	is := func(v object.Version) bool {
		return dedupe.Judge(e, dedupe.Claim{Version: v, Current: true}, time.Now(), x.cfg.DedupeTTL) == dedupe.Warm
	}
	if known.ETag != "" && is(known.Version) {
		return true, "", nil
	}
	answer, err := x.head(ctx, known.Ref)
	switch {
	case err != nil && outcome.As(err).Status == 404:
		return false, fmt.Sprintf("%s is on record as filled at %s, and is deleted", known.Ref, e.At.Format(time.RFC3339)), nil
	case err != nil:
		return false, fmt.Sprintf("%s is on record, but cannot be looked at: %v", known.Ref, err), err
	case !is(answer.Version):
		return false, fmt.Sprintf("%s was overwritten since it was filled at %s", known.Ref, e.At.Format(time.RFC3339)), nil
	}
	return true, "", nil
}

// head asks the store once, and again only while the store fails.
func (x *waiter) head(ctx context.Context, ref object.Ref) (prestage.Answer, error) {
	var answer prestage.Answer
	err := backoff.Retry(func() error {
		var err error
		answer, err = x.engine.Head(ctx, ref)
		if passes(err) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0)), ctx))
	return answer, err
}

// passes says that err may be over when the same is asked again.
func passes(err error) bool {
	return errors.Is(err, outcome.Transient) || errors.Is(err, outcome.Throttled) || errors.Is(err, outcome.Unreachable)
}
