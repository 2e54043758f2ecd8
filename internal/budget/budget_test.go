package budget

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ledger is a store in memory, which several instances share.
type ledger struct {
	mu     sync.Mutex
	a      Account
	writes int
	down   atomic.Bool
	lost   atomic.Bool // what is written is, too
}

var errDown = errors.New("down")

func (l *ledger) Update(ctx context.Context, change func(*Account) bool) error {
	if l.down.Load() {
		<-ctx.Done()
		return errDown
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.a
	a.Spent = append([]Minute{}, a.Spent...)
	change(&a) // another was faster
	if l.lost.Load() {
		return errDown
	}
	a = l.a
	a.Spent = append([]Minute{}, a.Spent...)
	if change(&a) {
		l.a = a
		l.writes++
	}
	return nil
}

func (l *ledger) read() Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.a
}

// instance is one program's budget.
type instance struct {
	*Budget
	log      bytes.Buffer
	registry *prometheus.Registry
}

func newInstance(limit int64, l *ledger) *instance {
	i := &instance{registry: prometheus.NewRegistry()}
	i.Budget = New(limit, l, NewMetrics(i.registry), slog.New(slog.NewTextHandler(&i.log, nil)))
	return i
}

// gauge reads prestage_budget_<name>.
func (i *instance) gauge(t *testing.T, name string) float64 {
	t.Helper()
	families, err := i.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "prestage_budget_"+name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric prestage_budget_%s", name)
	return 0
}

func (i *instance) fill(t *testing.T, size int64) {
	t.Helper()
	done, err := i.Start(t.Context(), size)
	if err != nil {
		t.Error(err)
		return
	}
	done(size)
}

// run has the instance keep its account until the function that it returns is
// called.
func (i *instance) run(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { i.Run(ctx) })
	return func() {
		cancel()
		all.Wait()
	}
}

// TestHour fills as fast as the budget lets three instances, two of them being
// started anew all the time, and looks at each hour.
func TestHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 10_000
		var store ledger
		time.Sleep(50 * time.Second) // of the bubble's clock, which begins with a minute
		type fill struct {
			at    time.Time
			bytes int64
		}
		var mu sync.Mutex
		var fills []fill
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
		defer cancel()
		var all sync.WaitGroup
		for n := range 3 {
			all.Go(func() {
				for ctx.Err() == nil {
					i := newInstance(limit, &store)
					life, kill := context.WithCancel(ctx)
					if n > 0 {
						life, kill = context.WithTimeout(ctx, time.Duration(n)*7*time.Minute)
					}
					stop := i.run(ctx)
					for life.Err() == nil {
						done, err := i.Start(life, 90)
						if err != nil {
							break
						}
						mu.Lock()
						fills = append(fills, fill{time.Now(), 90})
						mu.Unlock()
						time.Sleep(time.Second) // of the bubble's clock
						done(90)
					}
					kill()
					stop()
				}
			})
		}
		all.Wait()
		total := int64(0)
		for from := range fills {
			hour := int64(0)
			for _, f := range fills[from:] {
				if f.at.Sub(fills[from].at) < time.Hour {
					hour += f.bytes
				}
			}
			if hour > limit {
				t.Fatalf("%d bytes in the hour from %v", hour, fills[from].at)
			}
			total += fills[from].bytes
		}
		t.Logf("%d bytes in 5 hours, %d writes", total, store.writes)
		if total < 5*limit*8/10 {
			t.Errorf("%d bytes in 5 hours, less than could have been", total)
		}
	})
}

func TestWaitsAndSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var store ledger
		i := newInstance(1000, &store)
		began := time.Now()
		i.fill(t, 600)
		i.Count(300) // a model
		i.fill(t, 100)
		if took := time.Since(began); took > 0 {
			t.Errorf("within the budget it took %v", took)
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { i.fill(t, 200) })
		}
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		if n := i.gauge(t, "waiting_fills"); n != 3 {
			t.Errorf("%v wait", n)
		}
		if n := i.gauge(t, "used_bytes"); n != 1000 || i.gauge(t, "bytes") != 1000 {
			t.Errorf("%v used", n)
		}
		if a := store.read(); a.Waits.Before(time.Now()) || a.Limit != 1000 {
			t.Errorf("the account says nothing of it: %+v", a)
		}
		all.Wait()
		if took := time.Since(began); took < time.Hour || took > time.Hour+2*time.Minute {
			t.Errorf("waited %v", took)
		}
		if n := strings.Count(i.log.String(), "PRESTAGE_BUDGET is used up"); n < 1 || n > 7 {
			t.Errorf("said %d times:\n%s", n, &i.log)
		}
		if n := i.gauge(t, "waiting_fills"); n != 0 {
			t.Errorf("%v wait at the end", n)
		}
	})
}

func TestWhatIsNotFilledIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var store ledger
		one, other := newInstance(1000, &store), newInstance(1000, &store)
		done, err := one.Start(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		done(-1) // failed
		done, err = one.Start(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		done(400) // smaller than was said
		unknown, err := one.Start(t.Context(), -1)
		if err != nil {
			t.Fatal(err)
		}
		unknown(100)
		one.run(t.Context())()
		if got := store.a.Used(time.Now()); got != 500 {
			t.Errorf("%d bytes on the account", got)
		}
		began := time.Now()
		other.fill(t, 500)
		if took := time.Since(began); took > 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestLargerThanTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(1000, new(ledger))
		began := time.Now()
		i.fill(t, 5000)
		i.fill(t, 1)
		if took := time.Since(began); took < time.Hour || took > time.Hour+2*time.Minute {
			t.Errorf("the next came after %v", took)
		}
	})
}

func TestWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var store ledger
		i := newInstance(1000, &store)
		i.fill(t, 1000)
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		var all sync.WaitGroup
		for range 2 { // one whose turn it is, one behind it
			all.Go(func() {
				if _, err := i.Start(ctx, 1); !errors.Is(err, stopped) {
					t.Errorf("got %v", err)
				}
			})
		}
		time.Sleep(time.Minute) // of the bubble's clock
		cancel(stopped)
		all.Wait()

		store.down.Store(true) // what is filled meanwhile counts later
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		i.Count(77)
		if _, err := i.Start(ctx, 1); !errors.Is(err, errDown) {
			t.Errorf("got %v", err)
		}
		store.down.Store(false)
		i.run(t.Context())()
		if got := store.a.Used(time.Now()); got != 1077 {
			t.Errorf("%d bytes on the account", got)
		}
	})
}

// TestATakeThatFailed: what did not get on the account is not there to be given
// back, which would leave others more than the limit.
func TestATakeThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var store ledger
		one, other := newInstance(1000, &store), newInstance(1000, &store)
		store.lost.Store(true)
		if _, err := one.Start(t.Context(), 600); !errors.Is(err, errDown) {
			t.Fatalf("got %v", err)
		}
		store.lost.Store(false)
		other.fill(t, 1000)
		one.run(t.Context())()
		if got := store.a.Used(time.Now()); got != 1000 {
			t.Errorf("%d bytes on the account, 1000 were filled", got)
		}
	})
}
