package reconcile

import (
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// State is what a pass found of an object.
type State string

// The states.
const (
	Warm         State = "warm"          // this version is on record, nothing is to be done
	Skipped      State = "skipped"       // LOTA would not keep it, or the daemon has left this version out
	Missing      State = "missing"       // a dry run would have published its event
	Published    State = "published"     // its event is in the stream now
	InStream     State = "in_stream"     // the stream has its event already, within its duplicate window
	Pending      State = "pending"       // the event of an earlier pass waits for another attempt
	DeadLettered State = "dead_lettered" // so the event of an earlier pass ended, for this same version
	Incomplete   State = "incomplete"    // of a checkpoint or model: less is there than its index names
	Unresolved   State = "unresolved"    // of a version in a registry: its files are nowhere in the buckets that are allowed
	Failed       State = "failed"        // it could not be looked at, or no event can name it
)

// Finding is what a pass tells of an object, or of a target as a whole. Warm and
// skipped objects are only counted.
type Finding struct {
	URI     string         `json:"uri"`
	State   State          `json:"state"`
	Size    int64          `json:"size"` // bytes, -1: unknown
	Reason  outcome.Reason `json:"reason"`
	Why     string         `json:"why"` // for people
	EventID string         `json:"event_id"`
	Stream  string         `json:"stream"`
	Seq     uint64         `json:"stream_seq"`
	Newest  time.Time      `json:"newest,omitzero"` // of an incomplete one: when the last object below it was written
}

// Report is what a pass came to.
type Report struct {
	Targets int64           `json:"targets"` // prefixes, and lots of single objects
	Objects map[State]int64 `json:"objects"`
	Bytes   int64           `json:"bytes"`   // of those published or missing, as far as known
	Unsized int64           `json:"unsized"` // those of them whose size is not known
	// Stopped: MaxEvents were published, there may be more. The next pass goes on.
	Stopped bool `json:"stopped"`
}

func (r *Report) add(f Finding) {
	r.Objects[f.State]++
	if f.State != Published && f.State != Missing {
		return
	}
	if f.Size == object.UnknownSize {
		r.Unsized++
	} else {
		r.Bytes += f.Size
	}
}
