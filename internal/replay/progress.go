package replay

import (
	"sync"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// Progress is how far a replay is.
type Progress struct {
	At          uint64 `json:"at"`               // everything up to this sequence is done
	Listed      int64  `json:"listed,omitempty"` // entries of a list that are done
	Events      int64  `json:"events"`
	Warm        int64  `json:"warm"`
	Skipped     int64  `json:"skipped"`
	DeadLetters int64  `json:"dead_lettered"`
	Objects     int64  `json:"objects"`
	Filled      int64  `json:"filled"`       // fills that were asked for, each object version once
	AlreadyWarm int64  `json:"already_warm"` // by another, or by an earlier event of the same replay
	Gone        int64  `json:"gone"`
	OtherSkips  int64  `json:"other_skips"` // too small, empty and the like
	Failed      int64  `json:"failed"`
	Bytes       int64  `json:"bytes"` // filled
	// Archived counts of what was filled, or would be, what the store keeps in the
	// class STANDARD_IA, ArchivedBytes its bytes.
	Archived      int64 `json:"archived"`
	ArchivedBytes int64 `json:"archived_bytes"`
}

// counts sums up receipts.
type counts struct {
	mu sync.Mutex
	Progress
}

// receipt counts an event's end.
func (c *counts) receipt(r consumer.Receipt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Events++
	switch r.Outcome {
	case consumer.Warm:
		c.Warm++
	case consumer.DeadLettered:
		c.DeadLetters++
	default:
		c.Skipped++
	}
	c.Objects += int64(r.Objects.Total)
	gone := r.Skips[outcome.Gone]
	c.Gone += int64(gone)
	c.OtherSkips += int64(r.Objects.Skipped - gone)
	c.Failed += int64(r.Objects.Failed)
}

// observe counts the objects from the archive; the rest is in the receipts.
func (c *counts) observe(r prestage.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Archived && (r.Outcome == "filled" || r.Reason == outcome.DryRun) {
		c.Archived++
		c.ArchivedBytes += r.Bytes
	}
}

// report counts the objects of a request without an event.
func (c *counts) report(r prestage.Report) {
	receipt := consumer.Receipt{Outcome: consumer.Skipped, Objects: r.Objects, Skips: r.Skips}
	dry := r.Skips[outcome.DryRun]
	receipt.Objects.Skipped -= dry
	switch {
	case len(r.Problems) > 0:
		receipt.Outcome = consumer.DeadLettered
	case r.Objects.Filled+r.Objects.AlreadyWarm+dry > 0:
		receipt.Outcome = consumer.Warm
	}
	c.receipt(receipt)
}

// progress sums up, m telling of fills. What was neither filled, nor skipped, nor
// failed was already warm: two events in hand that share a fill both call it
// theirs.
func (c *counts) progress(m *meter) Progress {
	c.mu.Lock()
	p := c.Progress
	c.mu.Unlock()
	if m != nil {
		p.Filled, p.Bytes = m.read()
	}
	p.AlreadyWarm = max(p.Objects-p.Filled-p.Gone-p.OtherSkips-p.Failed, 0)
	return p
}
