package prestage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// byKey answers as the first word of the key says.
func byKey(_ context.Context, ref object.Ref) (Answer, error) {
	class, _, _ := strings.Cut(ref.Key, "-")
	switch class {
	case "refused":
		return Answer{}, failure(outcome.Refused, ref)
	case "missing":
		return Answer{}, failure(outcome.Failed, ref)
	case "busy":
		return Answer{}, failure(outcome.Throttled, ref)
	case "broken":
		return Answer{}, failure(outcome.Transient, ref)
	}
	return answerOf("e"), nil
}

func TestBreakerOpens(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		keys string
		open bool
	}{
		"five keys":              {keys: "refused-1 refused-2 refused-3 refused-4 refused-5", open: true},
		"four keys":              {keys: "refused-1 refused-2 refused-3 refused-4 refused-1 refused-2"},
		"one bad key":            {keys: "refused-1 refused-1 refused-1 refused-1 refused-1 refused-1 refused-1"},
		"a good one between":     {keys: "refused-1 refused-2 refused-3 refused-4 good-1 refused-5 refused-6 refused-7 refused-8"},
		"a missing one between":  {keys: "refused-1 refused-2 refused-3 refused-4 missing-1 refused-5", open: true},
		"a busy store":           {keys: "busy-1 busy-2 busy-3 busy-4 busy-5 busy-6"},
		"missing ones":           {keys: "missing-1 missing-2 missing-3 missing-4 missing-5 missing-6"},
		"listings":               {keys: "refused-1/ refused-2/ refused-3/ refused-4/ refused-5/ refused-6/"},
		"a listing between":      {keys: "refused-1 refused-2 refused-3 refused-4 good/ refused-5", open: true},
		"five, and one good one": {keys: "refused-1 refused-2 refused-3 refused-4 refused-5 good-1", open: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, &fakeStore{fill: byKey})
				for key := range strings.FieldsSeq(tt.keys) {
					_ = r.fillOne(t.Context(), r.guard.limiter.NewFlow(Urgent), ckpt(key))
				}
				if open := len(r.guard.Refusing()) > 0; open != tt.open {
					t.Errorf("open: %v", r.guard.Refusing())
				}
				sent := r.store.count("fill")
				err := r.fillOne(t.Context(), r.guard.limiter.NewFlow(Urgent), ckpt("good-9"))
				if held := r.store.count("fill") == sent; held != tt.open || held != errors.Is(err, outcome.Refused) {
					t.Errorf("the next request: %v, held back: %v", err, held)
				}
				other := object.Ref{Bucket: "models-a", Key: "good"}
				if err := r.fillOne(t.Context(), r.guard.limiter.NewFlow(Urgent), other); err != nil {
					t.Errorf("another bucket: %v", err)
				}
			})
		})
	}
}

// TestHeadBucketRefuses: of a bucket that has served nothing yet, two refused keys
// and that suffice. Who may read but not list is refused, too, and is served.
func TestHeadBucketRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		keys string
		head outcome.Class // nil error unless set
		open bool
	}{
		"two keys":                {keys: "refused-1 refused-2", head: outcome.Refused, open: true},
		"one bad key":             {keys: "refused-1 refused-1 refused-1", head: outcome.Refused},
		"served before":           {keys: "good-1 refused-1 refused-2 refused-3", head: outcome.Refused},
		"served between":          {keys: "refused-1 good-1 refused-2 refused-3", head: outcome.Refused},
		"the bucket is there":     {keys: "refused-1 refused-2 refused-3"},
		"HeadBucket is busy":      {keys: "refused-1 refused-2 refused-3", head: outcome.Throttled},
		"there is no such bucket": {keys: "refused-1 refused-2 refused-3", head: outcome.Failed},
		"missing ones":            {keys: "missing-1 missing-2 missing-3", head: outcome.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, &fakeStore{fill: byKey, headBucket: func(_ context.Context, bucket string) error {
					if tt.head == 0 {
						return nil
					}
					return failure(tt.head, object.Ref{Bucket: bucket})
				}})
				for key := range strings.FieldsSeq(tt.keys) {
					_ = r.fillOne(t.Context(), r.guard.limiter.NewFlow(Routine), ckpt(key))
					synctest.Wait()
				}
				got := r.guard.Refusing()
				if open := len(got) > 0; open != tt.open {
					t.Fatalf("open: %+v", got)
				}
				if n := r.store.count("head bucket"); n > 1 {
					t.Errorf("asked %d times", n)
				}
				if tt.open {
					time.Sleep(refusedFor) // of the bubble's clock
				}
				if err := r.fillOne(t.Context(), r.guard.limiter.NewFlow(Routine), ckpt("good-9")); err != nil || len(r.guard.Refusing()) > 0 {
					t.Errorf("a key that is served: %v, %+v", err, r.guard.Refusing())
				}
			})
		})
	}
}

func TestBreakerTriesAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		trial string
		open  bool
	}{
		"served":          {trial: "good-1"},
		"missing":         {trial: "missing-1"},
		"refused":         {trial: "refused-9", open: true},
		"busy":            {trial: "busy-1", open: true},
		"broken":          {trial: "broken-1", open: true},
		"only a listing":  {trial: "good/", open: true},
		"refused as ever": {trial: "refused-1", open: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, &fakeStore{fill: byKey})
				ask := func(key string) error { return r.fillOne(t.Context(), r.guard.limiter.NewFlow(Urgent), ckpt(key)) }
				for i := range refusedKeys {
					_ = ask(fmt.Sprintf("refused-%d", i))
				}
				opened := time.Now()
				time.Sleep(refusedFor - time.Second) // of the bubble's clock
				if err := ask("good-1"); !errors.Is(err, outcome.Refused) || outcome.As(err).Ref.Key != "good-1" {
					t.Errorf("before its time: %v", err)
				}
				time.Sleep(time.Second) // of the bubble's clock
				sent := r.store.count("fill")
				_ = ask(tt.trial)
				if r.store.count("fill") != sent+1 {
					t.Error("no trial")
				}
				got := r.guard.Refusing()
				if (len(got) == 1) != tt.open {
					t.Fatalf("after the trial: %+v", got)
				}
				if !tt.open {
					return
				}
				b := got[0]
				if b.Bucket != "ckpt" || b.Reason != outcome.Forbidden || b.Why == nil || !b.Since.Equal(opened) {
					t.Errorf("%+v", b)
				}
				if strings.HasSuffix(tt.trial, "/") { // that was no trial: this is
					if err := ask("good-2"); err != nil || len(r.guard.Refusing()) > 0 {
						t.Errorf("the trial: %v", err)
					}
					return
				}
				if err := ask("good-2"); !errors.Is(err, outcome.Refused) || r.store.count("fill") != sent+1 || !b.Trial.Equal(opened.Add(2*refusedFor)) {
					t.Errorf("a second trial, before %s: %v", b.Trial, err)
				}
			})
		})
	}
}

// A bucket that never served anybody, and refuses, gets few requests.
func TestNewBucketThatRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		store := &fakeStore{list: listing(1000), fill: func(_ context.Context, ref object.Ref) (Answer, error) {
			sent.Add(1)
			time.Sleep(10 * time.Millisecond) // of the bubble's clock
			return Answer{}, failure(outcome.Refused, ref)
		}}
		r := newRigOf(t, store, 300)
		report := r.warm(t, Request{Prefix: ckpt("p/"), Complete: true})
		if n := sent.Load(); n > firstLimit+refusedKeys {
			t.Errorf("%d requests were sent", n)
		}
		if report.Objects.Failed != 1000 || len(report.Problems) != 1 || report.Problems[0].Class != outcome.Refused {
			t.Errorf("%+v", report)
		}
	})
}
