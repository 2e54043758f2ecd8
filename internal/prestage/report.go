package prestage

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// fate is what became of one object. Exactly one of the first three is set, or
// it was filled.
type fate struct {
	warm bool           // already
	skip outcome.Reason // why it was not asked for
	err  *outcome.Error

	bytes   int64 // object.UnknownSize when unknown
	verdict outcome.Verdict

	archived bool // it was filled for this event, and is in the archive
}

// kind names the fate as the metric and the log do.
func (f fate) kind() string {
	switch {
	case f.err != nil:
		return "failed"
	case f.skip != "":
		return "skipped"
	case f.warm:
		return "already_warm"
	}
	return "filled"
}

// tally sums up fates for a Report. It is safe for concurrent use.
type tally struct {
	metrics  *Metrics
	endpoint *Endpoint
	doubtful int // so many objects may yet turn out not to be filled

	mu     sync.Mutex
	alone  []*outcome.Error // those failures that are an aloneError
	report Report
	sizes  sizes  // of what exists
	told   Counts // filled and already warm objects that the metrics have
}

// sizes is a sum of objects' sizes.
type sizes struct {
	bytes   int64
	unknown int // objects of unknown size
}

// add counts an object.
func (s *sizes) add(bytes int64) {
	if bytes == object.UnknownSize {
		s.unknown++
		return
	}
	s.bytes += bytes
}

// carry adds what earlier attempts filled.
func (t *tally) carry(s sizes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Bytes += s.bytes
	t.sizes.bytes += s.bytes
	t.sizes.unknown += s.unknown
}

// total is what everything that the request names comes to, ok whether that is
// known.
func (t *tally) total() (bytes int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sizes.bytes, t.sizes.unknown == 0 && t.report.Objects.Failed == 0
}

// add counts one object.
func (t *tally) add(ref object.Ref, f fate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.report
	r.Objects.Total++
	switch {
	case f.err != nil:
		r.Objects.Failed++
		t.metrics.failed.Inc()
		t.problem(ref, f.err)
		return
	case f.skip != "":
		r.Objects.Skipped++
		t.metrics.skipped.Inc()
		if r.Skips == nil {
			r.Skips = make(map[outcome.Reason]int)
		}
		r.Skips[f.skip]++
		if f.skip == outcome.DryRun {
			r.Bytes += max(f.bytes, 0)
		}
		t.sizes.add(f.bytes)
		return
	case f.warm:
		r.Objects.AlreadyWarm++
	default:
		r.Objects.Filled++
	}
	t.count(t.doubtful)
	t.sizes.add(f.bytes)
	r.Bytes += max(f.bytes, 0)
	r.Verdict = outcome.Weaker(r.Verdict, f.verdict)
}

// count has the metrics tell of filled and warm objects, all but the last few of
// each kind: a counter cannot take back.
func (t *tally) count(but int) {
	count := func(told *int, now int, c prometheus.Counter) {
		if n := now - but - *told; n > 0 {
			c.Add(float64(n))
			*told += n
		}
	}
	count(&t.told.Filled, t.report.Objects.Filled, t.metrics.filled)
	count(&t.told.AlreadyWarm, t.report.Objects.AlreadyWarm, t.metrics.alreadyWarm)
}

// fail notes what concerns the request rather than one object.
func (t *tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := outcome.As(err)
	t.problem(e.Ref, e)
}

func (t *tally) problem(ref object.Ref, err *outcome.Error) {
	r := &t.report
	if len(r.Failures) < MaxFailures {
		f := Failure{Error: err.Error()}
		if ref.Bucket != "" {
			f.URI = ref.String()
		}
		r.Failures = append(r.Failures, f)
	}
	if errors.As(err, new(aloneError)) {
		t.alone = append(t.alone, err)
		return
	}
	t.sum(ref, err)
}

// weigh counts the failures of objects that seem to be alone with them, which they
// are unless too many of the event fare alike.
func (t *tally) weigh() {
	alike := len(t.alone)
	for _, p := range t.report.Problems {
		if p.Class == outcome.Transient {
			alike += p.Count
		}
	}
	for _, err := range t.alone {
		own := *err // which other events may have, too
		if alike >= ownKeys {
			own.Class = outcome.Transient
		}
		t.sum(own.Ref, &own)
	}
	t.alone = nil
}

func (t *tally) sum(ref object.Ref, err *outcome.Error) {
	r := &t.report
	if (err.Class == outcome.Throttled || err.Class == outcome.Transient) && len(r.Busy) < MaxFailures {
		r.Busy = append(r.Busy, Busy{Ref: ref})
	}
	i := slices.IndexFunc(r.Problems, func(p Problem) bool { return p.Class == err.Class && p.Reason == err.Reason })
	if i < 0 {
		i = len(r.Problems)
		r.Problems = append(r.Problems, Problem{Class: err.Class, Reason: err.Reason, Sample: err})
	}
	p := &r.Problems[i]
	p.Count++
	p.RetryAfter = max(p.RetryAfter, err.RetryAfter)
}

// confirm folds the verdict of the objects that a confirmation is about into the
// event's.
func (t *tally) confirm(v outcome.Verdict, c Confirmed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Verdict = outcome.Weaker(t.report.Verdict, v)
	if c.Sampled > 0 {
		t.report.Confirmed = &c
	}
}

// unconfirm counts an object as failed that was added as filled, or as warm.
func (t *tally) unconfirm(ref object.Ref, bytes int64, warm bool, err *outcome.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.report
	if warm {
		r.Objects.AlreadyWarm--
	} else {
		r.Objects.Filled--
	}
	r.Objects.Failed++
	r.Bytes -= max(bytes, 0)
	t.metrics.failed.Inc()
	t.problem(ref, err)
}

// done returns the Report. Problems are in the order of their classes, so that
// equal events give equal reports.
func (t *tally) done() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(0)
	t.weigh()
	for i := range t.report.Busy {
		b := &t.report.Busy[i]
		b.BucketServedAt = t.endpoint.Served(b.Ref.Bucket)
	}
	slices.SortFunc(t.report.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Reason, b.Reason))
	})
	return t.report
}
