// Package dedupe remembers which version of which object is warm, decides from
// that record whether an object must be asked for, and lets equal work that is
// under way in this process be done once. There are no claims or leases across
// replicas: a second ranged HEAD is cheaper than a lock.
package dedupe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// ErrNotFound says that nothing is on record for an object.
var ErrNotFound = errors.New("dedupe: no record")

// Entry is the record of one fill: the newest version of the object that was
// filled, as the HEAD's own answer gave it.
type Entry struct {
	object.Attrs                 // Sequencer: of the event that named the object
	Verdict      outcome.Verdict // how the fill is known
	At           time.Time       // when the fill was asked for, by this host's clock
	EventTime    time.Time       // the stream's timestamp of the event that asked, zero without one
}

// Record is an Entry as stored.
type Record struct {
	Entry
	Revision uint64 // for Put; 0: nothing was on record
}

// Ledger stores Entries of one cluster, the newest of each object. Its methods
// may be called concurrently.
type Ledger interface {
	// Get returns the record of ref, or ErrNotFound; in the latter case too the
	// Record's Revision is the one to pass to Put. While the store is
	// unreachable it waits; any other error means that ctx has ended, or that
	// ref can name no object.
	Get(ctx context.Context, ref object.Ref) (Record, error)

	// Put stores e, which replaces the record of revision prev (0: none). It
	// returns once the write is under way; done is called exactly once, from
	// another goroutine, with nil when the write is confirmed, or is given up
	// because the store has no room for it (a warning: it costs a HEAD later),
	// or when another replica's record of a later version stands instead. While
	// the store is unreachable it waits. At most MaxUnconfirmed writes are under
	// way; Put waits for its turn. A non-nil error means that ctx has ended, or
	// that e.Ref can name no object.
	Put(ctx context.Context, e Entry, prev uint64, done func(error))
}

// MaxUnconfirmed bounds the writes under way: what a crash can lose.
const MaxUnconfirmed = 256

// keeps says that the stored record, written since e's writer read it, stands
// against e: it is of a later version.
func keeps(stored, e Entry) bool { return stored.LastModified.After(e.LastModified) }

func checkRef(ref object.Ref) error {
	if err := ref.Check(); err != nil {
		return fmt.Errorf("dedupe: %w", err)
	}
	return nil
}
