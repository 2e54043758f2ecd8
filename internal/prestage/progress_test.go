package prestage

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

func TestProgressOutlivesTheLedger(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	store := &fakeStore{fill: func(_ context.Context, ref object.Ref) (Answer, error) {
		if ref.Key == "b" && broken.Load() {
			return Answer{}, failure(outcome.Refused, ref)
		}
		return answerOf("e"), nil
	}}
	r := newRig(t, store)
	r.ledger = forgetful{r.ledger}
	req, done := Request{Objects: append(unsized("a", "b"), listed("c", 900), listed("d", 1000))}, NewProgress()
	first := r.warmer.Warm(t.Context(), t.Context(), req, done)
	broken.Store(false)
	second := r.warmer.Warm(t.Context(), t.Context(), req, done)
	want := []Report{
		{Objects: Counts{Total: 4, Filled: 3, Failed: 1}, Bytes: 3000, Verdict: outcome.Accepted, Problems: problem(outcome.Refused, outcome.Forbidden)},
		{Objects: Counts{Total: 4, Filled: 4}, Bytes: 4000, Verdict: outcome.Accepted},
	}
	if diff := cmp.Diff(want, []Report{first, second}, briefly); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := store.count("fill a"); n != 1 {
		t.Errorf("a was asked for %d times", n)
	}
	if left := r.planner.room.left.Load(); left != maxRememberedInHand || done.Len() != 4 {
		t.Errorf("%d places are left of %d, %d objects are remembered", left, maxRememberedInHand, done.Len())
	}
}

// TestNoRoomToRemember has a ledger that keeps what the events cannot remember.
func TestNoRoomToRemember(t *testing.T) {
	t.Parallel()
	for room := range int64(6) {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			t.Parallel()
			pass := 0
			store := &fakeStore{fill: always("e"), list: func(prefix, token string) (Page, error) {
				pass++
				p, err := listing(min(3+pass, 6))(prefix, token)
				p.Objects[0].Size = 50 // too small, in each listing
				return p, err
			}}
			r := newRig(t, store)
			r.planner.room = newRoom(room)
			got := r.warm(t, Request{Prefix: ckpt("p/")})
			want := Report{
				Objects: Counts{Total: 6, Filled: 5, Skipped: 1}, Bytes: 5000, Verdict: outcome.Accepted,
				Skips: map[outcome.Reason]int{outcome.TooSmall: 1},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := store.count("fill"); n != 5 || pass != 4 {
				t.Errorf("%d fills, %d listings", n, pass)
			}
			if left := r.planner.room.left.Load(); left != room {
				t.Errorf("%d places are left of %d", left, room)
			}
		})
	}
}

// TestAnnouncedBytes is about sizes that only the fills tell.
func TestAnnouncedBytes(t *testing.T) {
	t.Parallel()
	unknown := func(context.Context, object.Ref) (Answer, error) {
		return Answer{Status: 206, Size: object.UnknownSize}, nil
	}
	index := func(object.Ref) ([]byte, error) {
		return []byte(`{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`), nil
	}
	unsizedListing := func(string, string) (Page, error) { return Page{Objects: unsized("p/a", "p/b")}, nil }
	short := problem(outcome.Failed, outcome.Incomplete)
	for name, tt := range map[string]struct {
		req  Request
		fill func(context.Context, object.Ref) (Answer, error)
		want []Problem
	}{
		"enough":                      {req: Request{Objects: unsized("a"), TotalBytes: 1000}},
		"one object":                  {req: Request{Objects: unsized("a"), TotalBytes: 1001}, want: short},
		"two objects":                 {req: Request{Objects: unsized("a", "b"), TotalBytes: 2001}, want: short},
		"two that suffice":            {req: Request{Objects: unsized("a", "b"), TotalBytes: 2000}},
		"one of known size":           {req: Request{Objects: append(unsized("a"), listed("b", 1000)), TotalBytes: 2001}, want: short},
		"a small one counts":          {req: Request{Objects: append(unsized("a"), listed("b", 50)), TotalBytes: 1050}},
		"and no more than it has":     {req: Request{Objects: append(unsized("a"), listed("b", 50)), TotalBytes: 1051}, want: short},
		"the event is wrong on sizes": {req: Request{Objects: []object.Attrs{listed("a", 5000)}, TotalBytes: 5000}, want: short},
		"an index":                    {req: Request{Manifest: ckpt("m.safetensors.index.json"), TotalBytes: 2001}, want: short},
		"an index that suffices":      {req: Request{Manifest: ckpt("m.safetensors.index.json"), TotalBytes: 2000}},
		"a listing without sizes":     {req: Request{Prefix: ckpt("p/"), Complete: true, TotalBytes: 2001}, want: short},
		"a listing again":             {req: Request{Prefix: ckpt("p/"), TotalBytes: 2001}, want: short},
		"nobody tells":                {req: Request{Objects: unsized("a"), TotalBytes: 1001}, fill: unknown},
		"gone":                        {req: Request{Objects: unsized("a"), TotalBytes: 1001, MissingIsGone: true}, fill: fails(outcome.Failed)},
		"empty":                       {req: Request{Objects: unsized("a"), TotalBytes: 1}, fill: func(context.Context, object.Ref) (Answer, error) { return Answer{Status: 416}, nil }, want: short},
		"refused": {
			req: Request{Objects: unsized("a"), TotalBytes: 1001}, fill: fails(outcome.Refused),
			want: problem(outcome.Refused, outcome.Forbidden),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &fakeStore{fill: always("e"), get: index, list: unsizedListing}
			if tt.fill != nil {
				store.fill = tt.fill
			}
			got := newRig(t, store).warm(t, tt.req)
			if diff := cmp.Diff(tt.want, got.Problems, briefly, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// TestShortObjectIsLookedAtAgain has an upload that is done only after the event
// came. What the event has filled is not what it means, then.
func TestShortObjectIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	for name, forgets := range map[string]bool{"with a ledger": false, "with a full ledger": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := answerOf("half")
			answer := func(context.Context, object.Ref) (Answer, error) { return now, nil }
			store := &fakeStore{fill: answer, head: answer}
			r := newRig(t, store)
			if forgets {
				r.ledger = forgetful{r.ledger}
			}
			req, done := Request{Objects: unsized("a"), TotalBytes: 2000}, NewProgress()
			for attempt, want := range []struct {
				bytes    int64
				problems int
				fills    int
			}{{1000, 1, 1}, {1000, 1, 1}, {2000, 0, 2}, {2000, 0, 2}} {
				if attempt == 2 {
					now = Answer{Status: 206, Size: 2000, Version: object.Version{ETag: "whole"}}
				}
				got := r.warmer.Warm(t.Context(), t.Context(), req, done)
				if got.Bytes != want.bytes || len(got.Problems) != want.problems || store.count("fill") != want.fills {
					t.Errorf("attempt %d: %d fills, %+v", attempt+1, store.count("fill"), got)
				}
			}
		})
	}
}
