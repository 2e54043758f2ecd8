package prestage

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prestage/prestage/internal/confirm"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// maxRelists is how often a prefix is listed again after its fill.
const maxRelists = 3

// Warmer makes Requests warm. It is safe for concurrent use.
type Warmer struct {
	store       Filler
	planner     *Planner
	guard       *Guard
	ledger      dedupe.Ledger
	flights     dedupe.Flights[fill]
	active      [priorities]atomic.Int64 // events being warmed
	ttl         time.Duration
	fillTimeout time.Duration
	cacheBytes  int64
	dryRun      bool
	confirmer   *confirm.Confirmer // nil: a 2xx will do
	reader      Reader             // for it
	budget      Budget             // nil: no limit
	metrics     *Metrics
	log         *slog.Logger
}

// WarmerConfig is what a Warmer needs; all of it is required, but for what
// confirms and limits fills.
type WarmerConfig struct {
	Store       Filler
	Planner     *Planner
	Guard       *Guard // the planner's
	Ledger      dedupe.Ledger
	TTL         time.Duration // how long a record counts as warm
	FillTimeout time.Duration // the longest one fill may take, its confirmation included
	CacheBytes  int64         // a plan with more is refused; 0: none is
	DryRun      bool          // plain HEADs instead of fills, which end as skipped: dry_run
	Confirmer   *confirm.Confirmer
	Reader      Reader // with Confirmer
	Budget      Budget // nil: none
	Metrics     *Metrics
	Log         *slog.Logger
}

// NewWarmer checks c.
func NewWarmer(c WarmerConfig) (*Warmer, error) {
	switch {
	case c.Store == nil, c.Planner == nil, c.Guard == nil, c.Ledger == nil, c.Metrics == nil, c.Log == nil:
		return nil, errors.New("warmer: a dependency is missing")
	case c.Confirmer != nil && c.Reader == nil:
		return nil, errors.New("warmer: a reader is missing")
	case c.TTL <= 0, c.FillTimeout <= 0:
		return nil, errors.New("warmer: TTL and fill time-out must be positive")
	}
	if c.DryRun {
		c.Store = dryStore{c.Store}
	}
	c.Guard.limiter.watch(func(n int) { c.Metrics.limit.Set(float64(n)) })
	return &Warmer{
		store: c.Store, planner: c.Planner, guard: c.Guard, ledger: c.Ledger,
		ttl: c.TTL, fillTimeout: c.FillTimeout, cacheBytes: c.CacheBytes, dryRun: c.DryRun, confirmer: c.Confirmer, reader: c.Reader, budget: c.Budget, metrics: c.Metrics, log: c.Log,
	}, nil
}

// Warm plans req and has every object of the plan filled that is not warm yet.
// It returns when all of that has ended and the ledger has confirmed it, so the
// Report may be believed. When ctx ends, requests under way are cut; when start
// ends, no new one is begun and those under way go on. Either leaves a Problem
// of class Interrupted. done is what this event filled in earlier attempts, and
// gains what it fills now.
func (w *Warmer) Warm(ctx, start context.Context, req Request, done *Progress) Report {
	begin, stop := joined(ctx, start)
	defer stop()
	w.active[req.Priority].Add(1)
	defer w.active[req.Priority].Add(-1)
	e := &event{
		Warmer: w, req: req, done: done, flow: w.guard.limiter.NewFlow(req.Priority),
		crew:  newCrew(w, req.Priority),
		tally: tally{metrics: w.metrics, endpoint: w.guard.endpoint}, advice: advice{Planner: w.planner},
	}
	if w.confirmer != nil {
		e.sample = w.confirmer.NewSample()
		e.tally.doubtful = confirm.MaxSample
	}
	e.earlier, e.recheck = done.begin(w.planner.room)
	defer done.end()
	err := e.fits(begin)
	if err == nil {
		err = e.passes(ctx, start, begin)
	}
	if err != nil {
		e.tally.fail(err)
	}
	e.confirm(ctx, start)
	e.puts.Wait()
	return e.tally.done()
}

// event is one call of Warm.
type event struct {
	*Warmer
	req     Request
	done    *Progress
	earlier sizes       // what earlier attempts filled, as far as the plan does not tell it
	recheck bool        // whether that is what is there now
	fresh   atomic.Bool // this pass showed something new

	flow  *Flow
	crew  *crew          // bounds goroutines, most of which may be waiting without a permit
	work  sync.WaitGroup // they
	puts  sync.WaitGroup // ledger writes that are not confirmed
	tally tally

	advice advice          // of its last attempt
	sample *confirm.Sample // of what was filled; nil where a 2xx will do
}

// claim is the event's, for a request of a run or else of its own.
func (e *event) claim(run *dedupe.Run) Claim { return Claim{e.flow, run} }

// caller is the event as one who wants a flight's result.
func (e *event) caller() dedupe.Caller {
	return dedupe.Caller{Seen: e.req.Seen, Priority: int(e.req.Priority)}
}

// passes walks the plan, and again as long as a prefix that is not said to be
// complete shows something new. Begin is start, or the end of ctx.
func (e *event) passes(ctx, start, begin context.Context) error {
	relists := 0
	if e.req.Prefix.Bucket != "" && !e.req.Complete {
		relists = maxRelists
	}
	plan := e.req
	plan.AskSizes = false // of what is to be filled they are asked for when its turn comes
	var problems []*outcome.Error
	for pass := 0; ; pass++ {
		e.fresh.Store(false)
		window := spread{limit: e.window()}
		sum, err := e.planner.Walk(begin, plan, func(i Item) error {
			t := turn{Item: i, hash: hashOf(i)}
			if relists > 0 {
				again, forgot := e.done.see(t.hash)
				if again || (pass > 0 && i.Skip == outcome.Gone) {
					return nil
				}
				t.perhapsTold = forgot && pass > 0
			}
			if e.known(ctx, t) {
				return nil
			}
			if t, ok := window.add(t); ok {
				return e.take(ctx, start, begin, t)
			}
			return nil
		})
		for t, ok := window.next(); ok; t, ok = window.next() {
			if takeErr := e.take(ctx, start, begin, t); takeErr != nil {
				err = takeErr
				break
			}
		}
		e.work.Wait()
		if pass > 0 && errors.Is(err, outcome.Failed) && outcome.As(err).Reason == outcome.NotFound {
			err = nil // deleted while we filled it
		} else {
			problems = sum.Problems
		}
		if err == nil && e.fresh.Load() && pass < relists {
			continue
		}
		for _, p := range problems {
			e.tally.fail(p)
		}
		if err == nil {
			err = e.checkBytes(sum)
		}
		return err
	}
}

// checkBytes compares what the objects turned out to have with what was
// announced, unless the plan knew it from the store itself.
func (e *event) checkBytes(sum Summary) error {
	bytes, known := e.tally.total()
	listed := e.req.Prefix.Bucket != "" && sum.Unsized == 0
	if listed || !known || len(sum.Problems) > 0 || bytes >= e.req.TotalBytes {
		return nil
	}
	e.done.setShort()
	return incomplete(e.req, "%d bytes of %d announced", bytes, e.req.TotalBytes)
}

// turn is an item whose turn it is.
type turn struct {
	Item
	hash uint64 // of the item
	// perhapsTold: an earlier pass may have told of it already, and what it
	// would tell again then is that it is warm, or skipped.
	perhapsTold bool
	asked       int64 // its size, where nobody told it and it was asked for; 0: it was not
}

// size is the item's, as far as it is known.
func (i turn) size() int64 {
	if i.Size == object.UnknownSize && i.asked > 0 {
		return i.asked
	}
	return i.Size
}

// known tells of an item whose fate needs nobody to be asked.
func (e *event) known(ctx context.Context, i turn) bool {
	if i.Skip != "" {
		e.tell(ctx, i, fate{skip: i.Skip, bytes: i.Size})
		return true
	}
	if verdict, ok := e.done.filled(i.hash); ok && (i.Current || !e.recheck) {
		e.tally.carry(e.earlier)
		e.earlier = sizes{}
		e.tell(ctx, i, fate{bytes: max(i.Size, 0), verdict: verdict})
		return true
	}
	return false
}

// take has one item handled. It returns when that has begun, so a long listing
// is read no faster than its objects are filled.
func (e *event) take(ctx, start, begin context.Context, i turn) error {
	if err := e.crew.join(begin); err != nil {
		return err
	}
	e.work.Go(func() {
		defer e.crew.leave()
		e.tell(ctx, i, e.handle(ctx, start, i))
	})
	return nil
}

// tell counts and logs what became of an item.
func (e *event) tell(ctx context.Context, i turn, f fate) {
	if i.perhapsTold && (f.warm || f.skip != "") {
		return
	}
	if e.dryRun {
		f = f.dry()
	}
	e.fresh.Store(true)
	e.tally.add(i.Ref, f)
	r := Result{Ref: i.Ref, Outcome: f.kind(), Reason: f.skip, Archived: f.archived}
	if f.skip == "" || f.skip == outcome.DryRun {
		r.Bytes = max(f.bytes, 0)
	}
	if f.err != nil {
		r.Reason, r.Err = f.err.Reason, f.err
	}
	attrs := []slog.Attr{
		slog.String("uri", r.Ref.String()), slog.String("outcome", r.Outcome), slog.Int64("bytes", r.Bytes),
	}
	if r.Reason != "" {
		attrs = append(attrs, slog.String("reason", string(r.Reason)))
	}
	if r.Err != nil {
		attrs = append(attrs, slog.Any("error", r.Err))
	}
	e.log.LogAttrs(ctx, slog.LevelDebug, "object", attrs...)
	if e.req.Observe != nil {
		e.req.Observe(r)
	}
}

// joined returns a context with ctx's values that ends when ctx or start does.
func joined(ctx, start context.Context) (context.Context, context.CancelFunc) {
	both, cancel := context.WithCancel(ctx)
	if start.Err() != nil {
		cancel() // AfterFunc would be a moment late
	}
	stop := context.AfterFunc(start, cancel)
	return both, func() { stop(); cancel() }
}
