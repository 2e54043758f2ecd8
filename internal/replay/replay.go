package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/events"
)

// Replay is one replay. All fields above the line are needed.
type Replay struct {
	Selection Selection
	Stream    jetstream.Stream
	Lane      consumer.Config // Name is the replay's
	AckWait   time.Duration
	Subjects  []string // of both lanes, taken when Selection names none
	Kind      func(subject string) events.Kind

	Live      []string // durables of the live lanes, which go first
	Force     bool     // ask also for what is on record as warm
	Durations string   // Since and Until as they were written, when they are counted from now
	Rate      float64  // fills a second, 0: no limit
	MaxBytes  int64    // to be filled, 0: no limit
	// Told, unless nil, hears what there is to say before the work; Failed, unless
	// nil, of each dead letter.
	Told   func(Plan)
	Failed func(consumer.Receipt)

	meter   atomic.Pointer[meter] // nil before there is work
	counts  counts
	reached atomic.Uint64
}

// Plan is what a replay is about to do.
type Plan struct {
	Range   Range
	Dropped *Dropped // nil: the stream has all that was asked for
	// Gaps is how many messages after the stream's first are gone: deleted, or
	// dropped by a limit of each subject.
	Gaps    int
	Lost    int  // of the messages that were named, those that the stream no longer has
	Resumed bool // an earlier one of this name is gone on with
}

// Result is how a replay ended.
type Result struct {
	Progress
	// Capped says that it ended because MaxBytes were filled. Under its name it
	// can be gone on with.
	Capped bool `json:"capped"`
	// Letters counts its dead letters, those of earlier calls under its name
	// included.
	Letters int64 `json:"letters"`
	// Lost is that of the Plan.
	Lost int `json:"lost"`
}

// Progress is how far the replay is now.
func (r *Replay) Progress() Progress {
	p := r.counts.progress(r.meter.Load())
	p.At = r.reached.Load()
	return p
}

// Run replays until all of the range is settled, or fetch ends. Fills under way
// may go on until work ends.
func (r *Replay) Run(work, fetch context.Context) (Result, error) {
	if err := r.Selection.Check(); err != nil {
		return Result{}, err
	}
	stop, err := r.alone(fetch)
	if err != nil {
		return Result{}, err
	}
	defer stop()
	subjects := r.subjects()
	var plan Plan
	resumed := true
	cons, t, err := r.durable(fetch, subjects, func() (task, error) {
		t := task{Asked: r.Selection, Named: digest(r.Selection.Named), Durations: r.Durations}
		resumed = false
		if r.Force {
			t.Force = time.Now().UTC()
		}
		var err error
		plan, err = resolve(fetch, r.Stream, r.Selection)
		t.Range = plan.Range
		return t, err
	})
	if err != nil {
		return Result{}, err
	}
	plan.Range, plan.Resumed = t.Range, resumed
	named, err := r.tell(fetch, plan)
	if err != nil {
		return Result{}, err
	}
	var result Result
	if cons != nil { // else nothing is in the range
		wants, err := r.choose(fetch, t.Range, subjects, named)
		if err != nil {
			return Result{}, err
		}
		result, err = r.work(work, fetch, cons, t, wants)
		if err != nil {
			return result, err
		}
	}
	result.Lost = len(r.Selection.Named) - len(named)
	return result, nil
}

func (r *Replay) subjects() []string {
	if len(r.Selection.Subjects) > 0 {
		return r.Selection.Subjects
	}
	return r.Subjects
}

// tell says what is about to be done. It returns the messages that are there of
// those that were named.
func (r *Replay) tell(ctx context.Context, plan Plan) (named []uint64, err error) {
	if named, err = present(ctx, r.Stream, r.Selection.Named); err != nil {
		return nil, err
	}
	plan.Lost = len(r.Selection.Named) - len(named)
	if r.Told != nil {
		r.Told(plan)
	}
	return named, nil
}

// choose makes the decision which events are meant, of those named if any were.
// For the latest of each run it reads the range once; the same range gives the
// same answer each time.
func (r *Replay) choose(ctx context.Context, rg Range, subjects []string, named []uint64) (func(uint64, events.Event, error) bool, error) {
	matches := func(seq uint64, ev events.Event, err error) bool {
		if len(r.Selection.Named) > 0 {
			if _, found := slices.BinarySearch(named, seq); !found {
				return false
			}
		}
		return seq >= rg.First && seq <= rg.Last && r.Selection.matches(ev, err)
	}
	if r.Selection.Latest == 0 {
		return matches, nil
	}
	kept := newNewest(r.Selection.Latest)
	err := each(ctx, r.Stream, rg, subjects, func(m events.Message) error {
		m.Kind, m.WholeBucket = r.Kind(m.Subject), r.Lane.WholeBucket()
		if ev, err := events.Decode(m); err == nil && matches(m.Seq, ev, nil) {
			kept.add(ev, m.Seq)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	chosen := kept.all()
	return func(seq uint64, _ events.Event, _ error) bool {
		_, ok := chosen[seq]
		return ok
	}, nil
}

// errDone ends fetching because there is nothing left.
var errDone = errors.New("all is settled")

func (r *Replay) work(work, fetch context.Context, cons jetstream.Consumer, t task, wants func(uint64, events.Event, error) bool) (Result, error) {
	fetch, stop := context.WithCancelCause(fetch)
	defer stop(nil)
	meter := newMeter(r.Rate, r.MaxBytes, func() { stop(ErrCap) })
	r.meter.Store(meter)
	gate := &behind{Gate: r.Lane.Gate}
	gate.walk()
	cfg := r.Lane
	cfg.Gate = gate
	cfg.Replay = &consumer.Replay{
		Kind: r.Kind, Wants: wants, Observe: r.counts.observe, Pace: paced{meter, gate}, AskSizes: r.MaxBytes > 0, RewarmBefore: t.Force,
		Ended: func(receipt consumer.Receipt) {
			r.counts.receipt(receipt)
			if receipt.Outcome == consumer.DeadLettered && r.Failed != nil {
				r.Failed(receipt)
			}
		},
	}
	var watchers sync.WaitGroup
	watchers.Go(func() { gate.watch(fetch, r.Stream, r.Live) })
	watchers.Go(func() { r.watch(fetch, cons, t.Range, stop) })
	err := consumer.NewLane("replay", events.KindCheckpoint, cfg).Run(work, fetch, cons)
	cause := context.Cause(fetch)
	stop(nil)
	watchers.Wait()
	result := Result{Progress: r.Progress(), Capped: errors.Is(cause, ErrCap)}
	switch {
	case errors.Is(cause, errDone):
	case errors.Is(err, consumer.ErrGone):
		return result, fmt.Errorf("%w under the replay; call it again, what is done is not done again", err)
	case err != nil:
		return result, err
	case !result.Capped:
		return result, cause
	}
	after := context.WithoutCancel(fetch)
	if result.Letters, err = r.letters(after); err != nil {
		return result, err
	}
	if errors.Is(cause, errDone) { // its receipts tell who asks again
		err = r.Stream.DeleteConsumer(after, r.durableName())
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			err = nil
		}
	}
	return result, err
}

// watch ends the fetching when everything in the range is settled.
func (r *Replay) watch(ctx context.Context, cons jetstream.Consumer, rg Range, stop context.CancelCauseFunc) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		info, err := cons.Info(ctx)
		switch {
		case err != nil: // the lane finds out
		case info.AckFloor.Stream >= rg.Last, info.NumPending == 0 && info.NumAckPending == 0:
			r.reached.Store(rg.Last)
			stop(errDone)
			return
		default:
			r.reached.Store(info.AckFloor.Stream)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// letters counts the replay's dead letters.
func (r *Replay) letters(ctx context.Context) (int64, error) {
	stream := r.Stream.CachedInfo().Config.Name
	info, err := r.Lane.Letters.Info(ctx, jetstream.WithSubjectFilter(
		fmt.Sprintf("prestage.dlq.%s.%s.*.%s", r.Lane.Cluster, stream, r.Lane.Name)))
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", dlq.Stream, err)
	}
	return int64(len(info.State.Subjects)), nil
}
