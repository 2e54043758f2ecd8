package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/publish"
)

// atOnce is how many objects are looked up at once. It is also how many a pass
// remembers.
const atOnce = 64

// Plans expands a request; see prestage.Planner.
type Plans interface {
	Walk(ctx context.Context, req prestage.Request, yield func(prestage.Item) error) (prestage.Summary, error)
}

// Records is the part of a ledger that is read.
type Records interface {
	Get(ctx context.Context, ref object.Ref) (dedupe.Record, error)
}

// Stream is where events go, and what tells of earlier ones.
type Stream interface {
	// Fate is the receipt of the event with that id, with the Outcome "" when
	// there is none, or when it tells of a message that is lost.
	Fate(ctx context.Context, id string) (consumer.Receipt, error)
	// Send stores e. An *outcome.Error says that no event can tell it.
	Send(ctx context.Context, e publish.Event) (publish.Sent, error)
}

// Config is what a Pass needs.
type Config struct {
	Plans   Plans
	Records Records
	Stream  Stream
	Subject string        // of the events, by which rules judge
	Type    string        // of the events, publish.CheckpointWritten or publish.ModelPublished
	TTL     time.Duration // how long a record counts
	// OlderThan: records that are older do not count, here and for those who get
	// the events. 0: all count, until TTL ends.
	OlderThan time.Duration
	MaxEvents int64 // how many are published at most
	DryRun    bool  // nothing is published
	// Tell is called with each Finding, one after the other. Its error ends the
	// pass.
	Tell func(Finding) error
}

// Pass is one pass. It is not safe for concurrent use.
type Pass struct {
	Config

	now          func() time.Time
	rewarmBefore time.Time
	report       Report
	sent         int64
	waiting      []prestage.Item // at most atOnce

	model, version string // in a registry, of the target
}

// New begins a pass.
func New(c Config) *Pass {
	p := &Pass{Config: c, now: time.Now, report: Report{Objects: make(map[State]int64)}}
	if c.OlderThan > 0 {
		p.rewarmBefore = p.now().Add(-c.OlderThan).UTC()
	}
	return p
}

// Report is what the pass has come to so far.
func (p *Pass) Report() Report { return p.report }

// errEnough ends a walk: MaxEvents are published.
var errEnough = errors.New("enough events")

// Target looks at everything that req names. What is wrong with the target is a
// Finding; an error means that the pass cannot go on. more is false when
// MaxEvents are published.
func (p *Pass) Target(ctx context.Context, req prestage.Request) (more bool, err error) {
	p.report.Targets++
	req.Subject = p.Subject
	var own error // of this pass, rather than of the walk
	var newest time.Time
	sum, err := p.Plans.Walk(ctx, req, func(i prestage.Item) error {
		if i.LastModified.After(newest) {
			newest = i.LastModified
		}
		own = p.item(ctx, i)
		return own
	})
	if own == nil && ctx.Err() == nil {
		own = p.settle(ctx)
	}
	p.waiting = p.waiting[:0]
	switch {
	case errors.Is(own, errEnough):
		p.report.Stopped = true
		return false, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case own != nil:
		return false, own
	case err != nil:
		return true, p.problem(outcome.As(err), newest)
	}
	for _, problem := range sum.Problems {
		if err := p.problem(problem, newest); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Fail counts what was to be looked at and could not be read as a target.
func (p *Pass) Fail(what, why string) error {
	p.report.Targets++
	return p.tell(Finding{URI: what, State: Failed, Size: object.UnknownSize, Why: why})
}

func (p *Pass) problem(e *outcome.Error, newest time.Time) error {
	f := Finding{URI: e.Ref.String(), State: Failed, Size: object.UnknownSize, Reason: e.Reason, Why: e.Error()}
	switch {
	case e.Reason == outcome.Incomplete:
		f.State, f.Newest = Incomplete, newest
	case p.model != "" && (e.Reason == outcome.NotFound || e.Reason == outcome.BucketNotAllowed):
		f.State = Unresolved
	}
	return p.tell(f)
}

func (p *Pass) tell(f Finding) error {
	p.report.add(f)
	return p.Tell(f)
}

// item takes one object of a listing. Those to be looked up wait until there are
// enough of them to ask about all at once.
func (p *Pass) item(ctx context.Context, i prestage.Item) error {
	switch {
	case i.Skip != "":
		p.report.Objects[Skipped]++
		return nil
	case !i.Current: // the HEAD failed, which the walk's summary tells
		return nil
	}
	p.waiting = append(p.waiting, i)
	if len(p.waiting) < atOnce {
		return nil
	}
	return p.settle(ctx)
}

// found is what is known of an object that waits.
type found struct {
	state   State
	receipt consumer.Receipt
	why     string
	event   publish.Event
	err     error
}

// settle looks up the objects that wait, and publishes what is missing in the
// order of the listing.
func (p *Pass) settle(ctx context.Context) error {
	all := make([]found, len(p.waiting))
	var asking sync.WaitGroup
	for n, i := range p.waiting {
		asking.Go(func() { all[n] = p.look(ctx, i) })
	}
	asking.Wait()
	for n, i := range p.waiting {
		if err := p.act(ctx, i, all[n]); err != nil {
			return err
		}
	}
	p.waiting = p.waiting[:0]
	return nil
}

// look finds out whether i is missing. It changes nothing.
func (p *Pass) look(ctx context.Context, i prestage.Item) found {
	record, err := p.Records.Get(ctx, i.Ref)
	why := "nothing is on record"
	switch {
	case errors.Is(err, dedupe.ErrNotFound):
		record.Entry = dedupe.Entry{}
	case err != nil:
		return found{err: err}
	default:
		now := p.now()
		claim := dedupe.Claim{Version: i.Version, Current: true, RewarmBefore: p.rewarmBefore}
		if dedupe.Judge(record.Entry, claim, now, p.TTL) == dedupe.Warm {
			return found{state: Warm}
		}
		why = "overwritten since it was filled at "
		if at := record.At; at.Before(p.rewarmBefore) || now.Sub(at) > p.TTL {
			why = "filled too long ago, at "
		}
		why += record.At.UTC().Format(time.RFC3339)
	}
	f := found{state: Missing, why: why, event: p.event(i, record.Entry)}
	f.receipt, f.err = p.Stream.Fate(ctx, f.event.ID)
	switch r := f.receipt; {
	case r.Outcome == consumer.Pending:
		f.state, f.why = Pending, r.Error
	case r.Outcome == consumer.DeadLettered:
		f.state, f.why = DeadLettered, r.Error
	case r.Outcome == consumer.Skipped && r.Reason != outcome.Gone: // it is there now
		f.state = Skipped
	}
	return f
}

// act tells of i, after its event is published where it is missing.
func (p *Pass) act(ctx context.Context, i prestage.Item, is found) error {
	if is.err != nil {
		return fmt.Errorf("look up %s: %w", i.Ref, is.err)
	}
	f := Finding{
		URI: i.Ref.String(), State: is.state, Size: i.Size, Reason: is.receipt.Reason, Why: is.why, EventID: is.event.ID,
		Stream: is.receipt.Stream, Seq: is.receipt.StreamSeq,
	}
	switch is.state {
	case Warm, Skipped:
		p.report.Objects[is.state]++
		return nil
	case Missing:
		f.Stream, f.Seq, f.Reason = "", 0, ""
		if p.sent >= p.MaxEvents {
			return errEnough
		}
		if !p.DryRun {
			if err := p.publish(ctx, is.event, &f); err != nil {
				return err
			}
		}
	}
	if f.State == Published || f.State == Missing {
		p.sent++
	}
	return p.tell(f)
}

func (p *Pass) publish(ctx context.Context, e publish.Event, f *Finding) error {
	sent, err := p.Stream.Send(ctx, e)
	var refused *outcome.Error
	switch {
	case errors.As(err, &refused): // a key that a template seems to have been left in, say
		f.State, f.Reason, f.Why = Failed, refused.Reason, err.Error()
		return nil
	case err != nil:
		return err
	}
	f.State, f.Stream, f.Seq = Published, sent.Stream, sent.Seq
	if sent.Duplicate {
		f.State = InStream
	}
	return nil
}
