package confirm

import "time"

const (
	// budgetShare of all other requests may be probes; so probes stay below a
	// tenth of all.
	budgetShare = 0.1
	maxBudget   = 2048 // probes that can be saved up
	quietFor    = 30 * time.Second
)

// budget bounds the probes of an endpoint. It is not safe for concurrent use.
type budget struct {
	unlimited bool // as to the share: whoever asks for proof pays for it
	left      float64
	quiet     time.Time // no probe before
}

// request counts a request that is no probe.
func (b *budget) request() { b.left = min(b.left+budgetShare, maxBudget) }

// throttled keeps probes back for a while.
func (b *budget) throttled(now time.Time) { b.quiet = now.Add(quietFor) }

// isQuiet says that requests were throttled a moment ago.
func (b *budget) isQuiet(now time.Time) bool { return now.Before(b.quiet) }

// take takes n probes if they are there.
func (b *budget) take(n int) bool {
	if b.unlimited {
		return true
	}
	if b.left < float64(n) {
		return false
	}
	b.left -= float64(n)
	return true
}

// giveBack returns probes that were not made.
func (b *budget) giveBack(n int) { b.left = min(b.left+float64(n), maxBudget) }
