package replay

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// warmFunc is a warmer.
type warmFunc func(ctx, start context.Context, req prestage.Request) prestage.Report

func (f warmFunc) Warm(ctx, start context.Context, req prestage.Request, _ *prestage.Progress) prestage.Report {
	return f(ctx, start, req)
}

// TestListGoesBehind: a list waits for live work as a stream's history does, and
// has sizes asked for where it may fill so many bytes only.
func TestListGoesBehind(t *testing.T) {
	t.Parallel()
	for name, most := range map[string]int64{"capped": 1000, "not capped": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				warm := warmFunc(func(_, start context.Context, req prestage.Request) prestage.Report {
					if req.AskSizes != (most > 0) || req.Priority != prestage.Backfill {
						t.Errorf("%+v", req)
					}
					fill(start, req.Pace, 10, 10)
					return prestage.Report{Objects: prestage.Counts{Total: 1, Filled: 1}}
				})
				l := NewList(warm, 0, most, false, func(r prestage.Result) { t.Errorf("failed: %+v", r) })
				l.behind.set(true)
				done := make(chan error, 1)
				go func() {
					done <- l.Warm(t.Context(), t.Context(), []object.Attrs{{Ref: object.Ref{Bucket: "ckpt", Key: "a"}, Size: 10}}, object.Ref{})
				}()
				time.Sleep(time.Hour) // of the bubble's clock
				synctest.Wait()
				if fills, _ := l.meter.read(); fills != 0 {
					t.Errorf("%d fills beside live work that waits", fills)
				}
				l.behind.set(false)
				if err := <-done; err != nil || l.Progress().Filled != 1 {
					t.Errorf("%v, %+v", err, l.Progress())
				}
			})
		})
	}
}

// warming is a warmer that takes the turn of each object and fills ten bytes.
type warming struct{}

func (warming) Warm(_, start context.Context, req prestage.Request, _ *prestage.Progress) (r prestage.Report) {
	for _, o := range req.Objects {
		result := prestage.Result{Ref: o.Ref, Outcome: "filled"}
		r.Objects.Total++
		done, err := req.Pace.Start(start, 10)
		switch {
		case err != nil:
			e := &outcome.Error{Class: outcome.Interrupted, Err: err}
			result.Outcome, result.Err = "failed", e
			r.Objects.Failed++
			r.Problems = []prestage.Problem{{Class: outcome.Interrupted, Count: r.Objects.Failed, Sample: e}}
		default:
			done(10)
			r.Objects.Filled++
		}
		req.Observe(result)
	}
	return r
}

func listed(n int) []object.Attrs {
	out := make([]object.Attrs, n)
	for i := range out {
		out[i] = object.Attrs{Ref: object.Ref{Bucket: "ckpt", Key: string(rune('a' + i))}, Size: 10}
	}
	return out
}

// TestListCapped: what the cap cut off is no failure, and what came before counts.
func TestListCapped(t *testing.T) {
	t.Parallel()
	l := NewList(warming{}, 0, 30, false, func(r prestage.Result) { t.Errorf("failed: %+v", r) })
	if err := l.Warm(t.Context(), t.Context(), listed(5), object.Ref{}); !errors.Is(err, ErrCap) {
		t.Errorf("got %v", err)
	}
	p := l.Progress()
	if diff := cmp.Diff([]int64{3, 3, 30, 0, 0}, []int64{p.Objects, p.Filled, p.Bytes, p.Failed, p.AlreadyWarm}); diff != "" {
		t.Errorf("objects, filled, bytes, failed, already warm (-want +got):\n%s", diff)
	}
}
