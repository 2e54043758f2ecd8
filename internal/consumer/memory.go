package consumer

import (
	"slices"
	"sync"

	"github.com/prestage/prestage/internal/prestage"
)

// maxRemembered bounds the events whose progress is kept between attempts.
const maxRemembered = 1024

// memory keeps the progress of events that wait for their next attempt, so
// that this process does not ask again for what an event has filled even when
// the ledger could not take the record. Losing it costs HEADs, nothing else.
type memory struct {
	mu    sync.Mutex
	byKey map[string]*prestage.Progress
	order []string // the keys, oldest first
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
	for len(m.order) > maxRemembered {
		delete(m.byKey, m.order[0])
		m.order = m.order[1:]
	}
}

func (m *memory) forget(key string) {
	delete(m.byKey, key)
	m.order = slices.DeleteFunc(m.order, func(k string) bool { return k == key })
}
