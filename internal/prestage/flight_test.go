package prestage

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// versions is a store with one object that is overwritten at times. A fill takes
// ten seconds and tells the version that was there when it was asked for.
type versions struct {
	began time.Time
	at    []time.Duration // when version i+1 was written; version 0 is there from the start

	sameBytes, sameSecond bool // what does not tell the versions apart
}

func (v versions) now() Answer {
	n := 0
	for _, at := range v.at {
		if time.Since(v.began) >= at {
			n++
		}
	}
	a := answerOf(fmt.Sprint("e", n))
	if v.sameBytes {
		a.ETag = "e0"
	}
	a.LastModified = v.began.UTC().Truncate(time.Second)
	if !v.sameSecond {
		a.LastModified = a.LastModified.Add(time.Duration(n) * time.Second)
	}
	return a
}

func (v versions) store() *fakeStore {
	return &fakeStore{
		headBucket: func(context.Context, string) error { return nil },
		head:       func(context.Context, object.Ref) (Answer, error) { return v.now(), nil },
		list: func(prefix, _ string) (Page, error) {
			a := v.now()
			return Page{Objects: []object.Attrs{{Ref: ckpt(prefix + "k"), Version: a.Version, Size: a.Size}}}, nil
		},
		fill: func(context.Context, object.Ref) (Answer, error) {
			a := v.now()
			time.Sleep(10 * time.Second) // of the bubble's clock
			return a, nil
		},
	}
}

// TestTwoEvents has a second event name an object while the first one's fill
// is under way.
func TestTwoEvents(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		overwritten []time.Duration
		seen        time.Duration // when the second event came; it is handled at 5 s
		prefix      bool
		sameBytes   bool
		sameSecond  bool
		requests    []string
		second      Counts
		record      string
	}{
		"seen before the first asked": {
			seen:     -time.Second,
			requests: []string{"fill p/k"}, second: Counts{Total: 1, Filled: 1}, record: "e0",
		},
		"seen later, nothing written": {
			seen:     5 * time.Second,
			requests: []string{"fill p/k", "head p/k"}, second: Counts{Total: 1, AlreadyWarm: 1}, record: "e0",
		},
		"seen later, overwritten during the fill": {
			seen: 5 * time.Second, overwritten: []time.Duration{2 * time.Second},
			requests: []string{"fill p/k", "head p/k", "fill p/k"}, second: Counts{Total: 1, Filled: 1}, record: "e1",
		},
		"the same bytes written again": {
			seen: 5 * time.Second, overwritten: []time.Duration{2 * time.Second}, sameBytes: true,
			requests: []string{"fill p/k", "head p/k", "fill p/k"}, second: Counts{Total: 1, Filled: 1}, record: "e0",
		},
		"other bytes in the same second": {
			seen: 5 * time.Second, overwritten: []time.Duration{2 * time.Second}, sameSecond: true,
			requests: []string{"fill p/k", "head p/k", "fill p/k"}, second: Counts{Total: 1, Filled: 1}, record: "e1",
		},
		"seen before, listed with other bytes in the same second": {
			seen: -time.Second, prefix: true, overwritten: []time.Duration{2 * time.Second}, sameSecond: true,
			requests: []string{"fill p/k", "list p/", "fill p/k"}, second: Counts{Total: 1, Filled: 1}, record: "e1",
		},
		"listed later, nothing written": {
			seen: 5 * time.Second, prefix: true,
			requests: []string{"fill p/k", "list p/"}, second: Counts{Total: 1, AlreadyWarm: 1}, record: "e0",
		},
		"listed later, overwritten during the fill": {
			seen: 5 * time.Second, prefix: true, overwritten: []time.Duration{2 * time.Second},
			requests: []string{"fill p/k", "list p/", "fill p/k"}, second: Counts{Total: 1, Filled: 1}, record: "e1",
		},
		"seen before, listed after it was overwritten": {
			seen: -time.Second, prefix: true, overwritten: []time.Duration{2 * time.Second},
			requests: []string{"fill p/k", "list p/", "fill p/k"}, second: Counts{Total: 1, Filled: 1}, record: "e1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := versions{began: time.Now(), at: tt.overwritten, sameBytes: tt.sameBytes, sameSecond: tt.sameSecond}
				store := v.store()
				r := newRig(t, store)
				first := make(chan Report)
				go func() { first <- r.warm(t, Request{Objects: unsized("p/k"), Seen: v.began}) }()
				time.Sleep(5 * time.Second) // of the bubble's clock
				req := Request{Objects: unsized("p/k"), Seen: v.began.Add(tt.seen)}
				if tt.prefix {
					req.Objects, req.Prefix, req.Complete = nil, ckpt("p/"), true
				}
				second := r.warm(t, req)
				if got := <-first; got.Objects.Filled != 1 {
					t.Errorf("first: %+v", got)
				}
				if diff := cmp.Diff(tt.second, second.Objects); diff != "" {
					t.Errorf("second (-want +got):\n%s", diff)
				}
				var requests []string
				for _, q := range store.requests() {
					if q != "head bucket ckpt" {
						requests = append(requests, q)
					}
				}
				if diff := cmp.Diff(tt.requests, requests); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
				rec, err := r.ledger.Get(t.Context(), ckpt("p/k"))
				if err != nil || rec.ETag != tt.record {
					t.Errorf("on record: %+v, %v", rec, err)
				}
				if n := r.metric(t, "prestage_fill_seconds", ""); int(n) != store.count("fill") {
					t.Errorf("%v fills were timed", n)
				}
			})
		})
	}
}

// TestSharedFillOutlivesItsLeader cuts the event that asked first.
func TestSharedFillOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := versions{began: time.Now()}
		store := v.store()
		r := newRig(t, store)
		ctx, cut := context.WithTimeout(t.Context(), 7*time.Second)
		defer cut()
		first := make(chan Report)
		go func() {
			first <- r.warmer.Warm(ctx, t.Context(), Request{Objects: unsized("k"), Seen: v.began}, NewProgress())
		}()
		time.Sleep(5 * time.Second) // of the bubble's clock
		second := r.warm(t, Request{Objects: unsized("k"), Seen: v.began.Add(-time.Second)})
		if got := <-first; len(got.Problems) != 1 || got.Problems[0].Class != outcome.Interrupted {
			t.Errorf("first: %+v", got)
		}
		if second.Objects.Filled != 1 || store.count("fill") != 1 {
			t.Errorf("second: %+v, %v", second, store.requests())
		}
	})
}

// TestStaleFlightThatFailed makes the second event ask for itself.
func TestStaleFlightThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := true
		store := &fakeStore{headBucket: func(context.Context, string) error { return nil }}
		store.fill = func(_ context.Context, ref object.Ref) (Answer, error) {
			time.Sleep(10 * time.Second) // of the bubble's clock
			if first {
				first = false
				return Answer{}, failure(outcome.Refused, ref)
			}
			return answerOf("e"), nil
		}
		r := newRig(t, store)
		done := make(chan Report)
		go func() { done <- r.warm(t, Request{Objects: unsized("k"), Seen: time.Now()}) }()
		time.Sleep(5 * time.Second) // of the bubble's clock
		second := r.warm(t, Request{Objects: unsized("k"), Seen: time.Now()})
		if got := <-done; got.Objects.Failed != 1 || second.Objects.Filled != 1 {
			t.Errorf("first %+v, second %+v", got, second)
		}
	})
}
