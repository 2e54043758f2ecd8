package prestage

import (
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Request is what an event, or a person, wants to have warm. Exactly one of
// Objects, Prefix and Manifest is set.
type Request struct {
	Objects  []object.Attrs // named one by one; sizes may be unknown
	Prefix   object.Ref     // everything below it
	Manifest object.Ref     // what this object lists

	// Notified says that a store tells of Objects one by one, as they are written,
	// and of what was Removed. Either may complete a checkpoint, all of which is
	// meant then; Removed may come without Objects.
	Notified bool
	Removed  []object.Ref
	Layout   string // how checkpoints are laid out, as the event says; "": their keys tell

	Subject string // of the event's message, for the rules; "" when there is none

	Complete bool // nothing more will come: a prefix is listed once
	// Stated says that whoever asks means what is there. What the keys below a
	// prefix suggest is then no failure, unless its format is named as well.
	Stated       bool
	TotalObjects int64 // announced number of keys, 0: not announced
	TotalBytes   int64 // announced bytes, 0: not announced

	WholeBucket bool // a person asked for a prefix that is a whole bucket
	NoIndex     bool // listed index files are not read
	AskSizes    bool // of what has no known size it is asked for, with plain HEADs

	Priority Priority

	RewarmBefore  time.Time // records older than it do not count
	EventTime     time.Time // the stream's timestamp; zero when there is no event
	Seen          time.Time // when this process received it
	MissingIsGone bool      // a 404 is final and a skip: an old event, or a replay
	Last          bool      // no attempt follows: of what is missing it is told when a slash may be

	// Pace, unless nil, has each fill wait for its turn.
	Pace Pacer
	// Waiting, unless nil, is called when a fill has waited for the budget for some
	// seconds, perhaps often, by other goroutines, and even after the end.
	Waiting func()
	// Observe, unless nil, is told what became of each object, by many
	// goroutines at once.
	Observe func(Result)
}

// Target is what a Request is about as a whole, for the rules: its prefix, its
// manifest, or the first of its objects.
func (r *Request) Target() object.Ref {
	switch {
	case r.Prefix.Bucket != "":
		return r.Prefix
	case r.Manifest.Bucket != "" || len(r.Objects) == 0:
		return r.Manifest
	default:
		return r.Objects[0].Ref
	}
}

// about is the one thing that the request names, if it is one.
func (r *Request) about() object.Ref {
	switch {
	case r.Manifest.Bucket != "":
		return r.Manifest
	case len(r.Objects) == 1:
		return r.Objects[0].Ref
	}
	return r.Prefix
}

// Result is what became of one object.
type Result struct {
	object.Ref
	Outcome string         // filled, already_warm, skipped or failed
	Reason  outcome.Reason // why it was skipped or failed
	Bytes   int64          // 0 when unknown
	// Archived says that it was filled and that the store keeps it in the class
	// STANDARD_IA, as far as is known. Of events that share a fill one is told.
	Archived bool
	Err      error // of a failed one
}

// Report is what became of a Request. It is complete when Problems is empty.
type Report struct {
	Objects Counts
	Bytes   int64                  // of the objects that are warm now, filled or already, or would be but for a dry run
	Verdict outcome.Verdict        // of the weakest warm object, "" when there is none
	Skips   map[outcome.Reason]int // skipped objects by reason
	// Problems are the failures, one for each class and reason, so that it stays
	// small however many objects failed.
	Problems []Problem
	Failures []Failure // at most MaxFailures, for the receipt
	// Confirmed is nil where reads have shown nothing.
	Confirmed *Confirmed
	Busy      []Busy // at most MaxFailures
}

// Counts is how many objects fared how. Total is their sum.
type Counts struct {
	Total       int `json:"total"`
	Filled      int `json:"filled"`
	AlreadyWarm int `json:"already_warm"`
	Skipped     int `json:"skipped"`
	Failed      int `json:"failed"`
}

// Problem sums up the failures of one class and reason.
type Problem struct {
	Class      outcome.Class
	Reason     outcome.Reason
	Count      int
	RetryAfter time.Duration  // the longest that a server asked for
	Sample     *outcome.Error // the first of them
}

// Busy is an object for which the store lacked capacity: its failure is
// Throttled or Transient.
type Busy struct {
	Ref object.Ref
	// BucketServedAt is when this process last got a 2xx to a ranged HEAD in
	// the object's bucket; zero: never. An object that stays busy while its
	// bucket serves others is alone affected.
	BucketServedAt time.Time
}

// Failure is one failed object as the receipt names it.
type Failure struct {
	URI   string `json:"uri"` // "" when it concerns no single object
	Error string `json:"error"`
}

// MaxFailures bounds Report.Failures and Report.Busy.
const MaxFailures = 100
