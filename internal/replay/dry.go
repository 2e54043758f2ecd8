package replay

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/prestage"
)

// DryRun counts what Run would do, with a Warmer that fills nothing. It makes no
// durable and writes nothing. A replay that was begun under the same name is not
// looked at.
func (r *Replay) DryRun(ctx context.Context) (Progress, error) {
	if err := r.Selection.Check(); err != nil {
		return Progress{}, err
	}
	subjects := r.subjects()
	plan, err := resolve(ctx, r.Stream, r.Selection)
	if err != nil {
		return Progress{}, err
	}
	named, err := r.tell(ctx, plan)
	if err != nil {
		return Progress{}, err
	}
	wants, err := r.choose(ctx, plan.Range, subjects, named)
	if err != nil {
		return Progress{}, err
	}
	meter := newMeter(0, 0, func() {})
	r.meter.Store(meter)
	asks := consumer.Replay{Observe: r.counts.observe, Pace: meter}
	if r.Force {
		asks.RewarmBefore = time.Now()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(consumer.Slots)
	err = each(ctx, r.Stream, plan.Range, subjects, func(m events.Message) error {
		r.reached.Store(m.Seq)
		m.Kind, m.WholeBucket = r.Kind(m.Subject), r.Lane.WholeBucket()
		ev, err := events.Decode(m)
		if !wants(m.Seq, ev, err) {
			return nil
		}
		group.Go(func() error {
			if err == nil {
				ev, err = r.Lane.Resolve(ctx, ev)
			}
			switch {
			case err != nil:
				r.counts.receipt(consumer.Receipt{Outcome: consumer.DeadLettered})
			case ev.Skip != "":
				r.counts.receipt(consumer.Receipt{Outcome: consumer.Skipped})
			default:
				r.counts.report(r.Lane.Warmer.Warm(ctx, ctx, asks.Request(ev, m.Subject, m.Time, time.Now()), prestage.NewProgress()))
			}
			return context.Cause(ctx)
		})
		return nil
	})
	if waited := group.Wait(); err == nil {
		err = waited
	}
	return r.Progress(), err
}
