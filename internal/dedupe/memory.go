package dedupe

import (
	"context"
	"sync"

	"github.com/prestage/prestage/internal/object"
)

// Memory is a Ledger that lasts as long as the process and never forgets: for
// work without NATS, and for tests.
type Memory struct {
	mu       sync.Mutex
	records  map[object.Ref]Record
	revision uint64 // of the latest write
}

// NewMemory returns an empty ledger.
func NewMemory() *Memory { return &Memory{records: make(map[object.Ref]Record)} }

// Get implements Ledger.
func (m *Memory) Get(ctx context.Context, ref object.Ref) (Record, error) {
	if err := checkRef(ref); err != nil {
		return Record{}, err
	}
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[ref]
	if !ok {
		return Record{}, ErrNotFound
	}
	return r, nil
}

// Put implements Ledger.
func (m *Memory) Put(ctx context.Context, e Entry, prev uint64, done func(error)) {
	err := checkRef(e.Ref)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		m.put(e, prev)
	}
	go done(err)
}

func (m *Memory) put(e Entry, prev uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[e.Ref]; r.Revision != prev && keeps(r.Entry, e) {
		return
	}
	m.revision++
	m.records[e.Ref] = Record{Entry: e, Revision: m.revision}
}
