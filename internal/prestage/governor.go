package prestage

import (
	"math"
	"time"
)

// How the limit moves (docs/decisions, "The limit follows refusals"). Times in
// fills are multiples of what a fill takes.
const (
	firstLimit = 16 // at the start, and after an outage

	// After a cut it takes plateau fills until the limit is back where it was refused,
	// and as many to go as far beyond. Then it doubles again and again: the capacity has
	// grown. Of few permits each is much: who tries to get one more is refused often,
	// and who holds one is not, so that room is left to others for longer.
	few          = 4.0
	keepShare    = .75 // of what was refused
	keepOfFew    = .6
	plateau      = 12.0
	plateauOfFew = 24.0
	doubling     = 3.0 // fills
	// At the start nothing is known, and it doubles quickly.
	minRamp = 100 * time.Millisecond
	maxRamp = time.Second

	unknownFill = 100 * time.Millisecond
	minFill     = 10 * time.Millisecond // a shorter one counts as this, a longer one
	maxFill     = 2 * time.Minute       // as that

	// A store that answers 503 to one request in a hundred, busy or not, does not
	// mean us: up to 1 % in the time of a fill are borne, and one where there are many.
	borneShare = .01
	borneOne   = 32 // permits
	// Below a limit of one, requests are sent one by one, with pauses.
	lowestLimit = 1. / 8
	maxPause    = 10 * time.Second // or if that is longer
	pauseFills  = 4

	slowHeadFloor = 8 // slow HEADs do not lower the limit further
)

// governor finds how many requests may be under way, in the dark about what
// others send to the same store. It is the control of TCP's CUBIC (RFC 9438): a
// refusal cuts the limit; then it grows back fast, stays near what was refused,
// and grows beyond faster and faster. Time is told by the caller, so that it can
// be simulated. It is not safe for concurrent use.
type governor struct {
	ceiling float64
	limit   float64
	refused float64 // the limit that was last too much
	keep    float64 // share of that, to which it was cut
	age     float64 // since then, in fills
	plateau float64 // at this age the limit is back there
	ramp    bool    // nothing was refused yet
	bottom  bool    // the last cut left the lowest limit

	now   time.Time
	cut   time.Time     // when the limit was last cut
	fill  time.Duration // what a fill takes: a moving average, 0: not known yet
	heads headWatch

	window   time.Time // when borne was last cleared
	borne    int       // refusals since
	lastSent time.Time
}

func newGovernor(ceiling int, now time.Time) *governor {
	g := &governor{ceiling: float64(ceiling)}
	g.restart(now)
	return g
}

// permits is the limit as people count.
func (g *governor) permits() int { return max(int(g.limit), 1) }

// restart begins anew with few requests: the store has been away.
func (g *governor) restart(now time.Time) {
	g.limit = min(firstLimit, g.ceiling)
	g.ramp, g.cut, g.now = true, now, now
}

// forgive takes back what refusals have done that were not meant for all.
func (g *governor) forgive() { g.limit, g.ramp = max(g.limit, min(firstLimit, g.ceiling)), true }

// advance lets time pass. The limit grows only while requests wait for it: a
// limit that nobody reaches says nothing.
func (g *governor) advance(now time.Time, reached bool) {
	passed := now.Sub(g.now)
	g.now = now
	if !reached || passed <= 0 {
		return
	}
	fills := float64(passed) / float64(g.unit())
	switch {
	case g.ramp:
		g.limit *= math.Exp2(float64(passed) / float64(min(max(g.unit(), minRamp), maxRamp)))
	case g.age >= 2*g.plateau:
		g.limit *= math.Exp2(fills / doubling)
	default:
		g.age += fills
		g.limit = g.refused * (1 + (1-g.keep)*math.Pow(min(g.age/g.plateau, 2)-1, 3))
	}
	g.limit = min(max(g.limit, lowestLimit), g.ceiling)
}

// unit is the controller's unit of time.
func (g *governor) unit() time.Duration {
	if g.fill == 0 {
		return unknownFill
	}
	return min(max(g.fill, minFill), maxFill)
}

// filled learns from a fill that took d. The longest part of a fill is the
// store's work on that object, so d says nothing of the load; it is the unit of
// time only.
func (g *governor) filled(d time.Duration) {
	if g.fill == 0 {
		g.fill = max(d, 1)
	}
	g.fill = max(g.fill+(d-g.fill)/16, 1)
	if g.bottom { // the store has not accepted anything for long
		g.bottom, g.ramp = false, true
	}
}

// refuse learns from a 429, a 503 or a time-out of a request that was sent at
// the time sent, when inUse were under way.
func (g *governor) refuse(sent time.Time, inUse int) {
	if sent.Before(g.cut) { // what was sent before is refused for that
		return
	}
	if g.now.Sub(g.window) > g.unit() {
		g.window, g.borne = g.now, 0
	}
	if g.borne++; float64(g.borne) > borneShare*g.limit && (g.borne > 1 || g.limit < borneOne) {
		g.lower(inUse)
	}
}

// lower cuts the limit. Where few requests were under way, their number is
// nearer to the capacity than the limit is, but it may be chance.
func (g *governor) lower(inUse int) {
	g.refused = min(g.limit, max(float64(inUse), g.limit/2))
	if g.keep, g.plateau = keepShare, plateau; g.refused < few {
		g.keep, g.plateau = keepOfFew, plateauOfFew
	}
	g.limit = max(g.keep*g.refused, lowestLimit)
	g.bottom = g.limit == lowestLimit
	g.ramp, g.age, g.cut, g.borne = false, 0, g.now, 0
}

// headed learns from a plain HEAD that took d. It moves no bytes, so that a
// long one means a store that is busy with its metadata.
func (g *governor) headed(d time.Duration, inUse int) {
	if g.heads.add(g.now, d) && g.limit > slowHeadFloor {
		g.lower(inUse)
	}
}

// room says how many more requests may be sent when inUse are under way.
func (g *governor) room(inUse int) int {
	if g.limit >= 1 {
		return int(g.limit) - inUse
	}
	if inUse == 0 && float64(g.now.Sub(g.lastSent)) >= min(float64(g.unit())/g.limit, float64(max(maxPause, pauseFills*g.unit()))) {
		return 1
	}
	return 0
}

// sent notes that a request is on its way.
func (g *governor) sent() { g.lastSent = g.now }
