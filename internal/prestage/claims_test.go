package prestage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/rules"
)

// stored is a store that has these keys, of 1,000 bytes each, those of texts
// with what they hold.
func stored(keys string, texts map[string]string) *fakeStore {
	all := make(map[string]int64)
	for key := range strings.FieldsSeq(keys) {
		all[key] = 1000
	}
	for key, text := range texts {
		all[key] = int64(len(text))
	}
	return &fakeStore{
		fill: always("e"), head: always("e"),
		list: func(prefix, _ string) (Page, error) {
			b := bench{objects: map[string]Answer{}}
			for key, size := range all {
				b.objects[key] = Answer{Size: size, Version: object.Version{ETag: "e"}}
			}
			return b.page(prefix), nil
		},
		get: func(ref object.Ref) ([]byte, error) {
			if text, ok := texts[ref.Key]; ok {
				return []byte(text), nil
			}
			return nil, failure(outcome.Failed, ref)
		},
	}
}

// planned walks req and returns its items without quotes and the bucket.
func planned(t *testing.T, r *rig, req Request) (items []string, sum Summary, err error) {
	t.Helper()
	sum, err = r.planner.Walk(t.Context(), req, func(i Item) error {
		items = append(items, strings.NewReplacer(`"`, "", "s3://ckpt/", "").Replace(i.String()))
		return nil
	})
	return items, sum, err
}

func TestNotices(t *testing.T) {
	t.Parallel()
	written := func(keys ...string) Request { return Request{Notified: true, Objects: unsized(keys...)} }
	removed := func(key string) Request { return Request{Notified: true, Removed: []object.Ref{ckpt(key)}} }
	const dcp = "r/step-1/.metadata r/step-1/__0_0.distcp r/step-1/__1_0.distcp r/step-10/__0_0.distcp"
	for name, tt := range map[string]struct {
		keys  string
		texts map[string]string
		rule  rules.Rule
		req   Request
		want  []string
	}{
		"a marker":            {keys: dcp, req: written("r/step-1/.metadata"), want: []string{"fill r/step-1/.metadata (size unknown)", "fill r/step-1/__0_0.distcp (1000 bytes)", "fill r/step-1/__1_0.distcp (1000 bytes)"}},
		"no marker":           {keys: dcp, req: written("r/step-1/__0_0.distcp"), want: []string{"fill r/step-1/__0_0.distcp (size unknown)"}},
		"all of it":           {keys: dcp, req: written("r/step-1/.metadata", "r/step-1/__0_0.distcp", "r/step-1/__1_0.distcp"), want: []string{"fill r/step-1/.metadata (size unknown)", "fill r/step-1/__0_0.distcp (size unknown)", "fill r/step-1/__1_0.distcp (size unknown)"}},
		"named by a person":   {keys: dcp, req: Request{Objects: unsized("r/step-1/.metadata")}, want: []string{"fill r/step-1/.metadata (size unknown)"}},
		"a whole bucket":      {keys: ".metadata __0_0.distcp", req: written(".metadata"), want: []string{"fill .metadata (size unknown)"}},
		"not complete":        {keys: "r/step-1/.metadata", req: written("r/step-1/.metadata"), want: []string{"fill r/step-1/.metadata (size unknown)"}},
		"a temporary name":    {req: written("r/step-1/.metadata.tmp"), want: []string{"skip r/step-1/.metadata.tmp (size unknown): excluded"}},
		"atomic, a part":      {keys: dcp, rule: rules.Rule{Policy: rules.Atomic}, req: written("r/step-1/__0_0.distcp"), want: []string{"skip r/step-1/__0_0.distcp (size unknown): awaits_marker"}},
		"atomic, the marker":  {keys: dcp, rule: rules.Rule{Policy: rules.Atomic}, req: written("r/step-1/.metadata"), want: []string{"fill r/step-1/__0_0.distcp (1000 bytes)", "fill r/step-1/__1_0.distcp (1000 bytes)", "fill r/step-1/.metadata (size unknown)"}},
		"atomic, unknown":     {rule: rules.Rule{Policy: rules.Atomic}, req: written("r/a.bin"), want: []string{"fill r/a.bin (size unknown)"}},
		"atomic, one file":    {rule: rules.Rule{Policy: rules.Atomic}, req: written("r/a.ckpt"), want: []string{"fill r/a.ckpt (size unknown)"}},
		"atomic, at the root": {keys: "__0_0.distcp .metadata", rule: rules.Rule{Policy: rules.Atomic}, req: written(".metadata"), want: []string{"skip .metadata (size unknown): awaits_marker"}},
		"a tracker at the root of the bucket": {
			keys: "global_step1/mp_rank_00_model_states.pt global_step2/mp_rank_00_model_states.pt other/x", texts: map[string]string{"latest": "global_step2"},
			req: written("latest"), want: []string{"fill latest (size unknown)", "fill global_step2/mp_rank_00_model_states.pt (1000 bytes)"},
		},
		"a hostile tracker": {keys: "other/x", texts: map[string]string{"r/latest": "../other"}, req: written("r/latest"), want: []string{"fill r/latest (size unknown)"}},
		"the newest": {
			keys: "r/iter_0000100/.metadata r/iter_0000100/__0_0.distcp r/iter_0000100/train_state.pt r/iter_0000200/.metadata r/iter_0000200/__0_0.distcp r/iter_0000200/train_state.pt",
			req:  written("r/latest_train_state.pt"), want: []string{
				"fill r/latest_train_state.pt (size unknown)", "fill r/iter_0000200/.metadata (1000 bytes)",
				"fill r/iter_0000200/__0_0.distcp (1000 bytes)", "fill r/iter_0000200/train_state.pt (1000 bytes)",
			},
		},
		"a removal":             {keys: "r/ck/context/x r/ck/weights/.metadata r/ck/weights/__0_0.distcp", req: removed("r/ck-unfinished"), want: []string{"fill r/ck/context/x (1000 bytes)", "fill r/ck/weights/.metadata (1000 bytes)", "fill r/ck/weights/__0_0.distcp (1000 bytes)"}},
		"a removal of all":      {keys: "r/ckx/context/x", req: removed("r/ck-unfinished")},
		"another removal":       {keys: dcp, req: removed("r/step-1/.metadata")},
		"a removal, once more":  {keys: "r/ck-unfinished r/ck/context/x r/ck/weights/a", req: removed("r/ck-unfinished")},
		"a removal, not ours":   {req: Request{Notified: true, Removed: []object.Ref{{Bucket: "secret", Key: "r/ck-unfinished"}}}},
		"the last of the index": {keys: "m/a-00001-of-00002.safetensors m/a-00002-of-00002.safetensors m/sub/x.bin m/tok", req: written("m/a-00002-of-00002.safetensors"), want: []string{"fill m/a-00002-of-00002.safetensors (size unknown)", "fill m/a-00001-of-00002.safetensors (1000 bytes)", "fill m/tok (1000 bytes)"}},
		"not the last":          {keys: "m/a-00002-of-00002.safetensors", req: written("m/a-00002-of-00002.safetensors"), want: []string{"fill m/a-00002-of-00002.safetensors (size unknown)"}},
		"an index that lies": {
			keys: "m/a-00001-of-00001.safetensors", texts: map[string]string{"m/a.safetensors.index.json": `{"weight_map":{"a":"b.safetensors"}}`},
			req: written("m/a-00001-of-00001.safetensors"), want: []string{"fill m/a-00001-of-00001.safetensors (size unknown)"},
		},
		"to serve": {
			keys: "r/checkpoint-5/model.safetensors r/checkpoint-5/optimizer.pt r/checkpoint-5/trainer_state.json", rule: rules.Rule{Keep: layout.KeepServe},
			req: written("r/checkpoint-5/trainer_state.json"), want: []string{
				"fill r/checkpoint-5/trainer_state.json (size unknown)",
				"fill r/checkpoint-5/model.safetensors (1000 bytes)", "skip r/checkpoint-5/optimizer.pt (1000 bytes): excluded",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, stored(tt.keys, tt.texts))
			r.planner.rulesNow = func() *rules.Set { return &rules.Set{Rules: []rules.Rule{tt.rule}} }
			got, sum, err := planned(t, r, tt.req)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil || len(sum.Problems) != 0 {
				t.Errorf("%v, %v (-want +got):\n%s", err, sum.Problems, diff)
			}
		})
	}
}

// TestNoticeAndTrouble: what cannot be listed costs an eager event nothing but
// what no event told of; one that waits for it waits on.
func TestNoticeAndTrouble(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		class  outcome.Class
		policy rules.Policy
		want   int // problems
	}{
		"refused, eager": {outcome.Refused, rules.Eager, 0}, "refused, atomic": {outcome.Refused, rules.Atomic, 1},
		"throttled, eager": {outcome.Throttled, rules.Eager, 1}, "transient, eager": {outcome.Transient, rules.Eager, 1},
		"no such bucket": {outcome.Failed, rules.Atomic, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &fakeStore{headBucket: func(context.Context, string) error { return nil }}
				store.list = func(prefix, _ string) (Page, error) { return Page{}, failure(tt.class, ckpt(prefix)) }
				r := newRig(t, store)
				r.planner.rulesNow = func() *rules.Set { return &rules.Set{Rules: []rules.Rule{{Policy: tt.policy}}} }
				items, sum, err := planned(t, r, Request{Notified: true, Objects: unsized("r/step-1/.metadata")})
				if err != nil || len(sum.Problems) != tt.want || len(items) != 1 {
					t.Errorf("%v, %v, %v", items, sum.Problems, err)
				}
			})
		})
	}
}

// TestLongCheckpoint: of a listing that is longer than what is kept nothing is
// lost, and nothing comes twice.
func TestLongCheckpoint(t *testing.T) {
	t.Parallel()
	var keys strings.Builder
	for i := range 3 * maxKept {
		fmt.Fprintf(&keys, "r/step-1/__%d_0.distcp ", i)
	}
	r := newRig(t, stored(keys.String()+"r/step-1/.metadata", nil))
	items, sum, err := planned(t, r, Request{Notified: true, Objects: unsized("r/step-1/.metadata")})
	if err != nil || len(items) != 3*maxKept+1 || sum.Objects != 3*maxKept+1 {
		t.Errorf("%d items, %+v, %v", len(items), sum, err)
	}
}

// TestPrefixLayout: a prefix that is named is held against the rule of its
// layout; where whole checkpoints are wanted nothing is planned before.
func TestPrefixLayout(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		keys    string
		req     Request
		policy  rules.Policy
		layout  layout.Format
		items   int
		problem string
		doubt   string
	}{
		"whole":               {keys: "p/.metadata p/__0_0.distcp", layout: layout.DCP, items: 2},
		"not whole":           {keys: "p/__0_0.distcp", layout: layout.DCP, items: 1, problem: `"p/.metadata" is missing`},
		"not asked":           {keys: "p/__0_0.distcp", req: Request{NoIndex: true}, layout: layout.DCP, items: 1},
		"named":               {keys: "p/.metadata p/__0_0.distcp", req: Request{Layout: "lightning_sharded"}, layout: layout.LightningSharded, items: 2, problem: "meta.pt"},
		"named, not believed": {keys: "p/a p/b", req: Request{Layout: "dcp"}, items: 2},
		"unknown":             {keys: "p/a p/b", req: Request{Layout: "zarr"}, items: 2},
		"stated":              {keys: "p/__0_0.distcp", req: Request{Stated: true}, layout: layout.DCP, items: 1, doubt: `"p/.metadata" is missing`},
		"stated and whole":    {keys: "p/.metadata p/__0_0.distcp", req: Request{Stated: true}, layout: layout.DCP, items: 2},
		"stated and named":    {keys: "p/__0_0.distcp", req: Request{Stated: true, Layout: "dcp"}, layout: layout.DCP, items: 1, problem: `"p/.metadata" is missing`},
		"atomic, stated":      {keys: "p/__0_0.distcp", req: Request{Stated: true}, policy: rules.Atomic, layout: layout.DCP, problem: `"p/.metadata" is missing`},
		"atomic, whole":       {keys: "p/.metadata p/__0_0.distcp", policy: rules.Atomic, layout: layout.DCP, items: 2},
		"atomic, not whole":   {keys: "p/__0_0.distcp", policy: rules.Atomic, layout: layout.DCP, problem: `"p/.metadata" is missing`},
		"atomic, too few":     {keys: "p/.metadata p/__0_0.distcp", req: Request{TotalObjects: 3}, policy: rules.Atomic, layout: layout.DCP, problem: "2 objects of 3"},
		"atomic, unknown":     {keys: "p/a p/b", policy: rules.Atomic, items: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, stored(tt.keys, nil))
			r.planner.rulesNow = func() *rules.Set { return &rules.Set{Rules: []rules.Rule{{Policy: tt.policy}}} }
			tt.req.Prefix = ckpt("p/")
			items, sum, err := planned(t, r, tt.req)
			if err != nil || len(items) != tt.items || sum.Layout != tt.layout || (len(sum.Problems) == 0) != (tt.problem == "") {
				t.Fatalf("%v, %+v, %v", items, sum, err)
			}
			if !strings.Contains(sum.Doubt, tt.doubt) || (sum.Doubt == "") != (tt.doubt == "") {
				t.Errorf("in doubt: %q", sum.Doubt)
			}
			if tt.problem != "" && (!strings.Contains(sum.Problems[0].Error(), tt.problem) || sum.Problems[0].Reason != outcome.Incomplete || sum.Problems[0].Class != outcome.Failed) {
				t.Errorf("%+v", sum.Problems[0])
			}
		})
	}
}
