package prestage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// brief leaves the samples and texts of a report to other tests.
var briefly = cmp.Options{cmpopts.IgnoreFields(Problem{}, "Sample"), cmpopts.IgnoreFields(Report{}, "Failures", "Busy")}

func problem(c outcome.Class, r outcome.Reason) []Problem {
	return []Problem{{Class: c, Reason: r, Count: 1}}
}

// TestOneObject warms one object that the store and the ledger treat in some way.
func TestOneObject(t *testing.T) {
	t.Parallel()
	type fn = func(context.Context, object.Ref) (Answer, error)
	answers := func(a Answer) fn { return func(context.Context, object.Ref) (Answer, error) { return a, nil } }
	modified := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	filled := Report{Objects: Counts{Total: 1, Filled: 1}, Bytes: 1000, Verdict: outcome.Accepted}
	warm := Report{Objects: Counts{Total: 1, AlreadyWarm: 1}, Bytes: 700, Verdict: outcome.Verified}
	failed := func(c outcome.Class, r outcome.Reason) Report {
		return Report{Objects: Counts{Total: 1, Failed: 1}, Problems: problem(c, r)}
	}
	skipped := func(r outcome.Reason) Report {
		return Report{Objects: Counts{Total: 1, Skipped: 1}, Skips: map[outcome.Reason]int{r: 1}}
	}
	onRecord := object.Version{ETag: "e1", LastModified: modified}
	for name, tt := range map[string]struct {
		fill, head fn
		version    object.Version // what the event says
		record     object.Version // what the ledger says
		gone       bool
		want       Report
		requests   []string
	}{
		"filled":                    {fill: always("e1"), want: filled, requests: []string{"fill k"}},
		"the version on record":     {version: object.Version{ETag: "e1", ID: "v"}, record: object.Version{ETag: "e1", ID: "v"}, want: warm},
		"an older sequencer":        {version: object.Version{Sequencer: object.Sequencer{Value: "1"}}, record: object.Version{ETag: "e1", Sequencer: object.Sequencer{Value: "2"}}, want: skipped(outcome.Superseded)},
		"a newer sequencer":         {fill: always("e1"), version: object.Version{Sequencer: object.Sequencer{Value: "2"}}, record: object.Version{ETag: "e1", Sequencer: object.Sequencer{Value: "1"}}, want: filled, requests: []string{"fill k"}},
		"asked, the same":           {head: answers(Answer{Status: 200, Version: onRecord}), record: onRecord, want: warm, requests: []string{"head k"}},
		"asked, another":            {fill: always("e2"), head: answers(Answer{Status: 200, Version: object.Version{ETag: "e2"}}), record: onRecord, want: filled, requests: []string{"head k", "fill k"}},
		"asked, missing":            {head: fails(outcome.Failed), record: onRecord, want: failed(outcome.Failed, outcome.NotFound), requests: []string{"head k"}},
		"asked, refused":            {head: fails(outcome.Refused), record: onRecord, want: failed(outcome.Refused, outcome.Forbidden), requests: []string{"head k"}},
		"missing":                   {fill: fails(outcome.Failed), want: failed(outcome.Failed, outcome.NotFound), requests: []string{"fill k"}},
		"missing and old":           {fill: fails(outcome.Failed), gone: true, want: skipped(outcome.Gone), requests: []string{"fill k"}},
		"refused":                   {fill: fails(outcome.Refused), want: failed(outcome.Refused, outcome.Forbidden), requests: []string{"fill k"}},
		"throttled":                 {fill: fails(outcome.Throttled), want: failed(outcome.Throttled, outcome.FillFailed), requests: []string{"fill k", "fill k", "fill k", "fill k"}},
		"its own failure":           {fill: fails(outcome.Transient), head: always("e"), want: failed(outcome.Failed, outcome.FillFailed), requests: []string{"fill k", "fill k", "fill k", "fill k", "head k"}},
		"the store's failure":       {fill: fails(outcome.Transient), head: fails(outcome.Transient), want: failed(outcome.Transient, outcome.FillFailed), requests: []string{"fill k", "fill k", "fill k", "fill k", "head k"}},
		"a failure, then missing":   {fill: fails(outcome.Transient), head: fails(outcome.Failed), want: failed(outcome.Failed, outcome.NotFound), requests: []string{"fill k", "fill k", "fill k", "fill k", "head k"}},
		"a failure, then throttled": {fill: fails(outcome.Transient), head: fails(outcome.Throttled), want: failed(outcome.Transient, outcome.FillFailed), requests: []string{"fill k", "fill k", "fill k", "fill k", "head k"}},
		"416":                       {fill: answers(Answer{Status: 416, Size: -1}), want: skipped(outcome.Empty), requests: []string{"fill k"}},
		"416 of nothing":            {fill: answers(Answer{Status: 416}), want: skipped(outcome.Empty), requests: []string{"fill k"}},
		"416 of something":          {fill: answers(Answer{Status: 416, Size: 9}), want: failed(outcome.Failed, outcome.FillFailed), requests: []string{"fill k"}},
		"200 of nothing":            {fill: answers(Answer{Status: 200}), want: skipped(outcome.Empty), requests: []string{"fill k"}},
		"a fill that hangs":         {fill: stalls, head: always("e"), want: failed(outcome.Failed, outcome.FillFailed), requests: []string{"fill k", "head k"}},
		"a panic":                   {fill: func(context.Context, object.Ref) (Answer, error) { panic("oops") }, want: failed(outcome.Failed, outcome.FillFailed), requests: []string{"fill k"}},
		"a panic of the plain HEAD": {head: func(context.Context, object.Ref) (Answer, error) { panic("oops") }, record: onRecord, want: failed(outcome.Failed, outcome.FillFailed), requests: []string{"head k"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &fakeStore{fill: tt.fill, head: tt.head, headBucket: func(context.Context, string) error { return nil }}
				r := newRig(t, store)
				if tt.record != (object.Version{}) {
					put(t, r.ledger, dedupe.Entry{
						Attrs:   object.Attrs{Ref: ckpt("k"), Version: tt.record, Size: 700},
						Verdict: outcome.Verified, At: time.Now(),
					})
				}
				got := r.warm(t, Request{Objects: []object.Attrs{{Ref: ckpt("k"), Version: tt.version, Size: object.UnknownSize}}, MissingIsGone: tt.gone})
				if diff := cmp.Diff(tt.want, got, briefly); diff != "" {
					t.Errorf("report (-want +got):\n%s%v", diff, got.Failures)
				}
				var requests []string
				for _, q := range store.requests() {
					if !strings.HasPrefix(q, "head bucket") {
						requests = append(requests, q)
					}
				}
				if diff := cmp.Diff(tt.requests, requests); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
				if n := r.guard.limiter.InFlight(); n != 0 {
					t.Errorf("%d permits are left out", n)
				}
			})
		})
	}
}

func put(t *testing.T, l dedupe.Ledger, e dedupe.Entry) {
	t.Helper()
	done := make(chan error)
	l.Put(t.Context(), e, 0, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestRecordIsTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := Answer{Status: 206, Size: 1234, Version: object.Version{ETag: "new", ID: "v2", LastModified: time.Unix(1700000000, 0).UTC()}}
		store := &fakeStore{fill: func(context.Context, object.Ref) (Answer, error) {
			time.Sleep(time.Second) // of the bubble's clock
			return answer, nil
		}}
		r := newRig(t, store)
		asked, eventTime := time.Now(), time.Now().Add(-time.Minute)
		seq := object.Sequencer{Source: "aws:s3", Value: "A"}
		r.warm(t, Request{
			Objects:   []object.Attrs{{Ref: ckpt("k"), Version: object.Version{ETag: "old", ID: "v1", Sequencer: seq}, Size: 1}},
			EventTime: eventTime,
		})
		r.planner.minBytes = 0 // the size is known and small
		r.warm(t, Request{
			Objects:   []object.Attrs{{Ref: ckpt("k"), Version: object.Version{ETag: "old", ID: "v1", Sequencer: seq}, Size: 1}},
			EventTime: eventTime,
		})
		got, err := r.ledger.Get(t.Context(), ckpt("k"))
		want := dedupe.Entry{Attrs: object.Attrs{Ref: ckpt("k"), Version: answer.Version, Size: 1234}, Verdict: outcome.Accepted, At: asked, EventTime: eventTime}
		want.Sequencer = seq
		if diff := cmp.Diff(want, got.Entry); diff != "" || err != nil {
			t.Errorf("(-want +got):\n%s%v", diff, err)
		}
	})
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	store := &fakeStore{list: listing(3500), fill: always("e")}
	r := newRig(t, store)
	got := r.warm(t, Request{Prefix: ckpt("p/"), Complete: true})
	want := Report{Objects: Counts{Total: 3500, Filled: 3500}, Bytes: 3_500_000, Verdict: outcome.Accepted}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, want := range map[string]float64{"filled": 3500, "already_warm": 0, "skipped": 0, "failed": 0} {
		if got := r.metric(t, "prestage_objects_total", name); got != want {
			t.Errorf("objects %s: %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]float64{
		"prestage_filled_bytes_total": 3_500_000, "prestage_fill_seconds": 3500,
		"prestage_fills_in_flight": 0, "prestage_concurrency_limit": 16, "prestage_endpoint_up": 1,
	} {
		if got := r.metric(t, name, ""); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}

	// Each page's objects are on record now: nothing but lists.
	got = r.warm(t, Request{Prefix: ckpt("p/"), Complete: true})
	if got.Objects.AlreadyWarm != 3500 || store.count("fill") != 3500 || store.count("head") != 0 {
		t.Errorf("again: %+v", got.Objects)
	}

	// Asked for although they are: that is told, since somebody pays for it.
	if n := r.metric(t, "prestage_refilled_bytes_total", ""); n != 0 {
		t.Errorf("%v bytes filled twice before anybody asked for it", n)
	}
	r.warm(t, Request{Prefix: ckpt("p/"), Complete: true, RewarmBefore: time.Now()})
	store.fill = always("e2")
	r.warm(t, Request{Objects: []object.Attrs{{Ref: ckpt("p/0"), Version: object.Version{ETag: "e2"}, Size: object.UnknownSize}}, RewarmBefore: time.Now()})
	if n := r.metric(t, "prestage_refilled_bytes_total", ""); n != 3_500_000 {
		t.Errorf("%v bytes filled twice, want 3500000: a new version is none", n)
	}
}

func TestRelisting(t *testing.T) {
	t.Parallel()
	grows := func(steps ...int) func(string, string) (Page, error) {
		pass := -1
		return func(prefix, token string) (Page, error) {
			pass++
			return listing(steps[min(pass, len(steps)-1)])(prefix, token)
		}
	}
	for name, tt := range map[string]struct {
		list     func(string, string) (Page, error)
		complete bool
		total    int64
		lists    int
		want     Report
	}{
		"complete":                   {list: grows(2, 3), complete: true, lists: 1, want: Report{Objects: Counts{Total: 2, Filled: 2}}},
		"nothing new":                {list: grows(2), lists: 2, want: Report{Objects: Counts{Total: 2, Filled: 2}}},
		"one more":                   {list: grows(2, 3), lists: 3, want: Report{Objects: Counts{Total: 3, Filled: 3}}},
		"three times at most":        {list: grows(1, 2, 3, 4, 5, 6), lists: 4, want: Report{Objects: Counts{Total: 4, Filled: 4}}},
		"short at first only":        {list: grows(2, 3), total: 3, lists: 3, want: Report{Objects: Counts{Total: 3, Filled: 3}}},
		"short to the end":           {list: grows(2), total: 3, lists: 2, want: Report{Objects: Counts{Total: 2, Filled: 2}, Problems: problem(outcome.Failed, outcome.Incomplete)}},
		"deleted while it is filled": {list: grows(2, 0), lists: 2, want: Report{Objects: Counts{Total: 2, Filled: 2}}},
		"never there":                {list: grows(0), lists: 1, want: Report{Problems: problem(outcome.Failed, outcome.NotFound)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &fakeStore{list: tt.list, fill: always("e")}
			got := newRig(t, store).warm(t, Request{Prefix: ckpt("p/"), Complete: tt.complete, TotalObjects: tt.total})
			if diff := cmp.Diff(tt.want, got, briefly, cmpopts.IgnoreFields(Report{}, "Bytes", "Verdict")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := store.count("list"); n != tt.lists {
				t.Errorf("listed %d times, want %d", n, tt.lists)
			}
		})
	}
}

func TestOverwrittenBetweenLists(t *testing.T) {
	t.Parallel()
	pass := 0
	store := &fakeStore{fill: always("e"), list: func(prefix, _ string) (Page, error) {
		pass++
		a := listed(prefix+"last.ckpt", 1000)
		a.ETag = fmt.Sprint("e", min(pass, 2))
		return Page{Objects: []object.Attrs{a}}, nil
	}}
	got := newRig(t, store).warm(t, Request{Prefix: ckpt("p/")})
	if got.Objects.Filled != 2 || store.count("fill") != 2 {
		t.Errorf("%+v, %v", got.Objects, store.requests())
	}
}

func TestListedAndMissingIsGone(t *testing.T) {
	t.Parallel()
	store := &fakeStore{list: listing(1), fill: fails(outcome.Failed)}
	got := newRig(t, store).warm(t, Request{Prefix: ckpt("p/"), Complete: true})
	want := Report{Objects: Counts{Total: 1, Skipped: 1}, Skips: map[outcome.Reason]int{outcome.Gone: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// forgetful is a ledger that has lost everything.
type forgetful struct{ dedupe.Ledger }

func (forgetful) Get(context.Context, object.Ref) (dedupe.Record, error) {
	return dedupe.Record{}, dedupe.ErrNotFound
}

func TestReportIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testReportIsBounded)
}

func testReportIsBounded(t *testing.T) {
	store := &fakeStore{list: listing(1000), fill: func(_ context.Context, ref object.Ref) (Answer, error) {
		err := outcome.As(failure(outcome.Failed, ref))
		err.Reason = outcome.FillFailed
		switch ref.Key[len(ref.Key)-1] {
		case '7':
			err.Class, err.RetryAfter = outcome.Throttled, time.Minute
		case '8':
			return answerOf("e"), nil
		}
		return Answer{}, err
	}}
	r := newRig(t, store)
	got := r.warm(t, Request{Prefix: ckpt("p/"), Complete: true})
	want := []Problem{
		{Class: outcome.Failed, Reason: outcome.FillFailed, Count: 800},
		{Class: outcome.Throttled, Reason: outcome.FillFailed, Count: 100, RetryAfter: time.Minute},
	}
	if diff := cmp.Diff(want, got.Problems, briefly); diff != "" || len(got.Failures) != MaxFailures {
		t.Errorf("%d failures; problems (-want +got):\n%s", len(got.Failures), diff)
	}
	if got.Problems[1].Sample == nil {
		t.Errorf("%+v", got.Problems[1])
	}
	if len(got.Busy) != MaxFailures {
		t.Errorf("%d objects are told to be busy", len(got.Busy))
	}
	for _, b := range got.Busy {
		if !strings.HasSuffix(b.Ref.Key, "7") || b.BucketServedAt.IsZero() {
			t.Errorf("busy: %s in a bucket last served at %s", b.Ref, b.BucketServedAt)
		}
	}
}

func TestPanicIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	store := &fakeStore{fill: func(_ context.Context, ref object.Ref) (Answer, error) {
		if ref.Key == "bad" {
			panic("oops")
		}
		return answerOf("e"), nil
	}}
	r := newRig(t, store)
	r.warmer.log = slog.New(slog.NewTextHandler(&log, nil))
	got := r.warm(t, Request{Objects: unsized("a", "bad", "b")})
	if got.Objects.Filled != 2 || got.Objects.Failed != 1 || strings.Count(log.String(), "panic while handling") != 1 || !strings.Contains(log.String(), "warmer_test.go") {
		t.Errorf("%+v\n%s", got, log.String())
	}
	store.list = func(string, string) (Page, error) { panic("oops") }
	got = r.warm(t, Request{Prefix: ckpt("p/")})
	if len(got.Problems) != 1 || got.Problems[0].Class != outcome.Failed {
		t.Errorf("%+v", got)
	}
}

// slowPuts confirms every write a second late.
type slowPuts struct{ dedupe.Ledger }

func (l slowPuts) Put(ctx context.Context, e dedupe.Entry, prev uint64, done func(error)) {
	l.Ledger.Put(ctx, e, prev, func(err error) {
		time.Sleep(time.Second) // of the bubble's clock
		done(err)
	})
}

// lostPuts never writes.
type lostPuts struct{ dedupe.Ledger }

func (lostPuts) Put(_ context.Context, _ dedupe.Entry, _ uint64, done func(error)) {
	go done(errors.New("no room for a name"))
}

func TestWritesAreConfirmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeStore{fill: always("e")})
		memory := r.ledger
		r.ledger = slowPuts{memory}
		began := time.Now()
		if got := r.warm(t, Request{Objects: unsized("a")}); got.Objects.Filled != 1 || time.Since(began) != time.Second {
			t.Errorf("%+v after %v", got, time.Since(began))
		}
		r.ledger = lostPuts{memory}
		if got := r.warm(t, Request{Objects: unsized("b")}); len(got.Problems) != 1 {
			t.Errorf("a write that failed: %+v", got)
		}
	})
}

// TestSmallEventIsNotHeldUp has an event of one object come after a large one.
func TestSmallEventIsNotHeldUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{list: listing(5000), fill: func(context.Context, object.Ref) (Answer, error) {
			time.Sleep(time.Second) // of the bubble's clock
			return answerOf("e"), nil
		}}
		r := newRig(t, store)
		var large sync.WaitGroup
		large.Go(func() { r.warm(t, Request{Prefix: ckpt("p/"), Complete: true}) })
		time.Sleep(10500 * time.Millisecond) // of the bubble's clock
		began := time.Now()
		r.warm(t, Request{Objects: unsized("small")})
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the small event took %v", took)
		}
		large.Wait()
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := NewWarmer(WarmerConfig{}); err == nil {
		t.Error("a warmer of nothing")
	}
	if _, err := NewPlanner(PlannerConfig{}); err == nil {
		t.Error("a planner of nothing")
	}
	r := newRig(t, &fakeStore{})
	good := WarmerConfig{
		Store: r.store, Planner: r.planner, Guard: r.guard, Ledger: r.ledger, TTL: 1, FillTimeout: 1,
		Metrics: NewMetrics(prometheus.NewRegistry()), Log: quiet,
	}
	if _, err := NewWarmer(good); err != nil {
		t.Error(err)
	}
	good.FillTimeout = 0
	if _, err := NewWarmer(good); err == nil {
		t.Error("a warmer without time")
	}
}

// TestReplayOfWhatExpired: an event that comes again late is not filled twice,
// but one that is replayed is, when its records no longer count.
func TestReplayOfWhatExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeStore{fill: always("e"), head: always("e")})
		req := Request{Objects: unsized("a"), Priority: Routine, EventTime: time.Now()}
		for _, tt := range []struct {
			priority Priority
			want     Counts
		}{
			{Routine, Counts{Total: 1, Filled: 1}},
			{Routine, Counts{Total: 1, AlreadyWarm: 1}},
			{Backfill, Counts{Total: 1, Filled: 1}},
			{Backfill, Counts{Total: 1, Filled: 1}}, // a day later
		} {
			req.Priority = tt.priority
			if got := r.warm(t, req); got.Objects != tt.want {
				t.Errorf("%+v, want %+v", got.Objects, tt.want)
			}
			time.Sleep(r.warmer.ttl + 1) // of the bubble's clock
		}
	})
}
