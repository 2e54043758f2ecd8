package prestage

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/rules"
)

// TestCapWithoutASize has objects whose sizes no event tells, under a rule's
// max_bytes: those are asked for, and what is too large is not filled.
func TestCapWithoutASize(t *testing.T) {
	t.Parallel()
	set, err := rules.Parse([]byte(`rules: [{name: all, max_bytes: 5000}]`), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	heads := map[string]int64{"a": 5000, "b": 5001, "c": object.UnknownSize}
	for name, tt := range map[string]struct {
		req      Request
		counts   Counts
		problems []outcome.Reason
		fills    []string
	}{
		"objects":             {Request{Objects: unsized("a", "b", "c")}, Counts{Total: 3, Filled: 2, Skipped: 1}, nil, []string{"fill a", "fill c"}},
		"notified":            {Request{Objects: unsized("a", "b"), Notified: true}, Counts{Total: 2, Filled: 1, Skipped: 1}, nil, []string{"fill a"}},
		"a manifest":          {Request{Manifest: ckpt("m")}, Counts{Total: 2, Filled: 1, Skipped: 1}, nil, []string{"fill a"}},
		"one that is missing": {Request{Objects: unsized("a", "none")}, Counts{Total: 2, Filled: 1, Failed: 1}, []outcome.Reason{outcome.NotFound}, []string{"fill a"}},
		"one that is gone":    {Request{Objects: unsized("a", "none"), MissingIsGone: true}, Counts{Total: 2, Filled: 1, Skipped: 1}, nil, []string{"fill a"}},
		"told":                {Request{Objects: []object.Attrs{listed("a", 5000), listed("b", 5001)}}, Counts{Total: 2, Filled: 1, Skipped: 1}, nil, []string{"fill a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &fakeStore{
				fill: always("e"),
				get:  func(object.Ref) ([]byte, error) { return []byte(`["s3://ckpt/a","s3://ckpt/b"]`), nil },
				head: func(_ context.Context, ref object.Ref) (Answer, error) {
					size, ok := heads[ref.Key]
					if !ok {
						return Answer{}, failure(outcome.Failed, ref)
					}
					return Answer{Status: 200, Size: size, Version: object.Version{ETag: "e"}}, nil
				},
			}
			r := newRig(t, store)
			r.planner.rulesNow = func() *rules.Set { return set }
			got := r.warm(t, tt.req)
			var problems []outcome.Reason
			for _, p := range got.Problems {
				problems = append(problems, p.Reason)
			}
			fills := slices.DeleteFunc(store.requests(), func(s string) bool { return s[:4] != "fill" })
			slices.Sort(fills)
			if diff := cmp.Diff(tt.counts, got.Objects) + cmp.Diff(tt.problems, problems) + cmp.Diff(tt.fills, fills); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if name == "told" && store.count("head") > 0 {
				t.Errorf("asked for what was told: %q", store.requests())
			}
		})
	}
}

// sizesTold is a Pacer that keeps the sizes that it was told.
type sizesTold struct {
	mu    sync.Mutex
	sizes []int64
}

func (p *sizesTold) Start(_ context.Context, size int64) (func(int64), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sizes = append(p.sizes, size)
	return func(int64) {}, nil
}

// TestAskSizesOfANotice has an event of a store complete a checkpoint although
// sizes are asked for, and tells a pace each size, but nothing of what is warm.
func TestAskSizesOfANotice(t *testing.T) {
	t.Parallel()
	list := []object.Attrs{listed("run/.metadata", 6000), listed("run/__0_0.distcp", 6000)}
	store := &fakeStore{list: pagesOf(list), fill: always("e"), head: always("e")}
	r := newRig(t, store)
	pace := new(sizesTold)
	req := Request{Objects: unsized("run/.metadata"), Notified: true, AskSizes: true, Pace: pace}
	for _, want := range []Counts{{Total: 2, Filled: 2}, {Total: 2, AlreadyWarm: 2}} {
		if got := r.warm(t, req); got.Objects != want || len(got.Problems) > 0 {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	slices.Sort(pace.sizes)
	if diff := cmp.Diff([]int64{1000, 6000}, pace.sizes); diff != "" {
		t.Errorf("sizes told (-want +got):\n%s", diff)
	}
	store.list = func(prefix, _ string) (Page, error) {
		var p Page
		for _, key := range []string{"nemo/context/a", "nemo/weights/.metadata", "nemo/weights/__0_0.distcp"} {
			if strings.HasPrefix(key, prefix) {
				p.Objects = append(p.Objects, listed(key, 6000))
			}
		}
		return p, nil
	}
	if got := r.warm(t, Request{Removed: []object.Ref{ckpt("nemo-unfinished")}, Notified: true, AskSizes: true, Pace: pace}); got.Objects.Filled != 3 {
		t.Errorf("after a removal: %+v", got)
	}
}
