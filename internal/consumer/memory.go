package consumer

import (
	"slices"
	"sync"

	"github.com/prestage/prestage/internal/prestage"
)

// What is kept between attempts, at most.
const (
	maxRemembered        = 1024    // events
	maxRememberedObjects = 2 << 20 // of all these events together, 16 bytes each at most
)

// memory keeps the progress of events that wait for their next attempt, so
// that this process does not ask again for what an event has filled even when
// the ledger could not take the record. Losing it costs HEADs, nothing else.
type memory struct {
	mu    sync.Mutex
	byKey map[string]*prestage.Progress
	order []string // the keys, oldest first
	size  int      // objects of all of them
	limit int      // of that
}

// take returns the progress of an event and forgets it.
func (m *memory) take(key string) *prestage.Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.byKey[key]; p != nil {
		m.forget(key)
		return p
	}
	return prestage.NewProgress()
}

// keep remembers the progress of an event that will be tried again.
func (m *memory) keep(key string, p *prestage.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byKey == nil {
		m.byKey = make(map[string]*prestage.Progress)
	}
	m.forget(key)
	m.byKey[key] = p
	m.order = append(m.order, key)
	m.size += p.Len()
	for len(m.order) > maxRemembered || m.size > m.limit {
		m.forget(m.order[0])
	}
}

func (m *memory) forget(key string) {
	if p := m.byKey[key]; p != nil {
		m.size -= p.Len()
	}
	delete(m.byKey, key)
	m.order = slices.DeleteFunc(m.order, func(k string) bool { return k == key })
}
