package confirm

import "time"

const (
	firstPace = 1.0 / 500_000_000 // seconds per byte, until something is known
	minPace   = 1.0 / 20_000_000_000
	maxPace   = 1.0 / 10_000_000
	paceBase  = 250 * time.Millisecond

	// A first round that comes too early makes the next ones later, so that one in
	// five does. Where more fills than that never happen, maxPace is the end.
	slower = 1.2
	faster = 0.955
)

// pace is how fast the endpoint fills, estimated from how early the first rounds
// of reads find everything there.
type pace struct{ perByte float64 }

func newPace() pace { return pace{perByte: firstPace} }

// expected is how long a fill should take at most.
func (p pace) expected(size int64) time.Duration {
	return paceBase + time.Duration(p.perByte*float64(size)*float64(time.Second))
}

// saw takes the finding of a first round.
func (p *pace) saw(f finding) {
	if f == present {
		p.perByte = max(p.perByte*faster, minPace)
		return
	}
	p.perByte = min(p.perByte*slower, maxPace)
}
