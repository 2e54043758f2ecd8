package prestage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// purse is a Budget that is empty until it is opened.
type purse struct {
	open chan struct{}

	mu                      sync.Mutex
	asked, filled, uncalled []int64 // sizes; uncalled: filled without asking
}

func (p *purse) note(to *[]int64, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*to = append(*to, bytes)
}

func (p *purse) Start(ctx context.Context, size int64) (func(int64), error) {
	p.note(&p.asked, size)
	select {
	case <-p.open:
		return func(filled int64) { p.note(&p.filled, filled) }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *purse) Count(bytes int64) { p.note(&p.uncalled, bytes) }

// budgetRig has a budget and one permit.
func budgetRig(t *testing.T) (*rig, *purse) {
	t.Helper()
	r := newRigOf(t, &fakeStore{
		fill: always("e"), head: always("e"),
		headBucket: func(context.Context, string) error { return nil },
	}, 1)
	p := &purse{open: make(chan struct{})}
	r.warmer.budget = p
	return r, p
}

func TestRoutineWorkWaitsForTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, p := budgetRig(t)
		var routine Report
		var told atomic.Int64
		var all sync.WaitGroup
		sized := object.Attrs{Ref: ckpt("sized"), Size: 700}
		all.Go(func() {
			routine = r.warm(t, Request{Objects: append(unsized("unknown"), sized), Priority: Routine, Waiting: func() { told.Add(1) }})
		})
		time.Sleep(toldAfter - 1) // of the bubble's clock
		synctest.Wait()
		if n := told.Load(); n != 0 {
			t.Errorf("%d fills tell at once that they wait", n)
		}
		if n := r.guard.limiter.InFlight(); n != 0 {
			t.Errorf("%d permits are held by who waits", n)
		}
		if got := r.warm(t, Request{Objects: unsized("model")}); got.Objects.Filled != 1 { // needs the permit
			t.Errorf("a model: %+v", got)
		}
		time.Sleep(time.Hour) // of the bubble's clock; one fill may take a minute
		if diff := cmp.Diff([]string{"head unknown", "fill model"}, r.store.requests()); diff != "" {
			t.Errorf("requests while it waits (-want +got):\n%s", diff)
		}
		if n := told.Load(); n != 1 { // of one permit's worth of work
			t.Errorf("%d fills told that they wait", n)
		}
		close(p.open)
		all.Wait()
		if routine.Objects.Filled != 2 || len(routine.Problems) > 0 {
			t.Errorf("%+v", routine)
		}
		if diff := cmp.Diff([][]int64{{1000}, {1000, 1000}}, [][]int64{p.uncalled, p.filled}); diff != "" {
			t.Errorf("counted, and filled (-want +got):\n%s", diff)
		}
		if got := p.asked; len(got) != 2 || got[0]+got[1] != 1700 {
			t.Errorf("asked for %v", got)
		}
	})
}

// TestUrgentCallerNeedNotWait has a model join a fill that waits for the budget,
// and one that waits for a replay's pace.
func TestUrgentCallerNeedNotWait(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]Priority{"the budget": Routine, "the pace": Backfill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, purse := budgetRig(t)
				req := Request{Objects: unsized("k"), Priority: p, Seen: time.Now()}
				if p == Backfill {
					r.warmer.budget, req.Pace = nil, purse
				}
				var waits Report
				var all sync.WaitGroup
				all.Go(func() { waits = r.warm(t, req) })
				synctest.Wait()
				got := r.warm(t, Request{Objects: unsized("k"), Seen: req.Seen})
				all.Wait()
				if got.Objects.Filled != 1 || waits.Objects.Filled != 1 || r.store.count("fill") != 1 {
					t.Errorf("%+v and %+v, requests %v", got.Objects, waits.Objects, r.store.requests())
				}
				if p == Routine && !cmp.Equal(purse.uncalled, []int64{1000}) {
					t.Errorf("counted: %v", purse.uncalled)
				}
			})
		})
	}
}

// TestWarmedMeanwhile has another replica fill an object while ours waits.
func TestWarmedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, p := budgetRig(t)
		var got Report
		var all sync.WaitGroup
		all.Go(func() { got = r.warm(t, Request{Objects: unsized("k"), Priority: Routine, EventTime: time.Now()}) })
		synctest.Wait()
		time.Sleep(time.Minute) // of the bubble's clock
		r.ledger.Put(t.Context(), dedupe.Entry{
			Attrs: object.Attrs{Ref: ckpt("k"), Version: object.Version{ETag: "e"}, Size: 1000}, Verdict: outcome.Accepted, At: time.Now(),
		}, 0, func(error) {})
		close(p.open)
		all.Wait()
		if got.Objects.AlreadyWarm != 1 || r.store.count("fill") != 0 || !cmp.Equal(p.filled, []int64{-1}) {
			t.Errorf("%+v, requests %v, told %v", got.Objects, r.store.requests(), p.filled)
		}
	})
}

func TestWaitForTheBudgetEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, p := budgetRig(t)
		start, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, stop)
		got := r.warmer.Warm(t.Context(), start, Request{Objects: unsized("k"), Priority: Routine}, NewProgress())
		if len(got.Problems) != 1 || !errors.Is(got.Problems[0].Sample, outcome.Interrupted) || r.store.count("fill") != 0 {
			t.Errorf("%+v, requests %v", got, r.store.requests())
		}
		// A size that nobody can tell, since the object is gone.
		r.store.head = fails(outcome.Failed)
		got = r.warm(t, Request{Objects: unsized("k"), Priority: Routine, MissingIsGone: true})
		if got.Skips[outcome.Gone] != 1 || len(p.asked) != 1 {
			t.Errorf("%+v, asked for %v", got, p.asked)
		}
	})
}
