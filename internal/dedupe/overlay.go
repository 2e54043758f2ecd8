package dedupe

import (
	"context"
	"sync"

	"github.com/prestage/prestage/internal/object"
)

// overlayRoom is how many records an Overlay keeps at least. With twice as many,
// and keys of 100 bytes, it takes some 100 MB.
const overlayRoom = 100_000

// overlayRevision is above every revision of a stream: a record of the overlay
// is never taken for one below it.
const overlayRevision = 1 << 63

// Overlay is a Ledger that reads another one and keeps what is written to
// itself: for a dry run, which must leave no record of fills that never were
// and yet remember what it has counted. It forgets the oldest.
type Overlay struct {
	base Ledger

	mu            sync.Mutex
	recent, older map[object.Ref]Record
	writes        uint64
}

// NewOverlay returns an Overlay on base.
func NewOverlay(base Ledger) *Overlay {
	return &Overlay{base: base, recent: make(map[object.Ref]Record)}
}

// Get implements Ledger.
func (o *Overlay) Get(ctx context.Context, ref object.Ref) (Record, error) {
	if r, ok := o.own(ref); ok {
		return r, nil
	}
	return o.base.Get(ctx, ref)
}

func (o *Overlay) own(ref object.Ref) (Record, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, ok := o.recent[ref]
	if !ok {
		r, ok = o.older[ref]
	}
	return r, ok
}

// Put implements Ledger. Nothing is written to the other one.
func (o *Overlay) Put(ctx context.Context, e Entry, prev uint64, done func(error)) {
	err := checkRef(e.Ref)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		o.put(e, prev)
	}
	go done(err)
}

func (o *Overlay) put(e Entry, prev uint64) {
	if r, ok := o.own(e.Ref); ok && r.Revision != prev && keeps(r.Entry, e) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.recent) >= overlayRoom {
		o.older, o.recent = o.recent, make(map[object.Ref]Record)
	}
	o.writes++
	o.recent[e.Ref] = Record{Entry: e, Revision: overlayRevision + o.writes}
}
