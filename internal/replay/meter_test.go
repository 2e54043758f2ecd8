package replay

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/prestage"
)

// fill takes one fill of so many bytes through m; the answer tells size.
func fill(ctx context.Context, m prestage.Pacer, known, size int64) bool {
	done, err := m.Start(ctx, known)
	if err != nil {
		return false
	}
	done(size)
	return true
}

func TestMeterCaps(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	m := newMeter(0, 100, stop)
	held, err := m.Start(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}
	if !fill(ctx, m, 40, 40) {
		t.Error("40 of 100 bytes are refused beside 60")
	}
	held(-1) // it failed: its room is free
	if !fill(ctx, m, object.UnknownSize, 50) || ctx.Err() != nil {
		t.Error("one of unknown size is refused with 60 bytes left")
	}
	if fill(ctx, m, 11, 11) || ctx.Err() == nil {
		t.Error("11 bytes with 10 left")
	}
	if fills, bytes := m.read(); fills != 2 || bytes != 90 {
		t.Errorf("%d fills, %d bytes", fills, bytes)
	}
}

// TestMeterWaitsForTheLast: what was let through may end, and the cap comes
// after it; what fails leaves its room to others.
func TestMeterWaitsForTheLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		m := newMeter(0, 100, stop)
		var done []func(int64)
		for range 2 {
			d, err := m.Start(ctx, 50)
			if err != nil {
				t.Fatal(err)
			}
			done = append(done, d)
		}
		var filled []bool
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 2 {
				filled = append(filled, fill(ctx, m, 50, 50))
			}
		})
		synctest.Wait()
		if ctx.Err() != nil || len(filled) > 0 {
			t.Fatalf("with two under way: %v, %v", filled, ctx.Err())
		}
		done[0](-1)
		synctest.Wait()
		if ctx.Err() != nil || len(filled) != 1 || !filled[0] {
			t.Fatalf("one has failed: %v, %v", filled, ctx.Err())
		}
		done[1](50)
		wg.Wait()
		if ctx.Err() == nil || len(filled) != 2 || filled[1] {
			t.Errorf("all is filled: %v, %v", filled, ctx.Err())
		}
	})
}

func TestMeterRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(10, 0, func() {})
		began := time.Now()
		var wg sync.WaitGroup
		for range 31 {
			wg.Go(func() {
				if !fill(t.Context(), m, 1, 1) {
					t.Error("refused")
				}
			})
		}
		wg.Wait()
		if spent := time.Since(began).Round(time.Millisecond); spent != 3*time.Second {
			t.Errorf("31 fills at 10 a second took %s", spent)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if fill(ctx, m, 1, 1) {
			t.Error("a turn after the end")
		}
		if fills, bytes := m.read(); fills != 31 || bytes != 31 {
			t.Errorf("%d fills, %d bytes", fills, bytes)
		}
	})
}
