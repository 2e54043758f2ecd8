package dedupe_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
)

var ref = object.Ref{Bucket: "ckpt", Key: "last.ckpt"}

// answer is what one caller of Do got.
type answer struct {
	Res string
	How dedupe.How
	Err string
}

// do calls Do in a goroutine; the pointer is nil until that has returned.
func do(ctx context.Context, f *dedupe.Flights[string], seen time.Time, fn func(context.Context, *dedupe.Run) (string, error)) *atomic.Pointer[answer] {
	p := new(atomic.Pointer[answer])
	go func() {
		res, how, err := f.Do(ctx, ref, dedupe.Caller{Seen: seen}, fn)
		a := answer{Res: res, How: how}
		if err != nil {
			a.Err = err.Error()
		}
		p.Store(&a)
	}()
	return p
}

func never(context.Context, *dedupe.Run) (string, error) { panic("a second run") }

func check(t *testing.T, who string, got *atomic.Pointer[answer], want answer) {
	t.Helper()
	if diff := cmp.Diff(&want, got.Load()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", who, diff)
	}
}

func TestFlightsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f dedupe.Flights[string]
		start := time.Now()
		// Asks after 1 s, ends after 3 s.
		leader := do(t.Context(), &f, start, func(_ context.Context, run *dedupe.Run) (string, error) {
			time.Sleep(time.Second)
			run.Asked()
			time.Sleep(time.Second)
			run.Asked() // a retry is no reason to trust it more
			time.Sleep(time.Second)
			return "fill", nil
		})
		synctest.Wait()
		before := do(t.Context(), &f, start, never)
		time.Sleep(1500 * time.Millisecond)
		behind := do(t.Context(), &f, start.Add(999*time.Millisecond), never) // an old event that comes late
		same := do(t.Context(), &f, start.Add(time.Second), never)
		fresh := do(t.Context(), &f, time.Now(), never)
		time.Sleep(time.Second)
		afterRetry := do(t.Context(), &f, start.Add(1500*time.Millisecond), never)
		time.Sleep(499 * time.Millisecond)
		synctest.Wait()
		if fresh.Load() != nil {
			t.Error("answered before the end")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()

		check(t, "leader", leader, answer{Res: "fill", How: dedupe.Led})
		check(t, "not asked yet", before, answer{Res: "fill", How: dedupe.Shared})
		check(t, "asked after seen", behind, answer{Res: "fill", How: dedupe.Shared})
		check(t, "asked when seen", same, answer{Res: "fill", How: dedupe.Stale})
		check(t, "asked before seen", fresh, answer{Res: "fill", How: dedupe.Stale})
		check(t, "retried after seen", afterRetry, answer{Res: "fill", How: dedupe.Stale})

		res, how, err := f.Do(t.Context(), ref, dedupe.Caller{Seen: start}, func(context.Context, *dedupe.Run) (string, error) { return "again", nil })
		if res != "again" || how != dedupe.Led || err != nil {
			t.Errorf("after the end: %q, %v, %v", res, how, err)
		}
	})
}

func TestFlightsErrorIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f dedupe.Flights[string]
		release := make(chan struct{})
		leader := do(t.Context(), &f, time.Now(), func(context.Context, *dedupe.Run) (string, error) {
			<-release
			return "partly", errors.New("503")
		})
		synctest.Wait()
		other := do(t.Context(), &f, time.Now(), never)
		synctest.Wait()
		close(release)
		synctest.Wait()
		check(t, "leader", leader, answer{Res: "partly", Err: "503"})
		check(t, "other", other, answer{Res: "partly", How: dedupe.Shared, Err: "503"})
	})
}

func TestFlightsAreByObject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f dedupe.Flights[string]
		release := make(chan struct{})
		do(t.Context(), &f, time.Now(), func(context.Context, *dedupe.Run) (string, error) { <-release; return "", nil })
		synctest.Wait()
		other := object.Ref{Bucket: ref.Bucket, Key: "other"}
		res, how, err := f.Do(t.Context(), other, dedupe.Caller{Seen: time.Now()}, func(context.Context, *dedupe.Run) (string, error) { return "other", nil })
		if res != "other" || how != dedupe.Led || err != nil {
			t.Errorf("another object: %q, %v, %v", res, how, err)
		}
		close(release)
	})
}

type ctxKey struct{}

func TestFlightsLeaderLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f dedupe.Flights[string]
		release := make(chan struct{})
		leaderCtx, cancel := context.WithTimeout(context.WithValue(t.Context(), ctxKey{}, "value"), time.Second)
		defer cancel()
		leader := do(leaderCtx, &f, time.Now(), func(ctx context.Context, _ *dedupe.Run) (string, error) {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return fmt.Sprint(ctx.Value(ctxKey{}), " ", ctx.Err()), nil
		})
		synctest.Wait()
		other := do(t.Context(), &f, time.Now(), never)
		time.Sleep(2 * time.Second) // the leader's deadline passes
		synctest.Wait()
		check(t, "leader", leader, answer{Err: context.DeadlineExceeded.Error()})
		if other.Load() != nil {
			t.Error("answered while it runs")
		}
		close(release)
		synctest.Wait()
		check(t, "other", other, answer{Res: "value <nil>", How: dedupe.Shared})
	})
}

func TestFlightsAllLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f dedupe.Flights[string]
		ctx1, cancel1 := context.WithCancel(t.Context())
		ctx2, cancel2 := context.WithCancel(t.Context())
		ended, release := make(chan struct{}), make(chan struct{})
		one := do(ctx1, &f, time.Now(), func(ctx context.Context, run *dedupe.Run) (string, error) {
			run.Asked()
			<-ctx.Done()
			close(ended)
			<-release // slow to notice
			return "old", ctx.Err()
		})
		synctest.Wait()
		time.Sleep(time.Second)
		two := do(ctx2, &f, time.Now(), never)
		synctest.Wait()
		cancel1()
		synctest.Wait()
		select {
		case <-ended:
			t.Fatal("cancelled though a caller still waits")
		default:
		}
		cancel2()
		<-ended
		synctest.Wait()
		check(t, "first", one, answer{Err: context.Canceled.Error()})
		check(t, "second", two, answer{How: dedupe.Stale, Err: context.Canceled.Error()})

		// Whoever comes now must not get the end of the cancelled run, and that
		// end must not take the new run off the map.
		again := make(chan struct{})
		three := do(t.Context(), &f, time.Now(), func(context.Context, *dedupe.Run) (string, error) { <-again; return "new", nil })
		synctest.Wait()
		close(release)
		synctest.Wait()
		four := do(t.Context(), &f, time.Now(), never)
		synctest.Wait()
		close(again)
		synctest.Wait()
		check(t, "third", three, answer{Res: "new", How: dedupe.Led})
		check(t, "fourth", four, answer{Res: "new", How: dedupe.Shared})
	})
}

func TestFlightsEndedContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f dedupe.Flights[string]
		var ran atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := f.Do(ctx, ref, dedupe.Caller{Seen: time.Now()}, func(context.Context, *dedupe.Run) (string, error) {
			ran.Store(true)
			return "", nil
		})
		synctest.Wait()
		if !errors.Is(err, context.Canceled) || ran.Load() {
			t.Errorf("Do = %v, ran %v; want %v, and nothing run", err, ran.Load(), context.Canceled)
		}
	})
}

func explode(release <-chan struct{}) func(context.Context, *dedupe.Run) (string, error) {
	return func(context.Context, *dedupe.Run) (string, error) {
		<-release
		panic(fmt.Sprintf("boom %d", 1))
	}
}

func TestFlightsPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f dedupe.Flights[string]
		release := make(chan struct{})
		errs := make([]error, 2)
		for i := range errs {
			go func() { _, _, errs[i] = f.Do(t.Context(), ref, dedupe.Caller{Seen: time.Now()}, explode(release)) }()
		}
		synctest.Wait()
		close(release)
		synctest.Wait()
		for i, err := range errs {
			var p *dedupe.PanicError
			if !errors.As(err, &p) || p.Value != "boom 1" || !strings.Contains(string(p.Stack), "explode") {
				t.Errorf("caller %d: %v", i, err)
			}
		}
		if _, how, err := f.Do(t.Context(), ref, dedupe.Caller{Seen: time.Now()}, func(context.Context, *dedupe.Run) (string, error) { return "", nil }); how != dedupe.Led || err != nil {
			t.Errorf("after the panic: %v, %v", how, err)
		}
	})
}

func TestFlightsGoexit(t *testing.T) {
	t.Parallel()
	var f dedupe.Flights[string]
	_, _, err := f.Do(t.Context(), ref, dedupe.Caller{Seen: time.Now()}, func(context.Context, *dedupe.Run) (string, error) {
		runtime.Goexit()
		return "", nil
	})
	if err == nil {
		t.Error("a function that never returned gave no error")
	}
}

// TestFlightsRace has starts meet ends: nobody may get the result of a run whose
// end it has seen.
func TestFlightsRace(t *testing.T) {
	t.Parallel()
	var (
		f       dedupe.Flights[int64]
		wg      sync.WaitGroup
		running atomic.Int32
		runs    atomic.Int64
	)
	for range 8 {
		wg.Go(func() {
			var last int64
			for range 5000 {
				run, _, err := f.Do(t.Context(), ref, dedupe.Caller{Seen: time.Now()}, func(_ context.Context, run *dedupe.Run) (int64, error) {
					if running.Add(1) != 1 {
						t.Error("two runs at one time")
					}
					defer running.Add(-1)
					run.Asked()
					runtime.Gosched()
					return runs.Add(1), nil
				})
				if err != nil || run <= last {
					t.Errorf("run %d after run %d: %v", run, last, err)
				}
				last = run
			}
		})
	}
	wg.Wait()
	if runs.Load() == 0 {
		t.Error("nothing ran")
	}
}
