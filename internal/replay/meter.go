package replay

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/time/rate"

	"github.com/prestage/prestage/internal/object"
)

// ErrCap ends a replay that has filled as much as it may.
var ErrCap = errors.New("the most bytes that may be filled have been")

// meter counts fills and keeps them to a rate and a sum of bytes. It is a
// prestage.Pacer.
type meter struct {
	rate *rate.Limiter // nil: no limit
	most int64         // bytes, 0: no limit
	full func()        // called when the next fill would be beyond most

	mu       sync.Mutex
	fills    int64
	bytes    int64
	promised int64         // to fills under way
	open     int           // fills under way
	ended    chan struct{} // closed when one of them ends
}

func newMeter(perSecond float64, most int64, full func()) *meter {
	m := &meter{most: most, full: sync.OnceFunc(full), ended: make(chan struct{})}
	if perSecond > 0 {
		m.rate = rate.NewLimiter(rate.Limit(perSecond), 1)
	}
	return m
}

// Start implements prestage.Pacer. A fill whose size nobody knows is let through
// while there is room for anything. One for which there is none waits for those
// under way, which may fail and leave theirs; then the end has come.
func (m *meter) Start(ctx context.Context, size int64) (done func(filled int64), err error) {
	promise := max(size, 0)
	for {
		admitted, open, ended := m.admit(promise, size == object.UnknownSize)
		if admitted {
			break
		}
		if open == 0 {
			m.full() // which ends ctx
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if m.rate != nil {
		if err := m.rate.Wait(ctx); err != nil {
			m.end(promise, -1)
			return nil, err
		}
	}
	return func(filled int64) { m.end(promise, filled) }, nil
}

// admit makes room for a fill. Where there is none it says how many fills are
// under way, and tells when the next of them ends.
func (m *meter) admit(promise int64, unknown bool) (ok bool, open int, ended <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	used := m.bytes + m.promised
	if m.most > 0 && (used+promise > m.most || (unknown && used >= m.most)) {
		return false, m.open, m.ended
	}
	m.promised += promise
	m.open++
	return true, m.open, nil
}

func (m *meter) end(promise, filled int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.promised -= promise
	m.open--
	close(m.ended)
	m.ended = make(chan struct{})
	if filled >= 0 {
		m.fills++
		m.bytes += filled
	}
}

func (m *meter) read() (fills, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fills, m.bytes
}
