package replay

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	ref := func(key string) object.Ref { return object.Ref{Bucket: "ckpt", Key: key} }
	checkpoint := events.Event{Kind: events.KindCheckpoint, Run: "run-7", Prefix: ref("run-7/step-1/")}
	model := events.Event{Kind: events.KindModel, Model: "m", Manifest: object.Ref{Bucket: "models", Key: "m/index.json"}}
	notified := events.Event{Kind: events.KindObject, Objects: []object.Attrs{{Ref: ref("a/1")}, {Ref: ref("b/1")}}, Removed: []object.Ref{{Bucket: "old", Key: "x-unfinished"}}}
	ping := events.Event{Skip: outcome.NotActionable}
	unread := errors.New("malformed")
	for name, tt := range map[string]struct {
		Selection
		want [5]bool // the events above, and one that cannot be read
	}{
		"all":           {Selection{}, [5]bool{true, true, true, true, true}},
		"a run":         {Selection{Runs: []string{"x", "run-7"}}, [5]bool{true}},
		"another run":   {Selection{Runs: []string{"run-70"}}, [5]bool{}},
		"a model":       {Selection{Models: []string{"m"}}, [5]bool{1: true}},
		"a bucket":      {Selection{Bucket: "ckpt"}, [5]bool{0: true, 2: true}},
		"a prefix":      {Selection{Bucket: "ckpt", Prefix: "b/"}, [5]bool{2: true}},
		"a removal":     {Selection{Bucket: "old"}, [5]bool{2: true}},
		"half a prefix": {Selection{Bucket: "ckpt", Prefix: "run-"}, [5]bool{true}},
		"the latest":    {Selection{Latest: 1}, [5]bool{true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got [5]bool
			for i, ev := range []events.Event{checkpoint, model, notified, ping} {
				got[i] = tt.matches(ev, nil)
			}
			got[4] = tt.matches(events.Event{}, unread)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewest(t *testing.T) {
	t.Parallel()
	k := newNewest(2)
	for seq := range uint64(10) {
		run := "even"
		if seq%2 == 1 {
			run = "odd"
		}
		k.add(events.Event{ID: fmt.Sprint(seq), Kind: events.KindCheckpoint, Run: run}, seq)
	}
	k.add(events.Event{ID: "m", Kind: events.KindModel, Model: "even"}, 10)
	for _, id := range []string{"0", "8"} { // sent once more: they are no newer for that
		k.add(events.Event{ID: id, Kind: events.KindCheckpoint, Run: "even"}, 11)
	}
	k.add(events.Event{ID: "m", Source: "another", Kind: events.KindModel, Model: "even"}, 12)
	if diff := cmp.Diff([]uint64{6, 7, 8, 9, 10, 12}, slices.Sorted(maps.Keys(k.all()))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
