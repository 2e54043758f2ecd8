package prestage

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/confirm"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// cacheStore is a store behind a cache that fills within 100 ms, when it does.
type cacheStore struct {
	fakeStore
	size int64
	slow bool // hits as slow as misses

	mu     sync.Mutex
	drops  map[string]int // fills of a key that never happen
	etags  map[string]string
	cached map[string]time.Time
}

func newCacheStore() *cacheStore {
	s := &cacheStore{size: 10_000_000, drops: make(map[string]int), etags: make(map[string]string), cached: make(map[string]time.Time)}
	answer := func(ref object.Ref) Answer {
		etag := "e"
		if v, ok := s.etags[ref.Key]; ok {
			etag = v
		}
		return Answer{Status: 206, Size: s.size, Version: object.Version{ETag: etag}, Latency: 3 * time.Millisecond}
	}
	s.head = func(_ context.Context, ref object.Ref) (Answer, error) { return answer(ref), nil }
	s.fill = func(_ context.Context, ref object.Ref) (Answer, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.drops[ref.Key] > 0 {
			s.drops[ref.Key]--
		} else if _, ok := s.cached[ref.Key]; !ok {
			s.cached[ref.Key] = time.Now().Add(100 * time.Millisecond)
		}
		return answer(ref), nil
	}
	s.probe = func(ref object.Ref, _ int64) (time.Duration, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		at, ok := s.cached[ref.Key]
		if !s.slow && ok && !time.Now().Before(at) {
			return time.Millisecond, nil
		}
		return 30 * time.Millisecond, nil // and it brings nothing into the cache
	}
	return s
}

// confirming makes the rig's warmer confirm.
func (r *rig) confirming(t *testing.T, mode confirm.Mode, reader Reader) *rig {
	t.Helper()
	c, err := confirm.New(confirm.Config{
		Mode: mode, Concurrency: 16, Rand: rand.New(rand.NewPCG(1, 2)),
		Tells: r.warmer.metrics.EndpointTells, Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.warmer.confirmer, r.warmer.reader = c, reader
	return r
}

// learn has enough filled to tell hits from misses.
func (r *rig) learn(t *testing.T) {
	t.Helper()
	r.warm(t, Request{Objects: unsized("learn-1", "learn-2", "learn-3", "learn-4")})
	if r.metric(t, "prestage_confirm_discriminates", "") != 1 {
		t.Fatal("nothing was learnt")
	}
}

// objects checks what the metrics count: each object once in each attempt.
func (r *rig) objects(t *testing.T, filled, warm, failed float64) {
	t.Helper()
	want := map[string]float64{"filled": filled, "already_warm": warm, "failed": failed}
	got := make(map[string]float64)
	for label := range want {
		got[label] = r.metric(t, "prestage_objects_total", label)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("prestage_objects_total (-want +got):\n%s", diff)
	}
}

func verdictOnRecord(t *testing.T, r *rig, key string) outcome.Verdict {
	t.Helper()
	rec, err := r.ledger.Get(t.Context(), ckpt(key))
	if err != nil {
		t.Fatal(err)
	}
	return rec.Verdict
}

// TestProbeVerifies: the first event too, by the reads that it makes before.
func TestProbeVerifies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newCacheStore()
		r := newRig(t, &s.fakeStore).confirming(t, confirm.Probe, s)
		got := r.warm(t, Request{Objects: unsized("a")})
		want := Report{Objects: Counts{Total: 1, Filled: 1}, Bytes: s.size, Verdict: outcome.Verified, Confirmed: &Confirmed{1, 1}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if v := verdictOnRecord(t, r, "a"); v != outcome.Verified {
			t.Errorf("on record as %s", v)
		}
		before := len(s.requests())
		got = r.warm(t, Request{Objects: []object.Attrs{{Ref: ckpt("a"), Version: object.Version{ETag: "e"}, Size: s.size}}, EventTime: time.Now().Add(-time.Hour)})
		if got.Objects.AlreadyWarm != 1 || got.Verdict != outcome.Verified || len(s.requests()) != before {
			t.Errorf("%+v, %v: a verified record satisfies", got, s.requests()[before:])
		}
	})
}

// TestProbeAsksAgain: a fill that never happened is a failed attempt, and the next
// one sends the HEAD again, and only for that object.
func TestProbeAsksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newCacheStore()
		r := newRig(t, &s.fakeStore).confirming(t, confirm.Probe, s)
		r.learn(t)
		s.drops["b"] = 3 // the HEADs of the first attempt
		req, done := Request{Objects: unsized("a", "b", "c")}, NewProgress()
		got := r.warmer.Warm(t.Context(), t.Context(), req, done)
		if got.Objects != (Counts{Total: 3, Filled: 2, Failed: 1}) || got.Bytes != 2*s.size || len(got.Problems) != 1 ||
			got.Problems[0].Class != outcome.Failed || got.Problems[0].Reason != outcome.Unconfirmed {
			t.Errorf("first attempt: %+v", got)
		}
		r.objects(t, 4+2, 0, 1)
		before := s.count("fill")
		got = r.warmer.Warm(t.Context(), t.Context(), req, done)
		want := Report{Objects: Counts{Total: 3, Filled: 3}, Bytes: 3 * s.size, Verdict: outcome.Verified, Confirmed: &Confirmed{3, 3}}
		if diff := cmp.Diff(want, got); diff != "" || s.count("fill") != before+1 {
			t.Errorf("second attempt: %d HEADs, %s", s.count("fill")-before, diff)
		}
	})
}

// TestProbeOfWhatWasAccepted: another mode's record is confirmed without a HEAD.
func TestProbeOfWhatWasAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newCacheStore()
		r := newRig(t, &s.fakeStore)
		named := []object.Attrs{{Ref: ckpt("a"), Version: object.Version{ETag: "e"}, Size: s.size}}
		event := Request{Objects: named, EventTime: time.Now()}
		if got := r.warm(t, event); got.Verdict != outcome.Accepted || verdictOnRecord(t, r, "a") != outcome.Accepted {
			t.Fatalf("%+v", got)
		}
		r.confirming(t, confirm.Probe, s)
		r.learn(t)
		before := s.count("fill")
		got := r.warm(t, event)
		if got.Objects.AlreadyWarm != 1 || got.Verdict != outcome.Verified || s.count("fill") != before {
			t.Errorf("%+v after %d HEADs", got, s.count("fill")-before)
		}
		if v := verdictOnRecord(t, r, "a"); v != outcome.Verified {
			t.Errorf("on record as %s", v)
		}

		// What is not there any more is asked for in the next attempt.
		delete(s.cached, "a")
		rec, _ := r.ledger.Get(t.Context(), ckpt("a"))
		rec.Verdict = outcome.Accepted
		r.ledger.Put(t.Context(), rec.Entry, rec.Revision, func(error) {})
		synctest.Wait()
		s.drops["a"] = 2 // what the rounds ask for
		done := NewProgress()
		if got := r.warmer.Warm(t.Context(), t.Context(), event, done); got.Objects.Failed != 1 || got.Objects.AlreadyWarm != 0 {
			t.Errorf("gone: %+v", got)
		}
		r.objects(t, 1+4, 1, 1)
		if got := r.warmer.Warm(t.Context(), t.Context(), event, done); got.Objects.Filled != 1 || got.Verdict != outcome.Verified {
			t.Errorf("asked for again: %+v", got)
		}
	})
}

// TestProbeIsStrict: where hits and misses are alike, and where the answer tells
// too little.
func TestProbeIsStrict(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*cacheStore){
		"alike":        func(s *cacheStore) { s.slow = true },
		"no ETag":      func(s *cacheStore) { s.etags["a"] = "" },
		"unknown size": func(s *cacheStore) { s.size = object.UnknownSize },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newCacheStore()
				change(s)
				r := newRig(t, &s.fakeStore).confirming(t, confirm.Probe, s)
				got := r.warm(t, Request{Objects: unsized("a")})
				if got.Objects != (Counts{Total: 1, Failed: 1}) || got.Confirmed != nil {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// TestProbeOfSmallObjects: one whose size is told only by the answer is skipped like
// one whose size was known, in each attempt. What the user wants warm although it
// is small has to come at cache speed, too.
func TestProbeOfSmallObjects(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size, minBytes int64
		mode           confirm.Mode
		want           Report
	}{
		"small":        {4_000_000, 4_000_000, confirm.Probe, Report{Objects: Counts{Total: 1, Skipped: 1}, Skips: map[outcome.Reason]int{outcome.TooSmall: 1}}},
		"a few bytes":  {999, 0, confirm.Probe, Report{Objects: Counts{Total: 1, Skipped: 1}, Skips: map[outcome.Reason]int{outcome.TooSmall: 1}}},
		"wanted":       {1000, 0, confirm.Probe, Report{Objects: Counts{Total: 1, Filled: 1}, Bytes: 1000, Verdict: outcome.Verified, Confirmed: &Confirmed{1, 1}}},
		"2xx would do": {4_000_000, 4_000_000, confirm.Auto, Report{Objects: Counts{Total: 1, Filled: 1}, Bytes: 4_000_000, Verdict: outcome.Accepted}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newCacheStore()
				s.size = tt.size
				r := newRig(t, &s.fakeStore).confirming(t, tt.mode, s)
				r.planner.minBytes = tt.minBytes
				req, done := Request{Objects: unsized("a"), EventTime: time.Now()}, NewProgress()
				for range 2 {
					got := r.warmer.Warm(t.Context(), t.Context(), req, done)
					got.Objects.Filled += got.Objects.AlreadyWarm // of the second attempt
					got.Objects.AlreadyWarm = 0
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				}
				if n := s.count("fill"); n != 1 {
					t.Errorf("asked for %d times", n)
				}
			})
		})
	}
}

// TestReadsThatFail are the store's failure, which costs no attempt; an object that
// is another one by now has failed itself.
func TestReadsThatFail(t *testing.T) {
	t.Parallel()
	for class, status := range map[outcome.Class]int{
		outcome.Transient: 500, outcome.Refused: 403, outcome.Failed: 412,
	} {
		t.Run(class.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newCacheStore()
				r := newRig(t, &s.fakeStore).confirming(t, confirm.Probe, s)
				r.learn(t)
				s.probe = func(ref object.Ref, _ int64) (time.Duration, error) {
					return 0, &outcome.Error{Op: "probe", Ref: ref, Status: status, Class: class, Reason: outcome.Unconfirmed}
				}
				got := r.warm(t, Request{Objects: unsized("a")})
				if len(got.Problems) != 1 || got.Problems[0].Class != class || got.Objects.Failed != 1 {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// TestNoReadsWhileThrottled: not even those that had begun to wait for a permit
// before.
func TestNoReadsWhileThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newCacheStore()
		r := newRigOf(t, &s.fakeStore, 1).confirming(t, confirm.Probe, s)
		r.learn(t)
		probe := s.probe
		var throttled time.Time
		early := 0
		s.probe = func(ref object.Ref, offset int64) (time.Duration, error) {
			switch {
			case throttled.IsZero():
				throttled = time.Now()
				r.warmer.confirmer.Request(true)
			case time.Since(throttled) < 30*time.Second:
				early++
			}
			return probe(ref, offset)
		}
		if got := r.warm(t, Request{Objects: unsized("a")}); got.Verdict != outcome.Verified || throttled.IsZero() || early > 0 {
			t.Errorf("%+v, %d reads while throttled", got, early)
		}
	})
}

// TestAutoAccepts at once what it knows nothing of, and reads nothing without a
// share to do so.
func TestAutoAccepts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newCacheStore()
		r := newRig(t, &s.fakeStore).confirming(t, confirm.Auto, s)
		began := time.Now()
		got := r.warm(t, Request{Objects: unsized("a", "b", "c")})
		if got.Objects.Filled != 3 || got.Verdict != outcome.Accepted || got.Confirmed != nil || time.Since(began) > time.Millisecond {
			t.Errorf("%+v after %s", got, time.Since(began))
		}
		if n := s.count("probe") + s.count("head"); n != 0 {
			t.Errorf("%d requests beside the HEADs that fill", n)
		}
		if got := r.metric(t, "prestage_confirm_discriminates", ""); got != 0 {
			t.Errorf("the endpoint tells: %v", got)
		}
	})
}

// TestAutoLearnsSynchrony of events that tell no sizes, as most do.
func TestAutoLearnsSynchrony(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const head = 3 * time.Millisecond
		answer := func(ref object.Ref) Answer {
			n, _ := strconv.Atoi(ref.Key)
			return Answer{Status: 206, Size: int64(5_000_000 + 23_000_000*(n*7%30)/30), Version: object.Version{ETag: "e"}, Latency: head}
		}
		s := &fakeStore{
			head: func(_ context.Context, ref object.Ref) (Answer, error) { return answer(ref), nil },
			fill: func(_ context.Context, ref object.Ref) (Answer, error) {
				a := answer(ref)
				a.Latency += time.Duration(a.Size) // 1 GB/s
				return a, nil
			},
		}
		r := newRig(t, s).confirming(t, confirm.Auto, newCacheStore())
		synchronous := 0
		for i := range 30 {
			got := r.warm(t, Request{Objects: unsized(strconv.Itoa(i))})
			if got.Verdict == outcome.Synchronous {
				synchronous++
			}
		}
		if synchronous < 10 || r.metric(t, "prestage_confirm_discriminates", "") != 1 {
			t.Errorf("%d of 30 are known as synchronous", synchronous)
		}
		if n := s.count("head"); n < 3 || n > 6 {
			t.Errorf("%d plain HEADs", n)
		}
	})
}

// TestWaitingHoldsNothing: no permit and no place of the crew, and it ends when
// the daemon drains.
func TestWaitingHoldsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newCacheStore()
		s.size = 1_000_000_000
		r := newRigOf(t, &s.fakeStore, 1).confirming(t, confirm.Probe, s)
		start, drain := context.WithCancel(t.Context())
		done := make(chan Report)
		go func() {
			done <- r.warmer.Warm(t.Context(), start, Request{Objects: unsized("a")}, NewProgress())
		}()
		time.Sleep(time.Second) // of the bubble's clock: it waits for the first round
		if n := r.guard.limiter.InFlight(); n != 0 || s.count("fill") != 1 {
			t.Errorf("%d permits are held, %v", n, s.requests())
		}
		s.size = 5_000_000
		if got := r.warm(t, Request{Objects: unsized("b")}); got.Objects.Filled != 1 {
			t.Errorf("meanwhile: %+v", got)
		}
		drain()
		if got := <-done; len(got.Problems) != 1 || got.Problems[0].Class != outcome.Interrupted {
			t.Errorf("drained: %+v", got)
		}
	})
}

// TestLargeEventIsSampled, and says so.
func TestLargeEventIsSampled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newCacheStore()
		r := newRig(t, &s.fakeStore).confirming(t, confirm.Probe, s)
		var keys []string
		for i := range 200 {
			keys = append(keys, string(rune('A'+i%26))+string(rune('a'+i/26)))
		}
		got := r.warm(t, Request{Objects: unsized(keys...)})
		want := Report{
			Objects: Counts{Total: 200, Filled: 200}, Bytes: 200 * s.size,
			Verdict: outcome.Verified, Confirmed: &Confirmed{confirm.MaxSample, 200},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		verified := 0
		for _, k := range keys {
			if verdictOnRecord(t, r, k) == outcome.Verified {
				verified++
			}
		}
		if verified != confirm.MaxSample {
			t.Errorf("%d are on record as verified", verified)
		}
		r.objects(t, 200, 0, 0)
	})
}
