package prestage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// pagesOf serves fixed pages, the tokens being their numbers.
func pagesOf(pages ...[]object.Attrs) func(prefix, token string) (Page, error) {
	return func(_, token string) (Page, error) {
		i := 0
		if token != "" {
			i = int(token[0] - '0')
		}
		p := Page{Objects: pages[i]}
		if i+1 < len(pages) {
			p.Next = fmt.Sprint(i + 1)
		}
		return p, nil
	}
}

func listed(key string, size int64) object.Attrs {
	return object.Attrs{Ref: ckpt(key), Size: size, Version: object.Version{ETag: "e"}}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const index = `{"metadata":{"total_size":4000},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-1.safetensors"}}`
	shards := []object.Attrs{listed("p/model-1.safetensors", 2000), listed("p/model-2.safetensors", 2000)}
	file := func(text string) func(object.Ref) ([]byte, error) {
		return func(object.Ref) ([]byte, error) { return []byte(text), nil }
	}
	prefix := func(r Request) Request { r.Prefix = ckpt("p/"); return r }
	manifestReq := Request{Manifest: ckpt("p/m.json")}
	for name, tt := range map[string]struct {
		req      Request
		list     func(prefix, token string) (Page, error)
		get      func(object.Ref) ([]byte, error)
		items    []string // their strings, without quotes and the bucket
		err      outcome.Reason
		class    outcome.Class
		problem  string // part of the one problem's text
		requests []string
	}{
		"one object of unknown size": {req: Request{Objects: unsized("a")}, items: []string{"fill a (size unknown)"}},
		"sizes": {
			req: Request{Objects: []object.Attrs{listed("big", 101), listed("edge", 100), listed("zero", 0), listed("odd", -7), listed("absurd", 1<<60)}},
			items: []string{
				"fill big (101 bytes)", "skip edge (100 bytes): too_small", "fill zero (size unknown)",
				"fill odd (size unknown)", "fill absurd (size unknown)",
			},
		},
		"named twice":        {req: Request{Objects: []object.Attrs{listed("a", 200), listed("b", 200), listed("a", 300)}}, items: []string{"fill a (300 bytes)", "fill b (200 bytes)"}},
		"an illegal key":     {req: Request{Objects: unsized("")}, err: outcome.Malformed, class: outcome.Permanent},
		"a bucket outside":   {req: Request{Objects: append(unsized("a"), object.Attrs{Ref: object.Ref{Bucket: "secret", Key: "k"}})}, err: outcome.BucketNotAllowed, class: outcome.Permanent},
		"a prefix outside":   {req: Request{Prefix: object.Ref{Bucket: "secret", Key: "p/"}}, err: outcome.BucketNotAllowed, class: outcome.Permanent},
		"a manifest outside": {req: Request{Manifest: object.Ref{Bucket: "secret", Key: "m"}}, err: outcome.BucketNotAllowed, class: outcome.Permanent},
		"nothing":            {err: outcome.Malformed, class: outcome.Permanent},
		"two things":         {req: Request{Objects: unsized("a"), Prefix: ckpt("p/")}, err: outcome.Malformed, class: outcome.Permanent},
		"a whole bucket":     {req: Request{Prefix: object.Ref{Bucket: "ckpt"}}, err: outcome.Unsupported, class: outcome.Permanent},
		"a whole bucket, asked for": {
			req:   Request{Prefix: object.Ref{Bucket: "ckpt"}, WholeBucket: true},
			list:  pagesOf([]object.Attrs{listed("a", 1000), listed("p/b", 1000)}),
			items: []string{"fill a (1000 bytes)", "fill p/b (1000 bytes)"},
		},
		"a whole bucket outside": {req: Request{Prefix: object.Ref{Bucket: "secret"}, WholeBucket: true}, err: outcome.BucketNotAllowed, class: outcome.Permanent},
		"an index that is not to be read": {
			req:      prefix(Request{NoIndex: true}),
			list:     pagesOf([]object.Attrs{shards[0], listed("p/model.safetensors.index.json", 90)}),
			items:    []string{"fill p/model-1.safetensors (2000 bytes)", "skip p/model.safetensors.index.json (90 bytes): too_small"},
			requests: []string{"list p/"},
		},
		"a prefix that isn't": {req: Request{Prefix: ckpt("p")}, err: outcome.Malformed, class: outcome.Permanent},

		"a prefix": {
			req:   prefix(Request{TotalObjects: 4, TotalBytes: 2150}),
			list:  pagesOf([]object.Attrs{listed("p/", 0), listed("p/a", 1000), listed("p/b", 50), listed("p/d/", 0)}, nil, []object.Attrs{listed("p/d/c", 1100), listed("p/e", 0)}),
			items: []string{"fill p/a (1000 bytes)", "skip p/b (50 bytes): too_small", "fill p/d/c (1100 bytes)", "skip p/e (0 bytes): empty"},
		},
		"too few objects":        {req: prefix(Request{TotalObjects: 3}), list: pagesOf(shards), items: []string{"fill p/model-1.safetensors (2000 bytes)", "fill p/model-2.safetensors (2000 bytes)"}, problem: "2 objects of 3 announced"},
		"too few bytes":          {req: prefix(Request{TotalObjects: 1, TotalBytes: 4001}), list: pagesOf(shards), items: []string{"fill p/model-1.safetensors (2000 bytes)", "fill p/model-2.safetensors (2000 bytes)"}, problem: "4000 bytes of 4001 announced"},
		"an empty prefix":        {req: prefix(Request{TotalObjects: 3}), list: pagesOf([]object.Attrs{listed("p/", 0)}), err: outcome.NotFound, class: outcome.Failed},
		"an empty old prefix":    {req: prefix(Request{MissingIsGone: true, TotalObjects: 3}), list: pagesOf(nil), items: []string{"skip p/ (size unknown): gone"}},
		"the same page again":    {req: prefix(Request{}), list: func(string, string) (Page, error) { return Page{Next: "t"}, nil }, requests: []string{"list p/", "list p/t"}, err: outcome.FillFailed, class: outcome.Transient},
		"pages without an end":   {req: prefix(Request{}), list: func(_, token string) (Page, error) { return Page{Next: token + "x"}, nil }, err: outcome.FillFailed, class: outcome.Transient},
		"a listing out of order": {req: prefix(Request{}), list: pagesOf([]object.Attrs{listed("p/b", 1), listed("p/a", 1)}), err: outcome.FillFailed, class: outcome.Transient},
		"the first page again":   {req: prefix(Request{}), list: pagesOf(shards, shards), items: []string{"fill p/model-1.safetensors (2000 bytes)", "fill p/model-2.safetensors (2000 bytes)"}, err: outcome.FillFailed, class: outcome.Transient},
		"a key of another":       {req: prefix(Request{}), list: pagesOf([]object.Attrs{listed("q/b", 1)}), err: outcome.FillFailed, class: outcome.Transient},
		"a refused listing":      {req: prefix(Request{}), list: func(string, string) (Page, error) { return Page{}, failure(outcome.Refused, ckpt("p/")) }, err: outcome.Forbidden, class: outcome.Refused},

		"an index and its shards": {
			req: prefix(Request{}), get: file(index),
			list:  pagesOf(append(slices.Clone(shards), listed("p/model.safetensors.index.json", 90))),
			items: []string{"fill p/model-1.safetensors (2000 bytes)", "fill p/model-2.safetensors (2000 bytes)", "skip p/model.safetensors.index.json (90 bytes): too_small"},
		},
		"an index before its shards": {
			req: prefix(Request{}), get: file(strings.ReplaceAll(index, "model-", "z/")),
			list:  pagesOf([]object.Attrs{listed("p/m.safetensors.index.json", 90)}, []object.Attrs{listed("p/z/1.safetensors", 2000), listed("p/z/2.safetensors", 2000)}),
			items: []string{"skip p/m.safetensors.index.json (90 bytes): too_small", "fill p/z/1.safetensors (2000 bytes)", "fill p/z/2.safetensors (2000 bytes)"},
		},
		"a shard is missing": {
			req: prefix(Request{}), get: file(index),
			list:    pagesOf([]object.Attrs{shards[0], listed("p/model.safetensors.index.json", 90)}),
			items:   []string{"fill p/model-1.safetensors (2000 bytes)", "skip p/model.safetensors.index.json (90 bytes): too_small"},
			problem: "p/model-2.safetensors",
		},
		"a broken index": {
			req: prefix(Request{}), get: file(`{"weight_map":{"a":"../../etc"}}`),
			list:    pagesOf([]object.Attrs{listed("p/m.safetensors.index.json", 90)}),
			items:   []string{"skip p/m.safetensors.index.json (90 bytes): too_small"},
			problem: `leads out of`,
		},
		"an index that is none": {
			req: prefix(Request{}), get: file(`["s3://ckpt/x"]`),
			list:    pagesOf([]object.Attrs{listed("p/m.safetensors.index.json", 90)}),
			items:   []string{"skip p/m.safetensors.index.json (90 bytes): too_small"},
			problem: "no weight_map",
		},
		"an index that is gone": {
			req: prefix(Request{}), get: func(ref object.Ref) ([]byte, error) { return nil, failure(outcome.Failed, ref) },
			list:    pagesOf([]object.Attrs{listed("p/m.safetensors.index.json", 90)}),
			items:   []string{"skip p/m.safetensors.index.json (90 bytes): too_small"},
			problem: "HTTP 404",
		},
		"an index too large to read": {
			req:   prefix(Request{}),
			list:  pagesOf([]object.Attrs{listed("p/m.safetensors.index.json", 16<<20+1)}),
			items: []string{"fill p/m.safetensors.index.json (16777217 bytes)"},
		},

		"a manifest of URIs": {
			req: manifestReq, get: file(`["s3://ckpt/a","cw://models-x/b","s3://ckpt/a"]`),
			items: []string{"fill a (size unknown)", "fill b (size unknown)"}, requests: []string{"get p/m.json"},
		},
		"a manifest of objects": {
			req: manifestReq, get: file(`{"bucket":"models-x","objects":[{"key":"a","size":50},{"key":"b","size":500,"etag":"\"e\""},{"uri":"s3://ckpt/c","size":null}],"more":[1,{"x":[]}]}`),
			items: []string{"skip a (50 bytes): too_small", "fill b (500 bytes)", "fill c (size unknown)"},
		},
		"a manifest that is an index": {
			req: manifestReq, get: file(index),
			items: []string{"fill p/model-1.safetensors (size unknown)", "fill p/model-2.safetensors (size unknown)"},
		},
		"a manifest with too few":    {req: Request{Manifest: ckpt("m"), TotalObjects: 2}, get: file(`["s3://ckpt/a"]`), items: []string{"fill a (size unknown)"}, problem: "1 objects of 2 announced"},
		"a manifest's bucket":        {req: manifestReq, get: file(`["s3://ckpt/a","s3://secret/b"]`), err: outcome.BucketNotAllowed, class: outcome.Permanent},
		"a manifest that isn't JSON": {req: manifestReq, get: file(`<xml>`), err: outcome.Malformed, class: outcome.Permanent},
		"a missing manifest":         {req: manifestReq, get: func(ref object.Ref) ([]byte, error) { return nil, failure(outcome.Failed, ref) }, err: outcome.NotFound, class: outcome.Failed},
		"a missing old manifest":     {req: Request{Manifest: ckpt("m"), MissingIsGone: true}, get: func(ref object.Ref) ([]byte, error) { return nil, failure(outcome.Failed, ref) }, items: []string{"skip m (size unknown): gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &fakeStore{list: tt.list, get: tt.get}
			var items []string
			sum, err := newRig(t, store).planner.Walk(t.Context(), tt.req, func(i Item) error {
				items = append(items, strings.NewReplacer(`"`, "", "s3://ckpt/", "", "s3://models-x/", "").Replace(i.String()))
				return nil
			})
			if diff := cmp.Diff(tt.items, items); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			if e := outcome.As(err); err != nil && (e.Reason != tt.err || e.Class != tt.class) || err == nil && tt.err != "" {
				t.Errorf("error %v, want %s", err, tt.err)
			}
			if tt.class == outcome.Permanent && tt.get == nil && len(store.requests()) > 0 {
				t.Errorf("requests were sent: %v", store.requests())
			}
			if tt.requests != nil {
				if diff := cmp.Diff(tt.requests, store.requests()); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			}
			if got := fmt.Sprint(sum.Problems); (tt.problem == "") != (len(sum.Problems) == 0) || !strings.Contains(got, tt.problem) {
				t.Errorf("problems %s, want %q", got, tt.problem)
			}
			for _, p := range sum.Problems {
				if p.Class != outcome.Failed || p.Reason != outcome.Incomplete {
					t.Errorf("problem %v is %v, %v", p, p.Class, p.Reason)
				}
			}
		})
	}
}

func TestSummaryIsPrintable(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{})
	sum, err := r.planner.Walk(t.Context(), Request{
		Objects:      []object.Attrs{listed("a", 1000), listed("b", 5), listed("c", -1)},
		TotalObjects: 4, Prefix: object.Ref{},
	}, func(Item) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	want := "3 objects, 1005 bytes and 1 objects of unknown size; 1 skipped: too_small; incomplete: plan: 3 objects of 4 announced"
	if got := sum.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPagesArePrefetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{list: listing(3500)}
		n := 0
		_, err := newRig(t, store).planner.Walk(t.Context(), Request{Prefix: ckpt("p/")}, func(Item) error {
			if n++; n == 1 {
				synctest.Wait()
				if got := store.count("list"); got != 2 {
					t.Errorf("%d pages are read at the first object", got)
				}
			}
			return nil
		})
		if err != nil || n != 3500 || store.count("list") != 4 {
			t.Errorf("%d objects in %d pages: %v", n, store.count("list"), err)
		}
	})
}

func TestWalkStops(t *testing.T) {
	t.Parallel()
	stop := errors.New("enough")
	store := &fakeStore{list: listing(3500)}
	n := 0
	_, err := newRig(t, store).planner.Walk(t.Context(), Request{Prefix: ckpt("p/")}, func(Item) error {
		if n++; n == 1500 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 1500 {
		t.Errorf("%d objects, %v", n, err)
	}
}

func TestListingIsRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failed := false
		store := &fakeStore{list: func(prefix, token string) (Page, error) {
			if token == "1000" && !failed {
				failed = true
				return Page{}, failure(outcome.Transient, ckpt(prefix))
			}
			return listing(1500)(prefix, token)
		}}
		sum, err := newRig(t, store).planner.Walk(t.Context(), Request{Prefix: ckpt("p/")}, func(Item) error { return nil })
		if err != nil || sum.Objects != 1500 {
			t.Errorf("%v, %v", sum, err)
		}
	})
}

func TestShardCheckOverflow(t *testing.T) {
	t.Parallel()
	c := shardCheck{limit: 100, room: newRoom(1000)}
	for i := range 110 {
		c.saw(fmt.Sprintf("p/%08d", i))
	}
	index := ckpt("p/zz.safetensors.index.json")
	forgotten := fmt.Sprintf("p/%08d", 105)
	c.expect(index, unsized(forgotten, "p/00000001"))
	if text := c.missing(); text != "" {
		t.Errorf("what was not remembered is missed: %s", text)
	}
	c.expect(index, unsized("p/0000000x", "p/zzz"))
	if text := c.missing(); !strings.HasPrefix(text, "2 files") || !strings.Contains(text, "p/0000000x") {
		t.Errorf("missing: %q", text)
	}
	c.saw("p/zzz")
	if text := c.missing(); !strings.HasPrefix(text, "1 files") {
		t.Errorf("missing: %q", text)
	}
}

// TestShardCheckIsBounded has indexes name more files than are remembered.
func TestShardCheckIsBounded(t *testing.T) {
	t.Parallel()
	c := shardCheck{limit: 100, room: newRoom(1000)}
	for index := range 3 {
		for i := range 50 {
			c.expect(ckpt(fmt.Sprintf("p/%d/i", index)), unsized(fmt.Sprintf("p/%d/%d", index, i)))
		}
	}
	if n := len(c.expected); n != 100 {
		t.Errorf("%d names are remembered", n)
	}
}

// TestPlanAsksForSizes has 200 objects, more than are asked about at once.
func TestPlanAsksForSizes(t *testing.T) {
	t.Parallel()
	var keys []string
	for i := range 200 {
		keys = append(keys, fmt.Sprintf("k%03d", i))
	}
	for name, tt := range map[string]struct {
		req      Request
		failing  map[string]outcome.Class // by key
		sum      Summary
		problems []outcome.Reason
		err      outcome.Reason
	}{
		"all are there":       {sum: Summary{Objects: 200, Bytes: 200_000, Fill: Amount{200, 200_000, 0}}},
		"two are not":         {failing: map[string]outcome.Class{"k001": outcome.Failed, "k100": outcome.Failed}, sum: Summary{Objects: 198, Bytes: 198_000, Fill: Amount{198, 198_000, 0}}, problems: []outcome.Reason{outcome.NotFound, outcome.NotFound}},
		"two are gone":        {req: Request{MissingIsGone: true}, failing: map[string]outcome.Class{"k001": outcome.Failed, "k100": outcome.Failed}, sum: Summary{Objects: 200, Bytes: 198_000, Unsized: 2, Skips: map[outcome.Reason]int64{outcome.Gone: 2}, Fill: Amount{198, 198_000, 0}}},
		"one is forbidden":    {failing: map[string]outcome.Class{"k100": outcome.Refused}, sum: Summary{Objects: 200, Bytes: 199_000, Unsized: 1, Fill: Amount{200, 199_000, 1}}, problems: []outcome.Reason{outcome.Forbidden}},
		"one panics":          {failing: map[string]outcome.Class{"k100": 0}, sum: Summary{Objects: 200, Bytes: 199_000, Unsized: 1, Fill: Amount{200, 199_000, 1}}, problems: []outcome.Reason{outcome.FillFailed}},
		"a manifest":          {req: Request{Manifest: ckpt("m.json")}, sum: Summary{Objects: 200, Bytes: 200_000, Fill: Amount{200, 200_000, 0}}},
		"sizes are known":     {req: Request{Objects: []object.Attrs{listed("a", 300)}}, sum: Summary{Objects: 1, Bytes: 300, Fill: Amount{1, 300, 0}}},
		"one, that is not":    {req: Request{Objects: unsized("k001")}, failing: map[string]outcome.Class{"k001": outcome.Failed}, err: outcome.NotFound},
		"one, small":          {req: Request{Objects: unsized("small")}, sum: Summary{Objects: 1, Bytes: 50, Skips: map[outcome.Reason]int64{outcome.TooSmall: 1}}},
		"one, stopped before": {req: Request{Objects: unsized("k001")}, failing: map[string]outcome.Class{"k001": outcome.Interrupted}, err: outcome.FillFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &fakeStore{
				get: func(object.Ref) ([]byte, error) {
					return []byte(`["s3://ckpt/` + strings.Join(keys, `","s3://ckpt/`) + `"]`), nil
				},
				head: func(_ context.Context, ref object.Ref) (Answer, error) {
					class, fails := tt.failing[ref.Key]
					switch {
					case fails && class == 0:
						panic("oops")
					case fails:
						return Answer{}, failure(class, ref)
					case ref.Key == "small":
						return Answer{Status: 200, Size: 50}, nil
					}
					return Answer{Status: 200, Size: 1000}, nil
				},
			}
			r := newRig(t, store)
			req := tt.req
			if len(req.Objects) == 0 && req.Manifest.Bucket == "" {
				req.Objects = unsized(keys...)
			}
			req.AskSizes = true
			var order []string
			sum, err := r.planner.Walk(t.Context(), req, func(i Item) error {
				order = append(order, i.Key)
				return nil
			})
			if tt.sum.Objects == 0 {
				if err == nil || outcome.As(err).Reason != tt.err {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			var problems []outcome.Reason
			for _, p := range sum.Problems {
				problems = append(problems, p.Reason)
			}
			sum.Problems = nil
			if diff := cmp.Diff(tt.sum, sum) + cmp.Diff(tt.problems, problems); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if !slices.IsSorted(order) || store.count("fill") > 0 || r.guard.limiter.InFlight() != 0 {
				t.Errorf("%d ranged HEADs; yielded %q", store.count("fill"), order)
			}
		})
	}
}
