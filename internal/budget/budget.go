package budget

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// shares is how many parts of the limit there are, of which an instance takes
	// one at a time.
	shares = 100
	// lookEvery is how often an instance that waits looks for room, and any writes
	// down what it filled and gives back what it did not.
	lookEvery = 10 * time.Second
	// tellEvery is how often the log says that fills wait.
	tellEvery = 10 * time.Minute
)

// Store keeps an Account.
type Store interface {
	// Update lets change look at the account, and stores what it makes of it if it
	// says so. change is called again when another was faster. The error is ctx's.
	Update(ctx context.Context, change func(*Account) (store bool)) error
}

// Budget limits fills. It is safe for concurrent use.
type Budget struct {
	limit   int64
	store   Store
	metrics *Metrics
	log     *slog.Logger

	turn chan struct{} // capacity 1: one fill asks, the others wait for it
	told time.Time     // when the log last said that fills wait; whose turn it is

	mu    sync.Mutex
	taken int64 // on the account, and not filled yet
	owed  int64 // filled, and not on the account
}

// New returns a budget of limit bytes an hour.
func New(limit int64, store Store, metrics *Metrics, log *slog.Logger) *Budget {
	metrics.limit.Set(float64(limit))
	return &Budget{limit: limit, store: store, metrics: metrics, log: log, turn: make(chan struct{}, 1)}
}

// Run keeps the account up to date until ctx ends.
func (b *Budget) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		_ = b.flush(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = b.flush(last)
}

// Start waits until size bytes may be filled, or ctx ends: then the error is its
// cause. Done is called once, with the bytes that were filled, or less than 0
// when none were. A size that is not known, less than 0, counts when it is.
func (b *Budget) Start(ctx context.Context, size int64) (done func(filled int64), err error) {
	b.metrics.waiting.Inc()
	defer b.metrics.waiting.Dec()
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	size = max(size, 0)
	for !b.spend(size) {
		next, err := b.take(ctx, size)
		if err != nil {
			return nil, err
		}
		if wait := time.Until(next); wait > 0 {
			b.tell(ctx, next)
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-time.After(min(wait, lookEvery)):
			}
		}
	}
	return func(filled int64) { b.settle(max(filled, 0) - size) }, nil
}

// Count notes what was filled without asking.
func (b *Budget) Count(bytes int64) { b.settle(max(bytes, 0)) }

// spend uses what was taken.
func (b *Budget) spend(bytes int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken < bytes {
		return false
	}
	b.taken -= bytes
	return true
}

func (b *Budget) settle(more int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owed += more
}

// take takes a part of the account, size bytes at least. Where there is no room,
// next is when there may be.
func (b *Budget) take(ctx context.Context, size int64) (next time.Time, err error) {
	part := int64(0)
	err = b.update(ctx, func(a *Account, now time.Time) {
		part, next = 0, time.Time{}
		if !a.fits(size, b.limit, now) {
			next = a.when(size, b.limit, now)
			a.Waits = next
			return
		}
		part = max(size, min(b.limit/shares, b.limit-a.Used(now)))
		a.spend(part, now)
	})
	if err != nil { // nothing says that the account has it
		return time.Time{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken += part
	return next, nil
}

// flush gives back what was not filled.
func (b *Budget) flush(ctx context.Context) error {
	b.mu.Lock()
	b.owed -= b.taken
	b.taken = 0
	b.mu.Unlock()
	return b.update(ctx, func(*Account, time.Time) {})
}

// update settles what is owed, and lets change see the account.
func (b *Budget) update(ctx context.Context, change func(*Account, time.Time)) error {
	b.mu.Lock()
	owed := b.owed
	b.owed = 0
	b.mu.Unlock()
	used := int64(0)
	err := b.store.Update(ctx, func(a *Account) bool {
		now := time.Now()
		a.tidy(now)
		before, waits := a.Used(now), a.Waits
		a.Limit = b.limit
		a.spend(owed, now)
		change(a, now)
		used = a.Used(now)
		return used != before || owed != 0 || !a.Waits.Equal(waits)
	})
	if err != nil {
		b.settle(owed)
		return err
	}
	b.metrics.used.Set(float64(used))
	return nil
}

func (b *Budget) tell(ctx context.Context, next time.Time) {
	if !b.told.IsZero() && time.Since(b.told) < tellEvery {
		return
	}
	b.told = time.Now()
	b.log.LogAttrs(ctx, slog.LevelWarn, "PRESTAGE_BUDGET is used up, routine fills wait",
		slog.Int64("bytes_an_hour", b.limit), slog.Time("room_at", next))
}
