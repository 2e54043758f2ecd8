package prestage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Guard decides when a request may be sent, and what its failure says of the
// endpoint and the bucket. All requests to the store pass one Guard.
type Guard struct {
	endpoint *Endpoint
	limiter  *Limiter
	buckets  *bucketWatch
}

// NewGuard returns a Guard that asks silent buckets with head.
func NewGuard(endpoint *Endpoint, limiter *Limiter, head BucketHeader) *Guard {
	g := &Guard{endpoint: endpoint, limiter: limiter}
	endpoint.onReturn(limiter.restart)
	silent := func(ctx context.Context, bucket string) *outcome.Error {
		err := head.HeadBucket(ctx, bucket)
		if err == nil || outcome.As(err).Status != 0 || errors.Is(ctx.Err(), context.Canceled) {
			return nil
		}
		silent := *outcome.As(err)
		switch {
		case silent.Class == outcome.Refused:
			return &silent // nothing was sent
		case ctx.Err() != nil:
			silent.Err = fmt.Errorf("no answer within %s", askTimeout)
		}
		// The question's time may be up: the dial has one of its own.
		return endpoint.explain(context.WithoutCancel(ctx), &silent)
	}
	g.buckets = newBucketWatch(limiter, silent, func(ctx context.Context, bucket string) bool {
		err := head.HeadBucket(ctx, bucket)
		return errors.Is(err, outcome.Refused) && outcome.As(err).Status != 0
	})
	return g
}

// Refusing lists the buckets that refuse us, whose requests are held back.
func (g *Guard) Refusing() []Refusing { return g.buckets.refusing() }

// Load is how many requests are under way, how many may be now, and how many at
// most.
func (g *Guard) Load() (inFlight, limit, ceiling int) {
	return g.limiter.InFlight(), g.limiter.Limit(), g.limiter.Ceiling()
}

// plainHead asks the store what is there, without filling anything.
func (g *Guard) plainHead(ctx, start context.Context, c Claim, ref object.Ref,
	head func(context.Context, object.Ref) (Answer, error),
) (Answer, error) {
	return send(ctx, start, g, c, ref, func(ctx context.Context) (Answer, error) {
		ctx, cancel := withTimeout(ctx, ReadTimeout)
		defer cancel()
		a, err := head(ctx, ref)
		if err == nil {
			g.limiter.headed(a.Latency)
		}
		return a, err
	})
}

// send has op send one request for ref. It waits for the endpoint, for the
// bucket and, unless c is zero, for a permit, none of which it begins or
// goes on with once start has ended; ctx bounds the request itself. start must
// end when ctx does.
func send[T any](ctx, start context.Context, g *Guard, c Claim, ref object.Ref, op func(context.Context) (T, error)) (v T, err error) {
	if err := g.endpoint.Wait(start); err != nil {
		return v, err
	}
	visit, err := g.buckets.enter(start, ref, c.urgent())
	if err != nil {
		return v, err
	}
	var permit *Permit
	defer func() { //nolint:contextcheck // what leave may ask of the bucket is for all who come after
		visit.leave(err) // first, so that whoever gets the permit knows of it
		permit.Release()
	}()
	if c.Flow != nil {
		if permit, err = g.limiter.Acquire(start, ref.Bucket, c); err != nil {
			return v, err
		}
	}

	during, err := visit.send(ctx)
	if err != nil {
		return v, err
	}
	sent := time.Now()
	v, err = op(during)
	g.endpoint.observe(err)
	if alone := visit.weigh(err, sent); congested(err) && !alone {
		g.limiter.refused(ref, sent)
	}
	if e := outcome.As(err); err != nil && e.Class == outcome.Unreachable {
		err = g.endpoint.explain(ctx, e)
	}
	return v, err
}

// congested says that a request failed for lack of capacity: it was throttled,
// or nothing answered in time.
func congested(err error) bool {
	return errors.Is(err, outcome.Throttled) || errors.As(err, new(timeoutError)) ||
		(err != nil && outcome.As(err).Status == http.StatusGatewayTimeout)
}
