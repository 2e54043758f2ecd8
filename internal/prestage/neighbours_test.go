package prestage

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// TestBadBucketsBesideAHealthyOne: a bucket that is throttled for ever or now and
// then, one that refuses, and one that does not answer take next to nothing from
// one that is well.
func TestBadBucketsBesideAHealthyOne(t *testing.T) {
	t.Parallel()
	const objects = 1000
	// took is how long the healthy bucket takes beside others, which go on for ever.
	took := func(t *testing.T, others ...string) (took time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var requests sync.Map // by bucket
			answer := func(ctx context.Context, ref object.Ref) (Answer, error) {
				n, _ := requests.LoadOrStore(ref.Bucket, new(counter))
				turn := n.(*counter).next() //nolint:forcetypeassert // the map holds nothing else
				time.Sleep(10 * time.Millisecond)
				switch {
				case ref.Bucket == "models-busy", ref.Bucket == "models-often-busy" && turn%2 == 0:
					return Answer{}, failure(outcome.Throttled, ref)
				case ref.Bucket == "models-refused":
					return Answer{}, failure(outcome.Refused, ref)
				case ref.Bucket == "models-hanging":
					return stalls(ctx, ref)
				}
				time.Sleep(time.Second) // of the bubble's clock
				return answerOf("e"), nil
			}
			store := &fakeStore{fill: answer, head: answer, headBucket: func(ctx context.Context, bucket string) error {
				if bucket == "models-hanging" {
					return noAnswer(ctx, bucket)
				}
				return nil
			}}
			r := newRigOf(t, store, 300)
			ctx, stop := context.WithCancel(t.Context())
			var rest sync.WaitGroup
			for _, bucket := range others {
				rest.Go(func() {
					for ctx.Err() == nil {
						r.warmer.Warm(ctx, ctx, manyIn(bucket, objects), NewProgress())
						time.Sleep(15 * time.Second) // of the bubble's clock, as a lane does
					}
				})
			}
			began := time.Now()
			if got := r.warm(t, manyIn("ckpt", objects)); got.Objects.Filled != objects {
				t.Errorf("%+v", got.Objects)
			}
			took = time.Since(began)
			for _, bucket := range others {
				n, _ := requests.Load(bucket)
				t.Logf("%s: %d requests", bucket, n.(*counter).next()-1) //nolint:forcetypeassert // likewise
			}
			stop()
			rest.Wait()
		})
		return took
	}
	alone := took(t)
	for _, tt := range []struct {
		others []string
		times  float64 // as long as alone, at most
	}{
		{[]string{"models-busy"}, 1.2},
		{[]string{"models-often-busy"}, 1.2},
		{[]string{"models-refused"}, 1.2},
		{[]string{"models-hanging"}, 1.2},
		{[]string{"models-busy", "models-often-busy", "models-refused", "models-hanging"}, 4},
	} {
		with := took(t, tt.others...)
		t.Logf("beside %v: %s, alone %s", tt.others, with, alone)
		if float64(with) > tt.times*float64(alone) {
			t.Errorf("beside %v it takes %s, alone %s", tt.others, with, alone)
		}
	}
}

// TestSharedShortage: where the store has not enough for two buckets together,
// neither is taken for one that is short alone, and their fills follow one limit.
func TestSharedShortage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const capacity, objects = 40, 2000
		var taken, refused atomic.Int32
		store := &fakeStore{fill: func(_ context.Context, ref object.Ref) (Answer, error) {
			time.Sleep(10 * time.Millisecond) // of the bubble's clock
			if taken.Add(1) > capacity {
				taken.Add(-1)
				refused.Add(1)
				return Answer{}, failure(outcome.Throttled, ref)
			}
			defer taken.Add(-1)
			time.Sleep(time.Second) // of the bubble's clock
			return answerOf("e"), nil
		}}
		r := newRigOf(t, store, 300)
		began := time.Now()
		var both sync.WaitGroup
		for _, bucket := range []string{"ckpt", "models-a"} {
			both.Go(func() { r.warm(t, manyIn(bucket, objects)) })
		}
		both.Wait()
		for name, b := range r.guard.buckets.buckets {
			if b.short.limit != nil {
				t.Errorf("%s is taken for short alone", name)
			}
		}
		took, n := time.Since(began), refused.Load()
		t.Logf("%d refused, %s", n, took)
		if n > 2*objects/20 || took > 2*objects/capacity*time.Second*100/85 {
			t.Errorf("%d were refused, and it took %s", n, took)
		}
	})
}

// TestShortageEnds: a bucket that the store serves again is like all others.
func TestShortageEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var busy atomic.Bool
		r := newRigOf(t, &fakeStore{fill: func(_ context.Context, ref object.Ref) (Answer, error) {
			time.Sleep(10 * time.Millisecond) // of the bubble's clock
			if ref.Bucket == "models-a" && busy.Load() {
				return Answer{}, failure(outcome.Throttled, ref)
			}
			return answerOf("e"), nil
		}}, 300)
		alone := func() bool {
			b := r.guard.buckets.buckets["models-a"]
			return b != nil && b.short.limit != nil
		}
		both := func() {
			for _, bucket := range []string{"ckpt", "models-a"} {
				for i := range 20 {
					_ = r.fillOne(t.Context(), r.guard.limiter.NewFlow(Routine), object.Ref{Bucket: bucket, Key: fmt.Sprint(i)})
				}
			}
		}
		both()
		if alone() {
			t.Error("before anything is refused")
		}
		busy.Store(true)
		both()
		if !alone() {
			t.Error("not seen to be short alone")
		}
		if n := r.guard.limiter.Limit(); n < firstLimit {
			t.Errorf("the limit of all is %d", n)
		}
		busy.Store(false)
		time.Sleep(2 * time.Minute) // of the bubble's clock
		both()
		if alone() {
			t.Error("for ever")
		}
	})
}

// manyIn names so many objects of a bucket.
func manyIn(bucket string, objects int) Request {
	var req Request
	for i := range objects {
		ref := object.Ref{Bucket: bucket, Key: fmt.Sprint(i)}
		req.Objects = append(req.Objects, object.Attrs{Ref: ref, Size: object.UnknownSize})
	}
	return req
}

// counter counts from 1.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}
