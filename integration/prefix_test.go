package integration_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestManyObjects names 3,500 objects in each way that an event can. The large
// ones are asked for once each, the small ones never.
func TestManyObjects(t *testing.T) {
	t.Parallel()
	const (
		prefix         = "run-7/step-100/"
		largeN, smallN = 3400, 100
	)
	type entry struct {
		Key  string `json:"key"`
		Size int64  `json:"size"`
	}
	var all []entry
	want := make(map[string]int)
	for i := range largeN {
		all = append(all, entry{fmt.Sprintf(prefix+"large-%04d.pt", i), small + 1})
		want[all[i].Key] = 1
	}
	for i := range smallN {
		all = append(all, entry{fmt.Sprintf(prefix+"small-%04d.pt", i), small})
	}
	list, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}

	for name, tt := range map[string]struct {
		data  map[string]any
		lists int // pages of 1,000 keys
		gets  int
	}{
		"as a prefix":   {data: map[string]any{"uri": uri(prefix), "complete": true, "total_objects": largeN + smallN}, lists: 4},
		"as a manifest": {data: map[string]any{"manifest": uri("manifests/step-100.json")}, gets: 1},
		"as a list":     {data: map[string]any{"bucket": bucket, "objects": all}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			for _, e := range all {
				w.store.Put(bucket, e.Key, e.Size)
			}
			w.store.PutBytes(bucket, "manifests/step-100.json", list)
			launch(t, plainBuild, w.environ(t, "PRESTAGE_CONFIRM=response")).ready(t) // no reads among what is counted
			s := w.checkpoint(t, "step-100", tt.data)

			r := w.ends(t, s, "warm")
			w.settled(t)
			if diff := cmp.Diff(counts{Total: largeN + smallN, Filled: largeN, Skipped: smallN}, r.Objects); diff != "" {
				t.Errorf("receipt's counts (-want +got):\n%s", diff)
			}
			if want := int64(largeN * (small + 1)); r.Bytes != want {
				t.Errorf("receipt tells %d bytes, want %d", r.Bytes, want)
			}
			w.lota.mustHaveAsked(t, want)
			if got := len(w.lota.Objects()); got != largeN {
				t.Errorf("%d objects are cached, want %d", got, largeN)
			}
			lists := w.lota.Count(lotasim.Filter{Method: "GET"}) - w.lota.Count(lotasim.Filter{Method: "GET", Prefix: "manifests/"})
			if gets := w.lota.Count(lotasim.Filter{Method: "GET", Prefix: "manifests/"}); lists != tt.lists || gets != tt.gets {
				t.Errorf("%d lists and %d GETs, want %d and %d", lists, gets, tt.lists, tt.gets)
			}
			if total := w.lota.Count(lotasim.Filter{}); total != largeN+tt.lists+tt.gets {
				t.Errorf("%d requests in all, want %d", total, largeN+tt.lists+tt.gets)
			}
		})
	}
}
