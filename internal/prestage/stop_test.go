package prestage

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(time.Minute)
		up := func() bool { return !time.Now().Before(back) }
		store := &fakeStore{list: listing(50), fill: func(_ context.Context, ref object.Ref) (Answer, error) {
			if up() {
				return answerOf("e"), nil
			}
			e := notDialledError()
			e.Ref = ref
			return Answer{}, e
		}}
		r := newRig(t, store)
		r.dial = func(context.Context) error {
			if up() {
				return nil
			}
			return errRefused
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = r.endpoint.Run(ctx) })
		reports := make(chan Report)
		go func() { reports <- r.warm(t, Request{Prefix: ckpt("p/"), Complete: true}) }()
		time.Sleep(30 * time.Second) // of the bubble's clock
		if n, held := store.count("fill"), r.guard.limiter.InFlight(); n > 8 || held != 0 {
			t.Errorf("while it is down %d requests were sent and %d permits are held", n, held)
		}
		got := <-reports
		want := Report{Objects: Counts{Total: 50, Filled: 50}, Bytes: 50_000, Verdict: outcome.Accepted}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		cancel()
		run.Wait()
	})
}

func TestStartEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{list: listing(5000), headBucket: func(context.Context, string) error { return nil }}
		store.fill = func(context.Context, object.Ref) (Answer, error) {
			time.Sleep(3 * time.Second) // of the bubble's clock
			return answerOf("e"), nil
		}
		r := newRig(t, store)
		start, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		began := time.Now()
		got := r.warmer.Warm(t.Context(), start, Request{Prefix: ckpt("p/"), Complete: true}, NewProgress())
		if took := time.Since(began); took != 12*time.Second {
			t.Errorf("took %v", took)
		}
		if n := store.count("fill"); got.Objects.Filled != n || n != 4*16 {
			t.Errorf("%d filled, %d asked for", got.Objects.Filled, n)
		}
		if len(got.Problems) != 1 || got.Problems[0].Class != outcome.Interrupted {
			t.Errorf("problems %+v", got.Problems)
		}
		again := r.warmer.Warm(t.Context(), start, Request{Objects: unsized("x")}, NewProgress())
		if again.Objects.Filled != 0 || len(again.Problems) != 1 || store.count("fill x") != 0 {
			t.Errorf("after the end: %+v", again)
		}
	})
}

func TestCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{list: listing(5000), fill: stalls, headBucket: func(context.Context, string) error { return nil }}
		r := newRig(t, store)
		ctx, cut := context.WithTimeout(t.Context(), 4*time.Second)
		defer cut()
		began := time.Now()
		got := r.warmer.Warm(ctx, t.Context(), Request{Prefix: ckpt("p/"), Complete: true}, NewProgress())
		if took := time.Since(began); took != 4*time.Second || len(got.Problems) != 1 || got.Problems[0].Class != outcome.Interrupted {
			t.Errorf("took %v, problems %+v", took, got.Problems)
		}
		synctest.Wait()
		if n := r.guard.limiter.InFlight(); n != 0 {
			t.Errorf("%d permits are left out", n)
		}
	})
}
