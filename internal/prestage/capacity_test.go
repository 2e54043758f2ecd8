package prestage

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

func TestLargerThanTheCache(t *testing.T) {
	t.Parallel()
	sized := func(n int, size int64) (out []object.Attrs) {
		for i := range n {
			out = append(out, object.Attrs{Ref: ckpt(fmt.Sprint("k", i)), Size: size})
		}
		return out
	}
	for name, tt := range map[string]struct {
		req   Request
		cache int64 // the listing's objects, and those asked for, have 1,000 bytes each
		want  string
		fills int
	}{
		"no limit":             {Request{Objects: sized(3, 1<<40)}, 0, "", 3},
		"just":                 {Request{Objects: sized(3, 1000)}, 3000, "", 3},
		"a byte too many":      {Request{Objects: sized(3, 1000)}, 2999, "3 objects of it have 3000 bytes", 0},
		"notified":             {Request{Objects: sized(3, 1000), Notified: true}, 2999, "3 objects of it have 3000 bytes", 0},
		"one alone":            {Request{Objects: sized(1, 5000)}, 3000, "1 objects of it have 5000 bytes", 0},
		"small ones":           {Request{Objects: sized(50, 100)}, 3000, "", 0},
		"unknown sizes":        {Request{Objects: unsized("a", "b", "c")}, 2999, "3 objects of it have 3000 bytes", 0},
		"unknown, but fits":    {Request{Objects: unsized("a", "b", "c")}, 3000, "", 3},
		"a prefix":             {Request{Prefix: ckpt("p/"), Complete: true}, 2_400_000, "2401 objects of it have 2401000 bytes", 0},
		"a prefix that fits":   {Request{Prefix: ckpt("p/"), Complete: true}, 2_500_000, "", 2500},
		"a manifest":           {Request{Manifest: ckpt("m")}, 99_000, "100 objects of it have 100000 bytes", 0},
		"a manifest that fits": {Request{Manifest: ckpt("m")}, 100_000, "", 100},
		"announced":            {Request{Objects: sized(1, 1000), TotalBytes: 1 << 40}, 1 << 30, "1099511627776 bytes are announced", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var manifest []string
			for i := range 100 {
				manifest = append(manifest, fmt.Sprintf("%q", ckpt(fmt.Sprint("m/", i))))
			}
			store := &fakeStore{
				list: listing(2500), fill: always("e"), head: always("e"),
				get:        func(object.Ref) ([]byte, error) { return []byte("[" + strings.Join(manifest, ",") + "]"), nil },
				headBucket: func(context.Context, string) error { return nil },
			}
			r := newRig(t, store)
			r.warmer.cacheBytes = tt.cache
			got := r.warm(t, tt.req)
			if n := store.count("fill"); n != tt.fills {
				t.Errorf("%d fills, want %d", n, tt.fills)
			}
			if tt.want == "" {
				if len(got.Problems) > 0 {
					t.Errorf("%+v", got.Problems[0].Sample)
				}
				return
			}
			if len(got.Problems) != 1 {
				t.Fatalf("%+v", got)
			}
			p := got.Problems[0]
			if p.Class != outcome.Permanent || p.Reason != outcome.Unsupported || !strings.Contains(p.Sample.Error(), tt.want) {
				t.Errorf("%v %v: %v", p.Class, p.Reason, p.Sample)
			}
			if diff := cmp.Diff(Counts{}, got.Objects); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnlistablePrefixWithCacheBytes has the walk for the size fail as the other one does.
func TestUnlistablePrefixWithCacheBytes(t *testing.T) {
	t.Parallel()
	store := &fakeStore{list: func(string, string) (Page, error) { return Page{}, nil }}
	r := newRig(t, store)
	r.warmer.cacheBytes = 1
	got := r.warm(t, Request{Prefix: ckpt("p/"), Complete: true})
	if len(got.Problems) != 1 || got.Problems[0].Reason != outcome.NotFound || got.Problems[0].Count != 1 {
		t.Errorf("%+v", got)
	}
}
