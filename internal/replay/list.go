package replay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// warmer is a prestage.Warmer.
type warmer interface {
	Warm(ctx, start context.Context, req prestage.Request, done *prestage.Progress) prestage.Report
}

// List backfills what no event tells of.
type List struct {
	warmer       warmer
	rewarmBefore time.Time
	failed       func(prestage.Result)
	meter        *meter
	behind       behind
	full         chan struct{} // closed when the most bytes are filled
	counts       counts
	entries      atomic.Int64 // that are done
}

// NewList returns a List. Failed is told each object that failed, by many
// goroutines at once.
func NewList(w warmer, perSecond float64, maxBytes int64, force bool, failed func(prestage.Result)) *List {
	l := &List{warmer: w, failed: failed, full: make(chan struct{})}
	l.meter = newMeter(perSecond, maxBytes, func() { close(l.full) })
	if force {
		l.rewarmBefore = time.Now()
	}
	return l
}

// Follow keeps what the list asks for behind the live lanes of stream, until the
// function that it returns is called.
func (l *List) Follow(ctx context.Context, stream jetstream.Stream, live []string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	l.behind.walk()
	var watching sync.WaitGroup
	watching.Go(func() { l.behind.watch(ctx, stream, live) })
	return func() {
		cancel()
		watching.Wait()
	}
}

// Progress is how far it is. Events count the calls of Warm.
func (l *List) Progress() Progress {
	p := l.counts.progress(l.meter)
	p.Listed = l.entries.Load()
	return p
}

// Warm has objects, or everything below prefix, filled as far as it is not. The
// error is ErrCap, or that of start.
func (l *List) Warm(ctx, start context.Context, objects []object.Attrs, prefix object.Ref) error {
	start, stop := context.WithCancelCause(start)
	defer stop(nil)
	go func() {
		select {
		case <-l.full:
			stop(ErrCap)
		case <-start.Done():
		}
	}()
	req := prestage.Request{
		Objects: objects, Prefix: prefix, Complete: true, Stated: true, Seen: time.Now(), MissingIsGone: true,
		Priority: prestage.Backfill, RewarmBefore: l.rewarmBefore, Pace: paced{l.meter, &l.behind}, AskSizes: l.meter.most > 0,
		Observe: func(r prestage.Result) {
			l.counts.observe(r)
			if prefix.Bucket == "" {
				l.entries.Add(1)
			}
			if r.Err != nil && !errors.Is(r.Err, outcome.Interrupted) {
				l.failed(r)
			}
		},
	}
	report := l.warmer.Warm(ctx, start, req, prestage.NewProgress())
	if start.Err() != nil {
		l.counts.report(looked(report))
		return context.Cause(start)
	}
	if prefix.Bucket != "" {
		l.entries.Add(1)
	}
	if report.Objects.Failed == 0 && len(report.Problems) > 0 { // it was refused whole
		l.refused(&report, objects, prefix)
	}
	l.counts.report(report)
	return nil
}

// looked is a report that was cut short without what was not looked at any more.
func looked(r prestage.Report) prestage.Report {
	r.Problems = slices.DeleteFunc(slices.Clone(r.Problems), func(p prestage.Problem) bool {
		if p.Class == outcome.Interrupted {
			cut := min(p.Count, r.Objects.Failed)
			r.Objects.Failed, r.Objects.Total = r.Objects.Failed-cut, r.Objects.Total-cut
			return true
		}
		return false
	})
	return r
}

// refused tells that each of the objects, or the prefix, failed.
func (l *List) refused(report *prestage.Report, objects []object.Attrs, prefix object.Ref) {
	refs := []object.Ref{prefix}
	if len(objects) > 0 {
		refs = refs[:0]
		for i := range objects {
			refs = append(refs, objects[i].Ref)
		}
	}
	p := report.Problems[0]
	for _, ref := range refs {
		l.failed(prestage.Result{Ref: ref, Outcome: "failed", Reason: p.Reason, Err: p.Sample})
	}
	report.Objects.Failed, report.Objects.Total = len(refs), report.Objects.Total+len(refs)
}
