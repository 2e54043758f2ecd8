package prestage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// noAnswer is a bucket's host that accepts and says nothing.
func noAnswer(ctx context.Context, bucket string) error {
	_, err := stalls(ctx, object.Ref{Bucket: bucket})
	return err
}

// fillOne sends one fill through the guard.
func (r *rig) fillOne(ctx context.Context, flow *Flow, ref object.Ref) error {
	_, err := send(ctx, ctx, r.guard, Claim{Flow: flow}, ref, func(ctx context.Context) (Answer, error) { return r.store.Fill(ctx, ref) })
	return err
}

func TestStallingBucketHoldsNoSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stalled atomic.Int32
		store := &fakeStore{headBucket: noAnswer, fill: func(ctx context.Context, ref object.Ref) (Answer, error) {
			if ref.Bucket == "ckpt" {
				return answerOf("e"), nil
			}
			stalled.Add(1)
			defer stalled.Add(-1)
			return stalls(ctx, ref)
		}}
		r := newRig(t, store)
		began := time.Now()
		dead := object.Ref{Bucket: "models-wrong", Key: "k"}
		errs := make(chan error)
		flow := r.guard.limiter.NewFlow(Urgent)
		for range 100 {
			go func() { errs <- r.fillOne(t.Context(), flow, dead) }()
		}
		synctest.Wait()
		if n, held := stalled.Load(), r.guard.limiter.InFlight(); n != newBucketLimit || held != newBucketLimit {
			t.Errorf("%d requests under way, %d permits held", n, held)
		}
		if err := r.fillOne(t.Context(), r.guard.limiter.NewFlow(Urgent), ckpt("k")); err != nil || time.Since(began) > 0 {
			t.Errorf("the other bucket was held up by %v: %v", time.Since(began), err)
		}
		for range 100 {
			if err := <-errs; !errors.Is(err, outcome.Refused) || outcome.As(err).Reason != outcome.BadRequest {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != silenceLimit+askTimeout {
			t.Errorf("refused after %v", took)
		}
		if n := store.count("head bucket"); n != 1 {
			t.Errorf("asked %d times", n)
		}

		// For a while nothing is sent; then there is one trial.
		sent := store.count("fill")
		if err := r.fillOne(t.Context(), flow, dead); !errors.Is(err, outcome.Refused) || store.count("fill") != sent {
			t.Errorf("did not fail at once: %v", err)
		}
		time.Sleep(deadFor) // of the bubble's clock
		for range 10 {
			go func() { errs <- r.fillOne(t.Context(), flow, dead) }()
		}
		synctest.Wait()
		if n := stalled.Load(); n != 1 {
			t.Errorf("%d requests on trial", n)
		}
		for range 10 {
			if err := <-errs; !errors.Is(err, outcome.Refused) {
				t.Error(err)
			}
		}
	})
}

func TestSlowFillIsLegal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{
			headBucket: func(context.Context, string) error { return failure(outcome.Refused, ckpt("")) }, // a 403 is an answer
			fill: func(context.Context, object.Ref) (Answer, error) {
				time.Sleep(14 * time.Minute) // of the bubble's clock
				return answerOf("e"), nil
			},
		}
		r := newRig(t, store)
		if err := r.fillOne(t.Context(), r.guard.limiter.NewFlow(Urgent), ckpt("k")); err != nil {
			t.Error(err)
		}
		if n := store.count("head bucket"); n < 50 || n > 85 {
			t.Errorf("asked %d times in 14 minutes", n)
		}
	})
}

// Credentials that fail while a fill is slow say nothing of the bucket's host.
func TestFailingCredentialsAreNoDeadBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := func(ref object.Ref) *outcome.Error {
			return classify(t.Context(), "test", ref, &credentialsError{err: errors.New("the token is stale")})
		}
		store := &fakeStore{
			headBucket: func(_ context.Context, bucket string) error { return broken(object.Ref{Bucket: bucket}) },
			fill: func(ctx context.Context, ref object.Ref) (Answer, error) {
				if ref.Key == "unsigned" {
					return Answer{}, broken(ref)
				}
				select {
				case <-time.After(time.Minute): // of the bubble's clock
					return answerOf("e"), nil
				case <-ctx.Done():
					return stalls(ctx, ref)
				}
			},
		}
		r := newRig(t, store)
		flow := r.guard.limiter.NewFlow(Urgent)
		slow := make(chan error)
		go func() { slow <- r.fillOne(t.Context(), flow, ckpt("slow")) }()
		time.Sleep(30 * time.Second) // of the bubble's clock
		for range 3 {
			err := outcome.As(r.fillOne(t.Context(), flow, ckpt("unsigned")))
			if err.Class != outcome.Refused || err.Reason != outcome.Forbidden {
				t.Errorf("without credentials: %v", err)
			}
		}
		if n := store.count("fill unsigned"); n != 3 {
			t.Errorf("%d of 3 were tried: the bucket is held for dead", n)
		}
		if err := <-slow; err != nil {
			t.Errorf("the slow fill was cut: %v", err)
		}
		if n := store.count("head bucket"); n < 4 {
			t.Errorf("the silent bucket was asked %d times", n)
		}
	})
}

func TestBucketThatAnswersIsNotAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{fill: func(_ context.Context, ref object.Ref) (Answer, error) {
			if ref.Key == "slow" {
				time.Sleep(time.Minute) // of the bubble's clock
			}
			return answerOf("e"), nil
		}}
		r := newRig(t, store)
		flow := r.guard.limiter.NewFlow(Urgent)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := r.fillOne(t.Context(), flow, ckpt("slow")); err != nil {
				t.Error(err)
			}
		})
		for range 31 {
			time.Sleep(2 * time.Second) // of the bubble's clock
			if err := r.fillOne(t.Context(), flow, ckpt("quick")); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if len(r.guard.buckets.buckets) != 1 {
			t.Error("a bucket that answers is forgotten")
		}
	})
}

func TestFirstAnswerOpensBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var first sync.Once
		store := &fakeStore{headBucket: func(context.Context, string) error { return nil }}
		store.fill = func(_ context.Context, ref object.Ref) (Answer, error) {
			d := 4 * time.Second
			first.Do(func() { d = time.Second })
			time.Sleep(d) // of the bubble's clock
			return Answer{}, failure(outcome.Failed, ref)
		}
		r := newRig(t, store)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() { _ = r.fillOne(t.Context(), r.guard.limiter.NewFlow(Urgent), ckpt("k")) })
		}
		time.Sleep(1500 * time.Millisecond) // of the bubble's clock
		if n := store.count("fill"); n != 16 {
			t.Errorf("after the first 404 %d are sent", n)
		}
		wg.Wait()
	})
}

func TestDeadEndpointIsNoDeadBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{headBucket: noAnswer, fill: stalls}
		r := newRig(t, store)
		r.dial = func(context.Context) error { return errRefused }
		err := r.fillOne(t.Context(), r.guard.limiter.NewFlow(Urgent), ckpt("k"))
		if !errors.Is(err, outcome.Unreachable) || r.endpoint.Up() {
			t.Errorf("a blackout: %v", err)
		}
		if len(r.guard.buckets.buckets) != 0 {
			t.Error("the bucket is held for dead")
		}
	})
}

func TestUnresolvedBucketFailsFast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{fill: func(context.Context, object.Ref) (Answer, error) {
			time.Sleep(3 * time.Second) // of the bubble's clock: a slow resolver
			return Answer{}, notDialledError()
		}}
		r := newRig(t, store)
		began := time.Now()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if err := r.fillOne(t.Context(), r.guard.limiter.NewFlow(Urgent), ckpt("k")); !errors.Is(err, outcome.Refused) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != 3*time.Second || store.count("fill") != newBucketLimit {
			t.Errorf("took %v and %d requests", took, store.count("fill"))
		}
	})
}

func TestBucketMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newBucketWatch(nil, nil, nil)
		for i := range 10 * maxBuckets {
			ref := object.Ref{Bucket: "b" + string(rune('a'+i%26)) + time.Duration(i).String()}
			v, err := w.enter(t.Context(), ref, false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.send(t.Context()); err != nil {
				t.Fatal(err)
			}
			v.leave(deadBucket("fill", ref, errRefused))
			time.Sleep(time.Second) // of the bubble's clock
		}
		if n := len(w.buckets); n > maxBuckets {
			t.Errorf("%d buckets are remembered", n)
		}
	})
}
