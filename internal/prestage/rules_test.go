package prestage

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/rules"
)

// TestPlanByRules: each object is judged by its own rule, and a cluster that the
// rules leave out sends no request at all.
func TestPlanByRules(t *testing.T) {
	t.Parallel()
	const file = `
rules:
  - {name: subject, match: {subjects: [events.model.published]}, min_bytes: 0}
  - {name: ours, match: {buckets: [ckpt], prefixes: [p/ours/, far/ours/]}, min_bytes: 1000, exclude: ["*.tmp"]}
  - {name: theirs, match: {buckets: [ckpt], prefixes: [theirs/, far/]}, clusters: [there]}
  - {name: whole, match: {buckets: [models-x]}, whole_bucket: true}
  - {name: rest, match: {buckets: [ckpt]}, max_bytes: 5000}
`
	set, err := rules.Parse([]byte(file), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	list := []object.Attrs{
		listed("p/large", 6000), listed("p/mine", 101), listed("p/ours/a", 6000), listed("p/ours/b", 1000), listed("p/ours/c.tmp", 6000), listed("p/small", 100),
	}
	all := []string{
		"skip p/large (6000 bytes): excluded", "fill p/mine (101 bytes)",
		"fill p/ours/a (6000 bytes)", "skip p/ours/b (1000 bytes): too_small", "skip p/ours/c.tmp (6000 bytes): excluded",
		"skip p/small (100 bytes): too_small",
	}
	sized := func(context.Context, object.Ref) (Answer, error) { return Answer{Status: 200, Size: 5_000_000}, nil }
	for name, tt := range map[string]struct {
		req      Request
		list     []object.Attrs
		get      string
		items    []string
		err      outcome.Reason
		requests []string
	}{
		"a prefix":           {req: Request{Prefix: ckpt("p/")}, list: list, items: all, requests: []string{"list p/"}},
		"a prefix of theirs": {req: Request{Prefix: ckpt("theirs/x/"), TotalObjects: 3}, items: []string{"skip theirs/x/ (size unknown): excluded"}},
		"a part of theirs is ours": {
			req: Request{Prefix: ckpt("far/")}, list: []object.Attrs{listed("far/a", 6000), listed("far/ours/a", 6000)},
			items: []string{"skip far/a (6000 bytes): excluded", "fill far/ours/a (6000 bytes)"}, requests: []string{"list far/"},
		},
		"objects": {
			req:   Request{Objects: []object.Attrs{listed("theirs/a", 6000), listed("p/ours/a", 6000), listed("p/large", 6000)}},
			items: []string{"skip theirs/a (6000 bytes): excluded", "fill p/ours/a (6000 bytes)", "skip p/large (6000 bytes): excluded"},
		},
		"objects whose sizes are asked for": {
			req:      Request{Objects: unsized("theirs/a", "p/ours/a"), AskSizes: true},
			items:    []string{"skip theirs/a (size unknown): excluded", "fill p/ours/a (5000000 bytes)"},
			requests: []string{"head p/ours/a"},
		},
		"a subject":            {req: Request{Objects: []object.Attrs{listed("p/small", 1)}, Subject: "events.model.published.llm"}, items: []string{"fill p/small (1 bytes)"}},
		"a manifest":           {req: Request{Manifest: ckpt("m")}, get: `["s3://ckpt/theirs/a","s3://ckpt/p/ours/a"]`, items: []string{"skip theirs/a (size unknown): excluded", "fill p/ours/a (size unknown)"}, requests: []string{"get m"}},
		"a manifest of theirs": {req: Request{Manifest: ckpt("theirs/m")}, items: []string{"skip theirs/m (size unknown): excluded"}},
		"a whole bucket":       {req: Request{Prefix: object.Ref{Bucket: "ckpt"}}, err: outcome.Unsupported},
		"a whole bucket by a rule": {
			req:   Request{Prefix: object.Ref{Bucket: "models-x"}},
			list:  []object.Attrs{{Ref: object.Ref{Bucket: "models-x", Key: "a"}, Size: 101}},
			items: []string{"fill a (101 bytes)"}, requests: []string{"list "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &fakeStore{list: pagesOf(tt.list), head: sized, get: func(object.Ref) ([]byte, error) { return []byte(tt.get), nil }}
			r := newRig(t, store)
			r.planner.rulesNow, r.planner.cluster = func() *rules.Set { return set }, "here"
			var items []string
			sum, err := r.planner.Walk(t.Context(), tt.req, func(i Item) error {
				items = append(items, strings.NewReplacer(`"`, "", "s3://ckpt/", "", "s3://models-x/", "").Replace(i.String()))
				return nil
			})
			if e := outcome.As(err); (err != nil && e.Reason != tt.err) || (err == nil && tt.err != "") || len(sum.Problems) > 0 {
				t.Errorf("error %v, want %s; problems %v", err, tt.err, sum.Problems)
			}
			if diff := cmp.Diff(tt.items, items); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			if got := store.requests(); !slices.Equal(got, tt.requests) {
				t.Errorf("requests %q, want %q", got, tt.requests)
			}
		})
	}
}
