package replay

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prestage/prestage/internal/object"
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
