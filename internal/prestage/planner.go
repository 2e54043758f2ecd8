package prestage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/rules"
	"github.com/prestage/prestage/internal/tracing"
)

// ReadTimeout bounds one page of a listing, one small GET, or one plain HEAD.
const ReadTimeout = time.Minute

// Planner expands Requests. It is safe for concurrent use.
type Planner struct {
	store    Catalogue
	guard    *Guard
	buckets  Buckets
	minBytes int64
	rulesNow func() *rules.Set
	cluster  string
	room     *room // what the events in hand may remember
	log      *slog.Logger
}

// PlannerConfig is what a Planner needs.
type PlannerConfig struct {
	Store    Catalogue
	Guard    *Guard
	Buckets  Buckets           // those that may be touched
	MinBytes int64             // objects not larger are skipped when their size is known
	Rules    func() *rules.Set // those that hold now; nil: there are none
	Cluster  string            // whose cache is warmed, for the rules
	Log      *slog.Logger
}

// NewPlanner checks c.
func NewPlanner(c PlannerConfig) (*Planner, error) {
	if c.Store == nil || c.Guard == nil || c.Log == nil || c.MinBytes < 0 {
		return nil, errors.New("planner: needs a store, a guard, a log and a size that is not negative")
	}
	if c.Rules == nil {
		c.Rules = func() *rules.Set { return nil }
	}
	return &Planner{
		store: c.Store, guard: c.Guard, buckets: c.Buckets, minBytes: c.MinBytes,
		rulesNow: c.Rules, cluster: c.Cluster, room: newRoom(maxRememberedInHand), log: c.Log,
	}, nil
}

// Walk calls yield with every item of the plan for req, one after the other, and
// returns what they came to. It holds one page of a listing and the next, not
// all of it. An error of yield ends the walk and is returned; every other error
// is an *outcome.Error. Problems in the Summary did not end the walk.
func (p *Planner) Walk(ctx context.Context, req Request, yield func(Item) error) (Summary, error) {
	w := &walk{Planner: p, req: req, rules: p.rulesNow(), yield: yield, advice: advice{Planner: p}}
	var err error
	switch {
	case len(req.Objects)+len(req.Removed) > 0 && req.Prefix.Bucket == "" && req.Manifest.Bucket == "":
		err = w.objects(ctx, req.Objects)
	case req.Prefix.Bucket != "" && len(req.Objects) == 0 && req.Manifest.Bucket == "":
		err = w.prefix(ctx)
	case req.Manifest.Bucket != "" && len(req.Objects) == 0 && req.Prefix.Bucket == "":
		err = w.manifest(ctx)
	default:
		err = &outcome.Error{
			Op: "plan", Class: outcome.Permanent, Reason: outcome.Malformed,
			Err: errors.New("want exactly one of objects, a prefix and a manifest"),
		}
	}
	if err == nil {
		w.checkTotals(w.found, w.sum)
	}
	return w.sum, err
}

// walk is one run of Walk.
type walk struct {
	*Planner
	req   Request
	rules *rules.Set // the same to the end
	yield func(Item) error
	sum   Summary
	found int64 // objects of the store, without what stands for a missing one

	advice advice // where the request is the last one
}

// item yields one object that exists, or is said to.
func (w *walk) item(i Item) error {
	w.judge(&i)
	w.found++
	w.sum.add(i)
	return w.yield(i)
}

// objects yields what an event names. All buckets are checked before anything is
// yielded.
func (w *walk) objects(ctx context.Context, attrs []object.Attrs) error {
	at := make(map[object.Ref]int, len(attrs))
	var items []Item
	for _, a := range attrs {
		if err := w.check(a.Ref); err != nil {
			return err
		}
		if a.Size <= 0 || a.Size > maxSize {
			a.Size = object.UnknownSize // some stores notify of 0 for every multipart upload
		}
		i, again := at[a.Ref]
		if !again {
			at[a.Ref] = len(items)
			items = append(items, Item{Attrs: a})
			continue
		}
		if order, ok := a.Sequencer.Compare(items[i].Sequencer); !ok || order >= 0 {
			items[i].Attrs = a // the later one, as far as that can be told
		}
	}
	if w.req.Notified && !w.req.NoIndex {
		return w.notified(ctx, items)
	}
	sizes := w.newSizer(w.item)
	for _, i := range items {
		if err := sizes.add(ctx, i); err != nil {
			return err
		}
	}
	return sizes.endOfAll(ctx)
}

// check refuses what is no object, or in no allowed bucket.
func (w *walk) check(ref object.Ref) error {
	if err := ref.Check(); err != nil {
		return &outcome.Error{Op: "plan", Class: outcome.Permanent, Reason: outcome.Malformed, Err: err}
	}
	if !w.buckets.Allow(ref.Bucket) {
		return &outcome.Error{
			Op: "plan", Ref: ref, Class: outcome.Permanent, Reason: outcome.BucketNotAllowed,
			Err:  fmt.Errorf("bucket %q is not allowed", ref.Bucket),
			Hint: "PRESTAGE_BUCKETS lists the buckets that may be warmed",
		}
	}
	return nil
}

// judge has i skipped where its name, its rule, or its size as far as that is
// known, says so.
func (w *walk) judge(i *Item) {
	if i.Skip != "" {
		return
	}
	rule := w.rule(i.Ref)
	if layout.Temporary(i.Key) || !rule.Keep.Wants(i.Key) {
		i.Skip = outcome.Excluded
		return
	}
	i.Skip, i.MaxBytes = rule.Skip(w.cluster, i.Key, i.Size, w.minBytes), 0
	if i.Size == object.UnknownSize {
		i.MaxBytes = rule.MaxBytes
	}
}

// rule is the one for an object, or for a prefix.
func (w *walk) rule(ref object.Ref) rules.Rule {
	return w.rules.For(w.req.Subject, ref.Bucket, ref.Key)
}

// elsewhere says that the rules have nothing at or below ref warmed in this
// cluster, and yields that.
func (w *walk) elsewhere(ref object.Ref) (bool, error) {
	if w.rules.Reach(w.cluster, w.req.Subject, ref.Bucket, ref.Key) {
		return false, nil
	}
	return true, w.instead(ref, outcome.Excluded)
}

// instead yields one item in place of what ref stands for.
func (w *walk) instead(ref object.Ref, why outcome.Reason) error {
	i := Item{Attrs: object.Attrs{Ref: ref, Size: object.UnknownSize}, Skip: why}
	w.sum.add(i)
	return w.yield(i)
}

// missing settles that nothing is at ref: it may come, or it was deleted since.
func (w *walk) missing(ref object.Ref, err *outcome.Error) error {
	if !w.req.MissingIsGone {
		return err
	}
	return w.instead(ref, outcome.Gone)
}

// checkTotals compares what was found with what was announced. More is fine.
func (w *walk) checkTotals(found int64, sum Summary) {
	switch {
	case found == 0: // missing has said so
	case found < w.req.TotalObjects:
		w.incomplete("%d objects of %d announced", found, w.req.TotalObjects)
	case sum.Unsized == 0 && sum.Bytes < w.req.TotalBytes:
		w.incomplete("%d bytes of %d announced", sum.Bytes, w.req.TotalBytes)
	}
}

func (w *walk) incomplete(format string, args ...any) {
	w.sum.Problems = append(w.sum.Problems, incomplete(w.req, format, args...))
}

// incomplete is the failure of a request that has less than it announces.
func incomplete(req Request, format string, args ...any) *outcome.Error {
	return &outcome.Error{
		Op: "plan", Ref: req.about(), Class: outcome.Failed, Reason: outcome.Incomplete, Err: fmt.Errorf(format, args...),
	}
}

// Get reads a small object of an allowed bucket whole. Errors are *outcome.Error.
func (p *Planner) Get(ctx context.Context, ref object.Ref, limit int64) ([]byte, error) {
	w := &walk{Planner: p}
	if err := w.check(ref); err != nil {
		return nil, err
	}
	return w.get(ctx, ref, limit)
}

// get reads a small object whole.
func (w *walk) get(ctx context.Context, ref object.Ref, limit int64) ([]byte, error) {
	return read(ctx, w.guard, "get", ref, func(ctx context.Context) ([]byte, error) {
		return w.store.Get(ctx, ref, limit)
	})
}

// read sends a request of a plan, with retries. It needs no permit: a walk has
// one such request under way, or two.
func read[T any](ctx context.Context, g *Guard, what string, ref object.Ref, op func(context.Context) (T, error)) (T, error) {
	began := time.Now()
	v, err := retry(ctx, ref, func() (T, error) {
		return send(ctx, ctx, g, Claim{}, ref, func(ctx context.Context) (T, error) {
			ctx, cancel := withTimeout(ctx, ReadTimeout)
			defer cancel()
			return op(ctx)
		})
	})
	tracing.Asked(ctx, what, began, err, slog.String("aws.s3.bucket", ref.Bucket), slog.String("aws.s3.key", ref.Key))
	return v, err
}

// withTimeout bounds one request. That it took too long may be the store's fault.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, &outcome.Error{
		Class: outcome.Transient, Reason: outcome.FillFailed, Err: timeoutError{fmt.Errorf("no answer within %s", d)},
	})
}
