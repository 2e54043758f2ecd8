package prestage

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/outcome"
)

func TestLimiterIsFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		held, err := l.Acquire(t.Context(), "ckpt", Claim{Flow: l.NewFlow(Urgent)})
		if err != nil {
			t.Fatal(err)
		}
		var served []string
		var wg sync.WaitGroup
		wait := func(name string, f *Flow, n int) {
			for range n {
				wg.Go(func() {
					p, err := l.Acquire(t.Context(), "ckpt", Claim{Flow: f})
					if err != nil {
						t.Error(err)
						return
					}
					served = append(served, name) // one permit: one at a time
					p.Release()
				})
			}
			synctest.Wait()
		}
		wait("big", l.NewFlow(Urgent), 5)
		wait("small", l.NewFlow(Urgent), 1)
		wait("middle", l.NewFlow(Urgent), 3)
		held.Release()
		wg.Wait()
		want := []string{"big", "small", "middle", "big", "middle", "big", "middle", "big", "big"}
		if diff := cmp.Diff(want, served); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := l.InFlight(); n != 0 {
			t.Errorf("%d permits are left out", n)
		}
	})
}

func TestLimiterManyWaiting(t *testing.T) {
	t.Parallel()
	const waiting = 20_000
	l := NewLimiter(1)
	held, err := l.Acquire(t.Context(), "ckpt", Claim{Flow: l.NewFlow(Urgent)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var served atomic.Int32
	big, small := l.NewFlow(Urgent), l.NewFlow(Urgent)
	for range waiting {
		wg.Go(func() {
			if p, err := l.Acquire(t.Context(), "ckpt", Claim{Flow: big}); err == nil {
				served.Add(1)
				p.Release()
			}
		})
	}
	wg.Go(func() {
		p, err := l.Acquire(t.Context(), "ckpt", Claim{Flow: small})
		if err != nil {
			t.Error(err)
			return
		}
		if n := served.Load(); n > 1 {
			t.Errorf("%d of the large flow were served before the small one", n)
		}
		p.Release()
	})
	for all := false; !all; runtime.Gosched() {
		l.mu.Lock()
		all = l.waiting == waiting+1
		l.mu.Unlock()
	}
	held.Release()
	held.Release() // nothing more
	wg.Wait()
	if l.InFlight() != 0 || l.waiting != 0 || served.Load() != waiting {
		t.Errorf("%d permits are left out, %d waiting, %d were served", l.InFlight(), l.waiting, served.Load())
	}
}

func TestLimiterGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		f := l.NewFlow(Urgent)
		held, err := l.Acquire(t.Context(), "ckpt", Claim{Flow: f})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Acquire(ctx, "ckpt", Claim{Flow: f}); !errors.Is(err, outcome.Interrupted) {
			t.Errorf("after a second: %v", err)
		}
		held.Release()
		if _, err := l.Acquire(ctx, "ckpt", Claim{Flow: f}); !errors.Is(err, outcome.Interrupted) {
			t.Errorf("with an ended context: %v", err)
		}
		if _, err := l.Acquire(t.Context(), "ckpt", Claim{Flow: f}); err != nil {
			t.Errorf("the permit was lost: %v", err)
		}
	})
}

// TestLimiterPassesOn cancels a waiter at the moment of its turn.
func TestLimiterPassesOn(t *testing.T) {
	t.Parallel()
	l := NewLimiter(1)
	f := l.NewFlow(Urgent)
	for range 200 {
		held, err := l.Acquire(t.Context(), "ckpt", Claim{Flow: f})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if p, err := l.Acquire(ctx, "ckpt", Claim{Flow: f}); err == nil {
				p.Release()
			}
		})
		for waits := false; !waits; runtime.Gosched() {
			l.mu.Lock()
			waits = l.waiting == 1
			l.mu.Unlock()
		}
		wg.Go(cancel)
		held.Release()
		wg.Wait()
		if n := l.InFlight(); n != 0 {
			t.Fatalf("%d permits are lost", n)
		}
	}
}

func TestLimiterStress(t *testing.T) {
	t.Parallel()
	const limit = 7
	l := NewLimiter(limit)
	var inside, got atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		f := l.NewFlow(Urgent)
		for range 10 {
			wg.Go(func() {
				for range 50 {
					ctx, cancel := context.WithCancel(t.Context())
					if rand.N(4) == 0 {
						go cancel()
					}
					if p, err := l.Acquire(ctx, "ckpt", Claim{Flow: f}); err == nil {
						if n := inside.Add(1); n > limit {
							t.Errorf("%d inside", n)
						}
						got.Add(1)
						inside.Add(-1)
						p.Release()
						p.Release()
					}
					cancel()
				}
			})
		}
	}
	wg.Wait()
	if l.InFlight() != 0 || l.waiting != 0 || got.Load() < 5000 {
		t.Errorf("%d permits out, %d waiting, %d permits were got", l.InFlight(), l.waiting, got.Load())
	}
}
