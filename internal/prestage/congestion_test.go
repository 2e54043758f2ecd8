package prestage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// busyWarmer has one event in hand, and tells how many of its fills are under
// way.
type busyWarmer struct {
	*rig
	under atomic.Int32
	event sync.WaitGroup
}

func newBusyWarmer(t *testing.T, n int, fill func(context.Context, object.Ref) (Answer, error)) *busyWarmer {
	t.Helper()
	store := &fakeStore{list: listing(n), headBucket: func(context.Context, string) error { return nil }}
	b := &busyWarmer{rig: newRigOf(t, store, 300)}
	store.fill = func(ctx context.Context, ref object.Ref) (Answer, error) {
		b.under.Add(1)
		defer b.under.Add(-1)
		return fill(ctx, ref)
	}
	b.event.Go(func() { b.warm(t, Request{Prefix: ckpt("p/"), Complete: true}) })
	return b
}

func TestLimitGrowsWhileFillsAreLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := newBusyWarmer(t, 1000, func(context.Context, object.Ref) (Answer, error) {
			<-release
			return answerOf("e"), nil
		})
		synctest.Wait()
		if n := b.under.Load(); n != firstLimit {
			t.Errorf("%d at once at first", n)
		}
		time.Sleep(5 * time.Second) // of the bubble's clock
		synctest.Wait()
		if n := b.under.Load(); n != 300 || b.metric(t, "prestage_concurrency_limit", "") != 300 {
			t.Errorf("%d at once, limit %v", n, b.metric(t, "prestage_concurrency_limit", ""))
		}
		close(release)
		b.event.Wait()
	})
}

// TestComingBackFromAnOutage has everybody come back at once.
func TestComingBackFromAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		b := newBusyWarmer(t, 20_000, func(_ context.Context, ref object.Ref) (Answer, error) {
			if down.Load() {
				e := notDialledError()
				e.Ref = ref
				return Answer{}, e
			}
			time.Sleep(time.Second) // of the bubble's clock
			return answerOf("e"), nil
		})
		b.dial = func(context.Context) error {
			if down.Load() {
				return errRefused
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = b.endpoint.Run(ctx) })
		time.Sleep(20 * time.Second) // of the bubble's clock
		synctest.Wait()
		if n := b.under.Load(); n != 300 {
			t.Errorf("%d at once before the outage", n)
		}
		down.Store(true)
		time.Sleep(30 * time.Second) // of the bubble's clock
		synctest.Wait()
		if n := b.under.Load(); n != 0 || b.endpoint.Up() {
			t.Errorf("%d at once during the outage", n)
		}
		down.Store(false)
		if err := b.endpoint.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := b.under.Load(); n == 0 || n > firstLimit {
			t.Errorf("%d at once after the outage", n)
		}
		time.Sleep(10 * time.Second) // of the bubble's clock
		synctest.Wait()
		if n := b.under.Load(); n != 300 {
			t.Errorf("%d at once ten seconds later", n)
		}
		b.event.Wait()
		cancel()
		run.Wait()
	})
}

// TestThrottledStore takes 40 fills at once and refuses the rest.
func TestThrottledStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const capacity = 40
		var taken, refused atomic.Int32
		b := newBusyWarmer(t, 6000, func(_ context.Context, ref object.Ref) (Answer, error) {
			time.Sleep(10 * time.Millisecond) // of the bubble's clock
			if taken.Add(1) > capacity {
				taken.Add(-1)
				refused.Add(1)
				return Answer{}, failure(outcome.Throttled, ref)
			}
			defer taken.Add(-1)
			time.Sleep(time.Second) // of the bubble's clock
			return answerOf("e"), nil
		})
		began := time.Now()
		b.event.Wait()
		took := time.Since(began)
		t.Logf("%d refused, %v", refused.Load(), took)
		if n := refused.Load(); n > 300 || took > 6000/capacity*time.Second*100/85 {
			t.Errorf("%d were refused, and it took %v", n, took)
		}
	})
}

// TestBusyMetadata: plain HEADs that take much longer than they used to say that
// the store is busy, although it refuses nothing.
func TestBusyMetadata(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, &fakeStore{}, 300)
		l := r.guard.limiter
		l.update(func() { l.governor.limit = 300 })
		heads := func(latency time.Duration) {
			for range 4 * headSamples {
				time.Sleep(10 * time.Millisecond) // of the bubble's clock
				_, err := r.guard.plainHead(t.Context(), t.Context(), Claim{}, ckpt("k"), func(context.Context, object.Ref) (Answer, error) {
					return Answer{Status: 200, Latency: latency}, nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		heads(10 * time.Millisecond)
		if n := l.Limit(); n != 300 {
			t.Errorf("the limit is %d while HEADs are quick", n)
		}
		heads(time.Second)
		if n := l.Limit(); n == 300 {
			t.Error("the limit stays while HEADs are slow")
		}
	})
}

func TestOneTroubledObject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(300)
		for range 100 {
			l.refused(ckpt("k"), time.Now())
			time.Sleep(time.Second) // of the bubble's clock
		}
		if n := l.Limit(); n < firstLimit*2/5 {
			t.Errorf("the limit is %d since one object is always refused", n)
		}
		for i := range 100 {
			l.refused(ckpt(fmt.Sprint(i)), time.Now())
			time.Sleep(time.Second) // of the bubble's clock
		}
		if n := l.Limit(); n != 1 {
			t.Errorf("the limit is %d since all are refused", n)
		}
	})
}

func TestCongested(t *testing.T) {
	t.Parallel()
	timeout, cancel := withTimeout(t.Context(), -1)
	defer cancel()
	gateway := outcome.As(failure(outcome.Transient, ckpt("k")))
	gateway.Status = 504
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"success":             {},
		"throttled":           {failure(outcome.Throttled, ckpt("k")), true},
		"our time-out":        {classify(timeout, "fill", ckpt("k"), context.DeadlineExceeded), true},
		"the transport's":     {classify(t.Context(), "fill", ckpt("k"), context.DeadlineExceeded), true},
		"the gateway's":       {gateway, true},
		"500":                 {failure(outcome.Transient, ckpt("k")), false},
		"reset":               {classify(t.Context(), "fill", ckpt("k"), errors.New("connection reset")), false},
		"404":                 {failure(outcome.Failed, ckpt("k")), false},
		"403":                 {failure(outcome.Refused, ckpt("k")), false},
		"a dead bucket":       {deadBucket("fill", ckpt("k"), errRefused), false},
		"an unreachable host": {notDialledError(), false},
		"our own end":         {failure(outcome.Interrupted, ckpt("k")), false},
	} {
		if got := congested(tt.err); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
