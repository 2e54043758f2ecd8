package prestage

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// TestDryRun takes events through a Warmer that fills nothing; fakeStore fails
// whoever asks it to.
func TestDryRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{
		fill: func(context.Context, object.Ref) (Answer, error) { panic("a fill in a dry run") },
		head: func(ctx context.Context, ref object.Ref) (Answer, error) {
			switch ref.Key {
			case "gone":
				return fails(outcome.Failed)(ctx, ref)
			case "empty":
				return Answer{Status: 200}, nil
			}
			return Answer{Status: 200, Size: 1000, Version: object.Version{ETag: "e1"}}, nil
		},
	})
	w, err := NewWarmer(WarmerConfig{
		Store: r.store, Planner: r.planner, Guard: r.guard, Ledger: dedupe.NewOverlay(r.ledger),
		TTL: r.warmer.ttl, FillTimeout: r.warmer.fillTimeout, DryRun: true, Metrics: r.warmer.metrics, Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int64{}
	req := Request{MissingIsGone: true, Observe: func(res Result) {
		seen[res.Key+" "+string(res.Reason)] = res.Bytes
	}}
	for _, key := range []string{"a", "gone", "empty"} {
		req.Objects = []object.Attrs{{Ref: object.Ref{Bucket: "ckpt", Key: key}, Size: object.UnknownSize}}
		w.Warm(t.Context(), t.Context(), req, NewProgress())
	}
	if diff := cmp.Diff(map[string]int64{"a dry_run": 1000, "gone gone": 0, "empty empty": 0}, seen); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	// What was counted once is not counted again.
	req.Objects = []object.Attrs{{Ref: object.Ref{Bucket: "ckpt", Key: "a"}, Version: object.Version{ETag: "e1", ID: "v"}, Size: object.UnknownSize}}
	req.Observe = nil
	got := w.Warm(t.Context(), t.Context(), req, NewProgress())
	if diff := cmp.Diff(Counts{Total: 1, AlreadyWarm: 1}, got.Objects); diff != "" {
		t.Errorf("the second time (-want +got):\n%s", diff)
	}
	if _, err := r.ledger.Get(t.Context(), req.Objects[0].Ref); err == nil {
		t.Error("the ledger has a record of a fill that never was")
	}
}
