package dedupe

import (
	"time"

	"github.com/prestage/prestage/internal/object"
)

// ClockSkew is how far the clocks of the NATS servers, which stamp events, and
// of the hosts that stamp records are taken to differ at most.
const ClockSkew = 5 * time.Second

// nullVersion is the version id of every object that is written while its
// bucket's versioning is suspended: unlike all others it names no one version
// (S3 User Guide, "Working with objects in a versioning-suspended bucket").
const nullVersion = "null"

// Claim is what somebody says about an object that is on record.
type Claim struct {
	object.Version // what the event or the listing says; zero fields are unknown

	// Current: ETag, ID and LastModified were just read from the store, by a
	// listing or a plain HEAD. They are what is there now.
	Current bool

	EventTime    time.Time // the stream's timestamp of the event, zero without one
	Replayed     bool      // the event is handled once more because somebody asked for that
	RewarmBefore time.Time // records of fills asked for earlier do not count; zero: all do
}

// Decision is what to do about an object that is on record.
type Decision int

// The decisions.
const (
	Fill  Decision = iota // not known to be warm: send the ranged HEAD
	Warm                  // already warm: send nothing
	Older                 // the event tells of an older version than the one on record: send nothing
	Ask                   // one plain HEAD decides: judge again with a Current claim
)

// String is the decision's name in lower case.
func (d Decision) String() string {
	switch d {
	case Fill:
		return "fill"
	case Warm:
		return "warm"
	case Older:
		return "older"
	case Ask:
		return "ask"
	}
	return "unknown"
}

// Judge decides what to do about the claim c when e is on record and records
// count for ttl. It says Warm or Older only when nothing that c may be about was
// written after the fill on record, and never says Ask of a Current claim. What
// an event has filled it does not ask for again: for the event that made the
// record neither expiry nor its own RewarmBefore counts. Whoever replays it does
// so because what it filled may be gone: then expiry counts.
func Judge(e Entry, c Claim, now time.Time, ttl time.Duration) Decision {
	own := !c.EventTime.IsZero() && c.EventTime.Equal(e.EventTime)
	switch {
	case e.At.Before(c.RewarmBefore) && (!own || c.RewarmBefore.After(c.EventTime)):
		return Fill
	case now.Sub(e.At) > ttl && (!own || c.Replayed):
		return Fill
	}

	if order, ok := c.Sequencer.Compare(e.Sequencer); ok {
		switch {
		case order < 0:
			return Older
		case order > 0:
			return Fill
		case sameVersion(e.Version, c.Version):
			return Warm
		}
	}
	switch {
	case c.Current:
		return judgeCurrent(e.Version, c.Version)
	case differ(e.ETag, c.ETag) || differ(e.ID, c.ID):
		// A late delivery may tell of a version that was gone when the record was
		// made. What is there now may well be the one on record.
		if younger(e, c) {
			return Fill
		}
		return Ask
	case sameID(e.ID, c.ID):
		return Warm
	case equal(e.ETag, c.ETag):
		if younger(e, c) {
			return Ask // the same bytes may have been written once more
		}
		return Warm
	case own:
		return Warm
	}
	return Ask
}

// judgeCurrent compares the version on record with the one that is there now.
func judgeCurrent(e, c object.Version) Decision {
	switch {
	case differ(e.ETag, c.ETag) || differ(e.ID, c.ID):
		return Fill
	case sameID(e.ID, c.ID):
		return Warm
	case c.LastModified.After(e.LastModified):
		return Fill // also when the record does not know its own
	case equal(e.ETag, c.ETag):
		return Warm
	case !c.LastModified.IsZero():
		return Warm
	}
	return Fill
}

// younger says that the object may have been written after the fill on record
// was asked for, as far as the event's time can tell. Whoever tells no time may
// have come last.
func younger(e Entry, c Claim) bool {
	if c.EventTime.IsZero() {
		return true
	}
	return c.EventTime.After(e.EventTime) && c.EventTime.After(e.At.Add(-ClockSkew))
}

// sameVersion says that nothing known of the two versions tells them apart.
func sameVersion(e, c object.Version) bool {
	return !differ(e.ETag, c.ETag) && !differ(e.ID, c.ID) && !c.LastModified.After(e.LastModified)
}

// sameID says that both are known and name one immutable version.
func sameID(e, c string) bool { return equal(e, c) && e != nullVersion }

func differ(a, b string) bool { return a != "" && b != "" && a != b }

func equal(a, b string) bool { return a != "" && a == b }
