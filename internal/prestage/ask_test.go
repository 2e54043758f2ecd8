package prestage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/confirm"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// TestFillTimeout: the time that a fill may take is that of all its tries, and what
// it waits for before it is sent does not count.
func TestFillTimeout(t *testing.T) {
	t.Parallel()
	// after answers once that time has passed, unless the request is cut.
	type answer struct {
		after time.Duration
		err   outcome.Class // 0: success
	}
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		limit    time.Duration
		answers  []answer // one a try; the last of them goes on
		tries    int
		want     outcome.Class // 0: filled
		min, max time.Duration
	}{
		"in time":                 {limit: 2 * time.Second, answers: []answer{{1900 * ms, 0}}, tries: 1, min: 1900 * ms, max: 1900 * ms},
		"too slow":                {limit: 2 * time.Second, answers: []answer{{3 * time.Second, 0}}, tries: 1, want: outcome.Failed, min: 2 * time.Second, max: 2 * time.Second},
		"failing slowly":          {limit: 2 * time.Second, answers: []answer{{950 * ms, outcome.Transient}}, tries: 2, want: outcome.Failed, min: 2 * time.Second, max: 2 * time.Second},
		"failing fast":            {limit: 2 * time.Second, answers: []answer{{0, outcome.Transient}}, tries: 4, want: outcome.Failed, min: 475 * ms, max: 1425 * ms},
		"throttled, then cut":     {limit: 2 * time.Second, answers: []answer{{1500 * ms, outcome.Throttled}, {3 * time.Second, 0}}, tries: 2, want: outcome.Throttled, min: 2 * time.Second, max: 2 * time.Second},
		"cut at the usual length": {limit: time.Minute, answers: []answer{{9 * time.Second, outcome.Transient}, {time.Hour, 0}}, tries: 2, want: outcome.Failed, min: time.Minute, max: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				r := newRig(t, &fakeStore{head: always("e"), fill: func(ctx context.Context, ref object.Ref) (Answer, error) {
					a := tt.answers[min(tries, len(tt.answers)-1)]
					tries++
					select {
					case <-ctx.Done():
						return Answer{}, classify(ctx, "fill", ref, ctx.Err())
					case <-time.After(a.after): // of the bubble's clock
					}
					if a.err != 0 {
						return Answer{}, failure(a.err, ref)
					}
					return answerOf("e"), nil
				}})
				r.warmer.fillTimeout = tt.limit
				began := time.Now()
				got := r.warm(t, Request{Objects: unsized("k")})
				if took := time.Since(began); took < tt.min || took > tt.max || tries != tt.tries {
					t.Errorf("%d tries, %s, want %d, %s to %s", tries, took, tt.tries, tt.min, tt.max)
				}
				var class outcome.Class
				if len(got.Problems) > 0 {
					class = got.Problems[0].Class
				}
				if class != tt.want {
					t.Errorf("%s, want %s: %v", class, tt.want, got.Failures)
				}
			})
		})
	}
}

// TestWaitingIsNoFill: an endpoint that is down, and a lack of permits, take nothing
// of the time that a fill may take.
func TestWaitingIsNoFill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		tries := 0
		r = newRigOf(t, &fakeStore{fill: func(_ context.Context, ref object.Ref) (Answer, error) {
			if ref.Key == "long" {
				time.Sleep(time.Minute) // of the bubble's clock
				return answerOf("e"), nil
			}
			switch tries++; tries {
			case 1: // the endpoint goes down as it answers
				r.endpoint.turn(errors.New("down"))
				time.AfterFunc(5*time.Second, func() { r.endpoint.turn(nil) })
				return Answer{}, failure(outcome.Transient, ref)
			case 2:
				return Answer{}, failure(outcome.Transient, ref)
			}
			time.Sleep(time.Second)
			return answerOf("e"), nil
		}}, 1)
		r.warmer.fillTimeout = 2 * time.Second
		if got := r.warm(t, Request{Objects: unsized("k")}); got.Objects.Filled != 1 || tries != 3 {
			t.Errorf("after an outage: %+v, %d tries", got, tries)
		}
		r.warmer.fillTimeout = 2 * time.Minute
		long := make(chan Report)
		go func() { long <- r.warm(t, Request{Objects: unsized("long")}) }()
		synctest.Wait()
		if got := r.warm(t, Request{Objects: unsized("l")}); got.Objects.Filled != 1 {
			t.Errorf("after a wait for a permit: %+v", got)
		}
		<-long
	})
}

// TestFailsAlone: what fails for plain HEADs as well is the object's own failure
// where the store answers for others, and else the store's.
func TestFailsAlone(t *testing.T) {
	t.Parallel()
	type fn = func(context.Context, object.Ref) (Answer, error)
	only := func(class outcome.Class, keys ...string) fn {
		return func(_ context.Context, ref object.Ref) (Answer, error) {
			if slices.Contains(keys, ref.Key) {
				return Answer{}, failure(class, ref)
			}
			return answerOf("e"), nil
		}
	}
	for name, tt := range map[string]struct {
		first []string // filled before, while all is well
		then  fn
		keys  []string
		want  outcome.Class
		heads int
	}{
		"alone":                     {first: []string{"a", "b"}, then: only(outcome.Transient, "k"), keys: []string{"k"}, want: outcome.Failed, heads: 2},
		"alone, and filled before":  {first: []string{"a", "k"}, then: only(outcome.Transient, "k"), keys: []string{"k"}, want: outcome.Failed, heads: 2},
		"four of them":              {first: []string{"a"}, then: only(outcome.Transient, "k1", "k2", "k3", "k4"), keys: []string{"k1", "k2", "k3", "k4"}, want: outcome.Failed, heads: 8},
		"five are the store's":      {first: []string{"a"}, then: only(outcome.Transient, "k1", "k2", "k3", "k4", "k5"), keys: []string{"k1", "k2", "k3", "k4", "k5"}, want: outcome.Transient},
		"nothing else was answered": {then: only(outcome.Transient, "k"), keys: []string{"k"}, want: outcome.Transient, heads: 1},
		"only itself was answered":  {first: []string{"k"}, then: only(outcome.Transient, "k"), keys: []string{"k"}, want: outcome.Transient, heads: 1},
		"all fail now":              {first: []string{"a", "b"}, then: fails(outcome.Transient), keys: []string{"k"}, want: outcome.Transient, heads: 2},
		"all are throttled now":     {first: []string{"a", "b"}, then: fails(outcome.Throttled), keys: []string{"k"}, want: outcome.Throttled, heads: 0},
		"the other is gone meanwhile": {first: []string{"a"}, keys: []string{"k"}, want: outcome.Failed, heads: 2, then: func(_ context.Context, ref object.Ref) (Answer, error) {
			if ref.Key == "a" {
				return Answer{}, failure(outcome.Failed, ref)
			}
			return Answer{}, failure(outcome.Transient, ref)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &fakeStore{fill: always("e"), head: always("e")}
				r := newRig(t, store)
				if len(tt.first) > 0 {
					r.warm(t, Request{Objects: unsized(tt.first...)})
				}
				store.fill, store.head = tt.then, tt.then
				got := r.warm(t, Request{Objects: unsized(tt.keys...), RewarmBefore: time.Now().Add(time.Hour)})
				if diff := cmp.Diff(problemsOf(tt.want, len(tt.keys)), got.Problems, briefly); diff != "" {
					t.Error(diff)
				}
				if n := store.count("head "); tt.heads > 0 && n != tt.heads {
					t.Errorf("%d plain HEADs, want %d", n, tt.heads)
				}
			})
		})
	}
}

func problemsOf(class outcome.Class, n int) []Problem {
	return []Problem{{Class: class, Reason: outcome.FillFailed, Count: n}}
}

// TestFailsAloneOnRecord: also where a plain HEAD is all that is asked for, and in
// the confirmation.
func TestFailsAloneOnRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{fill: always("e"), head: always("e")}
		r := newRig(t, store)
		r.warm(t, Request{Objects: unsized("a", "k")})
		store.head = func(_ context.Context, ref object.Ref) (Answer, error) {
			if ref.Key == "k" {
				return Answer{}, failure(outcome.Transient, ref)
			}
			return answerOf("e"), nil
		}
		got := r.warm(t, Request{Objects: unsized("k"), EventTime: time.Now().Add(-time.Hour)})
		if diff := cmp.Diff(problemsOf(outcome.Failed, 1), got.Problems, briefly); diff != "" {
			t.Errorf("%s%v", diff, got.Failures)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newCacheStore()
		r := newRig(t, &s.fakeStore).confirming(t, confirm.Probe, s)
		r.learn(t)
		well := s.head
		s.head = func(ctx context.Context, ref object.Ref) (Answer, error) {
			if ref.Key == "k" {
				return Answer{}, failure(outcome.Transient, ref)
			}
			return well(ctx, ref)
		}
		got := r.warm(t, Request{Objects: unsized("k")})
		if diff := cmp.Diff(problemsOf(outcome.Failed, 1), got.Problems, briefly); diff != "" {
			t.Errorf("%s%v", diff, got.Failures)
		}
	})
}

// TestFailingIsForgotten: keys that fared like this one long ago, or were answered
// for since, say nothing.
func TestFailingIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeStore{fill: always("e")})
		r.warm(t, Request{Objects: unsized("a", "b")})
		ok := func(key string) bool {
			_, ok := r.guard.buckets.witness(ckpt(key))
			return ok
		}
		for i := range ownKeys - 1 {
			if !ok(fmt.Sprint("k", i)) {
				t.Fatalf("after %d", i)
			}
		}
		for i := range 10 { // and no more are remembered
			if ok(fmt.Sprint("k", ownKeys+i)) {
				t.Error("many are few")
			}
		}
		if n := len(r.guard.buckets.buckets["ckpt"].answers.failing); n != ownKeys {
			t.Errorf("%d keys are remembered", n)
		}
		r.warm(t, Request{Objects: unsized("k0", "k1")})
		if !ok("k2") {
			t.Error("two of them were answered for since")
		}
		ok("k6")
		ok("k7")
		if ok("k2") {
			t.Error("many are few again")
		}
		time.Sleep(failingFor + time.Second) // of the bubble's clock
		if !ok("k9") {
			t.Error("all that was long ago")
		}
	})
}
