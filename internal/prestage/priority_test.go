package prestage

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
)

// turnstile has a Limiter of one permit, which is held while others queue up, and
// notes the order in which they are served.
type turnstile struct {
	*Limiter
	served []string // one permit: one at a time
	all    sync.WaitGroup
}

func (s *turnstile) wait(t *testing.T, name string, n int, bucket string, f *Flow) {
	t.Helper()
	for range n {
		s.all.Go(func() {
			p, err := s.Acquire(t.Context(), bucket, Claim{Flow: f})
			if err != nil {
				t.Error(err)
				return
			}
			s.served = append(s.served, name)
			p.Release()
		})
		synctest.Wait()
	}
}

// serve lets all go that queue has queue up.
func serve(t *testing.T, queue func(*turnstile)) []string {
	t.Helper()
	s := &turnstile{Limiter: NewSharedLimiter(1)}
	held, err := s.Acquire(t.Context(), "ckpt", Claim{Flow: s.NewFlow(Urgent)})
	if err != nil {
		t.Fatal(err)
	}
	queue(s)
	held.Release()
	s.all.Wait()
	if s.InFlight() != 0 || s.waiting != 0 {
		t.Errorf("%d permits are out, %d wait", s.InFlight(), s.waiting)
	}
	return s.served
}

func TestPrioritiesInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := serve(t, func(s *turnstile) {
			s.wait(t, "replay", 1, "ckpt", s.NewFlow(Backfill))
			s.wait(t, "checkpoint", 2, "ckpt", s.NewFlow(Routine))
			s.wait(t, "model", 2, "models-a", s.NewFlow(Urgent))
		})
		if diff := cmp.Diff([]string{"model", "model", "checkpoint", "checkpoint", "replay"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestLeastShare has both other lanes behind more urgent work than ends.
func TestLeastShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := serve(t, func(s *turnstile) {
			s.wait(t, "c", 50, "ckpt", s.NewFlow(Routine))
			s.wait(t, "r", 50, "ckpt", s.NewFlow(Backfill))
			s.wait(t, "m", 160, "ckpt", s.NewFlow(Urgent))
		})
		for i := 0; i+leastShare+1 <= 160; i += leastShare + 1 {
			part := strings.Join(got[i:i+leastShare+1], "")
			if n := strings.Count(part, "m"); !strings.Contains(part, "c") || !strings.Contains(part, "r") || n < leastShare-2 {
				t.Errorf("turns %d and on: %s", i, part)
			}
		}
	})
}

func TestBucketsInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := serve(t, func(s *turnstile) {
			both := s.NewFlow(Routine)
			s.wait(t, "a1", 3, "a", both)
			s.wait(t, "a2", 3, "a", s.NewFlow(Routine))
			s.wait(t, "a3", 1, "a", s.NewFlow(Routine))
			s.wait(t, "b1", 3, "b", both)
		})
		want := []string{"a1", "b1", "a2", "b1", "a3", "b1", "a1", "a2", "a1", "a2"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestKeptForUrgentWork(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{1: 0, 2: 0, 3: 0, 4: 1, 16: 2, 300: 38} {
		synctest.Test(t, func(t *testing.T) {
			l := NewSharedLimiter(limit)
			l.governor.limit = float64(limit)
			permits := make(chan *Permit, limit)
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			take := func(p Priority, n int) {
				f := l.NewFlow(p)
				for range n {
					all.Go(func() {
						if p, err := l.Acquire(ctx, "ckpt", Claim{Flow: f}); err == nil {
							permits <- p
						}
					})
				}
				synctest.Wait()
			}
			take(Routine, limit)
			if n := l.InFlight(); n != limit-want {
				t.Errorf("of %d permits %d are kept, want %d", limit, limit-n, want)
			}
			take(Urgent, want)
			if n := l.InFlight(); n != limit {
				t.Errorf("of %d permits %d are in use", limit, n)
			}
			cancel()
			all.Wait()
			close(permits)
			for p := range permits {
				p.Release()
			}
			if l.InFlight() != 0 || l.waiting != 0 || l.held != [priorities]int{} {
				t.Errorf("%d permits are out, %d wait", l.InFlight(), l.waiting)
			}
		})
	}
}

// TestModelBehindCheckpoints is the promise: a model behind 2,000 slow fills is
// warm within twice the time that it takes alone.
func TestModelBehindCheckpoints(t *testing.T) {
	t.Parallel()
	const own, slow = 3 * time.Second, 2 * time.Minute
	for name, shards := range map[string]int{"one object": 1, "forty shards": 40} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &fakeStore{headBucket: func(context.Context, string) error { return nil }}
				store.fill = func(_ context.Context, ref object.Ref) (Answer, error) {
					d := own
					if ref.Bucket == "ckpt" {
						d = slow
					}
					time.Sleep(d) // of the bubble's clock
					return answerOf("e"), nil
				}
				r := newRigOf(t, store, 300)
				r.guard.limiter.shared = true
				var events sync.WaitGroup
				var warm atomic.Int64
				for i := range 20 {
					events.Go(func() {
						var keys []string
						for k := range 100 {
							keys = append(keys, fmt.Sprint(i, "/", k))
						}
						got := r.warm(t, Request{Objects: unsized(keys...), Priority: Routine, Seen: time.Now()})
						warm.Add(int64(got.Objects.Filled))
					})
				}
				time.Sleep(time.Minute) // of the bubble's clock
				if n := r.guard.limiter.InFlight(); n != 300-38 {
					t.Errorf("%d fills are under way", n)
				}
				began := time.Now()
				model := Request{Seen: began}
				for i := range shards {
					model.Objects = append(model.Objects, object.Attrs{Ref: object.Ref{Bucket: "models-a", Key: fmt.Sprint(i)}, Size: object.UnknownSize})
				}
				got := r.warm(t, model)
				if took := time.Since(began); got.Objects.Filled != shards || took > 2*own {
					t.Errorf("%+v after %v", got.Objects, took)
				}
				events.Wait()
				if n := warm.Load(); n != 2000 {
					t.Errorf("%d checkpoint objects are warm", n)
				}
			})
		})
	}
}

// TestModelInANewBucket has a model come to a bucket that never answered, in which
// checkpoints have as many slow fills as they may.
func TestModelInANewBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{headBucket: func(context.Context, string) error { return nil }}
		store.fill = func(_ context.Context, ref object.Ref) (Answer, error) {
			d := time.Minute
			if ref.Key == "model" {
				d = time.Second
			}
			time.Sleep(d) // of the bubble's clock
			return answerOf("e"), nil
		}
		r := newRigOf(t, store, 300)
		var events sync.WaitGroup
		for i := range 40 {
			events.Go(func() { r.warm(t, Request{Objects: unsized(fmt.Sprint(i)), Priority: Routine}) })
		}
		synctest.Wait()
		if n := store.count("fill"); n != newBucketLimit {
			t.Errorf("%d fills in a new bucket", n)
		}
		began := time.Now()
		got := r.warm(t, Request{Objects: unsized("model")})
		if took := time.Since(began); got.Objects.Filled != 1 || took != time.Second {
			t.Errorf("%+v after %v", got.Objects, took)
		}
		events.Wait()
	})
}

// TestLargeEventHoldsNobody has one event of 100,000 objects and ten small ones,
// in its bucket and in another.
func TestLargeEventHoldsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{list: listing(100_000), headBucket: func(context.Context, string) error { return nil }}
		var large atomic.Int64
		store.fill = func(_ context.Context, ref object.Ref) (Answer, error) {
			if strings.HasPrefix(ref.Key, "large/") {
				large.Add(1)
			}
			time.Sleep(time.Second) // of the bubble's clock
			return answerOf("e"), nil
		}
		r := newRigOf(t, store, 300)
		r.guard.limiter.shared = true
		var events sync.WaitGroup
		start, stop := context.WithCancel(t.Context())
		events.Go(func() {
			r.warmer.Warm(t.Context(), start, Request{Prefix: ckpt("large/"), Complete: true, Priority: Routine}, NewProgress())
		})
		time.Sleep(20 * time.Second) // of the bubble's clock
		began, before := time.Now(), large.Load()
		var small sync.WaitGroup
		for i := range 10 {
			small.Go(func() {
				ref := ckpt(fmt.Sprint("small-", i))
				if i%2 == 0 {
					ref.Bucket = "models-a"
				}
				got := r.warm(t, Request{Objects: []object.Attrs{{Ref: ref, Size: object.UnknownSize}}, Priority: Routine, Seen: began})
				if took := time.Since(began); got.Objects.Filled != 1 || took > 2*time.Second {
					t.Errorf("%s: %+v after %v", ref, got.Objects, took)
				}
			})
		}
		small.Wait()
		if n := large.Load() - before; n == 0 || before == 0 {
			t.Errorf("the large event had %d fills before and %d meanwhile", before, n)
		}
		stop()
		events.Wait()
	})
}

// TestUrgentCallerRaisesAFlight has a model ask for an object that a checkpoint's
// fill waits for behind many.
func TestUrgentCallerRaisesAFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var order []string
		store := &fakeStore{headBucket: func(context.Context, string) error { return nil }}
		store.fill = func(_ context.Context, ref object.Ref) (Answer, error) {
			order = append(order, ref.Key) // one permit: one at a time
			time.Sleep(time.Second)        // of the bubble's clock
			return answerOf("e"), nil
		}
		r := newRigOf(t, store, 1)
		var events sync.WaitGroup
		seen := time.Now()
		checkpoint := func(key string) {
			events.Go(func() { r.warm(t, Request{Objects: unsized(key), Priority: Routine, Seen: seen}) })
			synctest.Wait()
		}
		for _, key := range []string{"first", "a", "b", "shared", "c"} {
			checkpoint(key)
		}
		got := r.warm(t, Request{Objects: unsized("shared"), Seen: seen})
		if took := time.Since(seen); got.Objects.Filled != 1 || took != 2*time.Second {
			t.Errorf("%+v after %v", got.Objects, took)
		}
		events.Wait()
		if diff := cmp.Diff([]string{"first", "shared", "a", "b", "c"}, order); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
