package prestage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

var quiet = slog.New(slog.DiscardHandler)

// fakeStore answers with functions; what is nil is not expected.
type fakeStore struct {
	fill, head func(ctx context.Context, ref object.Ref) (Answer, error)
	list       func(prefix, token string) (Page, error)
	below      func(prefix object.Ref) (bool, error)
	get        func(ref object.Ref) ([]byte, error)
	headBucket func(ctx context.Context, bucket string) error
	probe      func(ref object.Ref, offset int64) (time.Duration, error)

	mu  sync.Mutex
	log []string
}

func (s *fakeStore) note(op string, ref object.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, op+" "+ref.Key)
}

func (s *fakeStore) Fill(ctx context.Context, ref object.Ref) (Answer, error) {
	s.note("fill", ref)
	return s.fill(ctx, ref)
}

func (s *fakeStore) Head(ctx context.Context, ref object.Ref) (Answer, error) {
	s.note("head", ref)
	return s.head(ctx, ref)
}

func (s *fakeStore) List(_ context.Context, bucket, prefix, token string) (Page, error) {
	s.note("list", object.Ref{Bucket: bucket, Key: prefix + token})
	return s.list(prefix, token)
}

func (s *fakeStore) Any(_ context.Context, prefix object.Ref) (bool, error) {
	s.note("any", prefix)
	return s.below(prefix)
}

func (s *fakeStore) Get(_ context.Context, ref object.Ref, _ int64) ([]byte, error) {
	s.note("get", ref)
	return s.get(ref)
}

func (s *fakeStore) HeadBucket(ctx context.Context, bucket string) error {
	s.note("head bucket", object.Ref{Bucket: bucket, Key: bucket})
	if s.headBucket == nil { // anybody may ask, at any time
		return nil
	}
	return s.headBucket(ctx, bucket)
}

func (s *fakeStore) Probe(_ context.Context, ref object.Ref, _ string, offset, _ int64) (time.Duration, error) {
	s.note("probe", ref)
	return s.probe(ref, offset)
}

func (s *fakeStore) TimeHead(ctx context.Context, ref object.Ref) (time.Duration, error) {
	s.note("head", ref)
	a, err := s.head(ctx, ref)
	return a.Latency, err
}

func (s *fakeStore) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

// count is how many requests begin with op.
func (s *fakeStore) count(op string) (n int) {
	for _, r := range s.requests() {
		if strings.HasPrefix(r, op) {
			n++
		}
	}
	return n
}

// rig is everything around a fake store.
type rig struct {
	store    *fakeStore
	endpoint *Endpoint
	guard    *Guard
	planner  *Planner
	ledger   dedupe.Ledger
	warmer   *Warmer
	registry *prometheus.Registry
	dial     func(context.Context) error // nil error unless set
}

func newRig(tb testing.TB, store *fakeStore) *rig {
	tb.Helper()
	return newRigOf(tb, store, 16)
}

func newRigOf(tb testing.TB, store *fakeStore, limit int) *rig {
	tb.Helper()
	r := &rig{store: store, ledger: dedupe.NewMemory(), registry: prometheus.NewRegistry()}
	metrics := NewMetrics(r.registry)
	r.endpoint = NewEndpoint(EndpointConfig{Addr: "cwlota.com:80", Metrics: metrics, Log: quiet, Dial: func(ctx context.Context) error {
		if r.dial != nil {
			return r.dial(ctx)
		}
		return nil
	}})
	r.guard = NewGuard(r.endpoint, NewLimiter(limit), store)
	buckets, err := ParseBuckets([]string{"ckpt", "models-*"})
	if err != nil {
		tb.Fatal(err)
	}
	r.planner, err = NewPlanner(PlannerConfig{Store: store, Guard: r.guard, Buckets: buckets, MinBytes: 100, Log: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	r.warmer, err = NewWarmer(WarmerConfig{
		Store: store, Planner: r.planner, Guard: r.guard, Ledger: lateLedger{r}, TTL: 24 * time.Hour,
		FillTimeout: time.Minute, Metrics: metrics, Log: quiet,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// lateLedger lets a test exchange the rig's ledger.
type lateLedger struct{ r *rig }

func (l lateLedger) Get(ctx context.Context, ref object.Ref) (dedupe.Record, error) {
	return l.r.ledger.Get(ctx, ref)
}

func (l lateLedger) Put(ctx context.Context, e dedupe.Entry, prev uint64, done func(error)) {
	l.r.ledger.Put(ctx, e, prev, done)
}

// warm fills everything in one event that is not told of again. What takes days,
// of a bubble's clock perhaps, takes for ever.
func (r *rig) warm(tb testing.TB, req Request) Report {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 48*time.Hour)
	defer cancel()
	return r.warmer.Warm(ctx, ctx, req, NewProgress())
}

// metric reads a counter or gauge, or how many times a histogram observed. Label
// is the value of its one label, if it has one.
func (r *rig) metric(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name || label != "" && m.GetLabel()[0].GetValue() != label {
				continue
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Fatalf("no metric %s %s", name, label)
	return 0
}

func ckpt(key string) object.Ref { return object.Ref{Bucket: "ckpt", Key: key} }

func unsized(keys ...string) []object.Attrs {
	var out []object.Attrs
	for _, k := range keys {
		out = append(out, object.Attrs{Ref: ckpt(k), Size: object.UnknownSize})
	}
	return out
}

// always answers every HEAD with one version of 1,000 bytes.
func always(etag string) func(context.Context, object.Ref) (Answer, error) {
	return func(context.Context, object.Ref) (Answer, error) { return answerOf(etag), nil }
}

func answerOf(etag string) Answer {
	return Answer{Status: 206, Size: 1000, Version: object.Version{ETag: etag}}
}

// fails answers every request with a failure of one class.
func fails(class outcome.Class) func(context.Context, object.Ref) (Answer, error) {
	return func(_ context.Context, ref object.Ref) (Answer, error) { return Answer{}, failure(class, ref) }
}

func failure(class outcome.Class, ref object.Ref) error {
	e := &outcome.Error{Op: "test", Ref: ref, Class: class, Reason: outcome.FillFailed, Err: errors.New("made to fail")}
	switch class {
	case outcome.Failed:
		e.Status, e.Reason = 404, outcome.NotFound
	case outcome.Throttled:
		e.Status = 503
	case outcome.Transient:
		e.Status = 500
	case outcome.Refused:
		e.Status, e.Reason = 403, outcome.Forbidden
	}
	return e
}

// listing serves n keys of 1,000 bytes below any prefix, 1,000 a page.
func listing(n int) func(prefix, token string) (Page, error) {
	return func(prefix, token string) (Page, error) {
		from := 0
		if token != "" {
			if _, err := fmt.Sscanf(token, "%d", &from); err != nil {
				return Page{}, err
			}
		}
		var p Page
		for i := from; i < min(from+1000, n); i++ {
			p.Objects = append(p.Objects, object.Attrs{
				Ref: ckpt(fmt.Sprintf("%s%08d", prefix, i)), Size: 1000, Version: object.Version{ETag: "e"},
			})
		}
		if from+1000 < n {
			p.Next = fmt.Sprint(from + 1000)
		}
		return p, nil
	}
}
