package outcome

import "slices"

// Reason is one word of the closed vocabulary that receipts, dead letters,
// metrics and logs share. Adding a word is a feature, renaming one breaks
// users.
type Reason string

// Reasons of dead letters.
const (
	Malformed          Reason = "malformed"           // cannot be read
	Unsupported        Reason = "unsupported"         // read, but not something prestage warms
	BucketNotAllowed   Reason = "bucket_not_allowed"  // outside PRESTAGE_BUCKETS
	UnresolvableSource Reason = "unresolvable_source" // names no object in S3
	NotFound           Reason = "not_found"           // the object never appeared
	Forbidden          Reason = "forbidden"           // 403 for longer than PRESTAGE_GIVE_UP_AFTER
	BadRequest         Reason = "bad_request"         // 400, or a bucket host that does not answer, for as long
	Incomplete         Reason = "incomplete"          // fewer objects or bytes than announced
	FillFailed         Reason = "fill_failed"         // the object's own requests kept failing
	Unconfirmed        Reason = "unconfirmed"         // asked for, but not seen to be filled
)

// Reasons of skips.
const (
	TooSmall      Reason = "too_small"      // not larger than PRESTAGE_MIN_BYTES
	Empty         Reason = "empty"          // zero bytes
	AlreadyWarm   Reason = "already_warm"   // this version is on record
	Superseded    Reason = "superseded"     // a newer version or event has been handled
	Gone          Reason = "gone"           // deleted since
	NotActionable Reason = "not_actionable" // test ping, access, tag or removal event
	AwaitsMarker  Reason = "awaits_marker"  // the rules ask to wait for the marker
	Excluded      Reason = "excluded"       // the rules leave it out, or its name is a temporary one
	DryRun        Reason = "dry_run"        // PRESTAGE_DRY_RUN
)

// deadLetters is ordered from the worst: the first one present decides for an
// event whose objects fare differently.
var deadLetters = []Reason{
	Malformed, Unsupported, BucketNotAllowed, UnresolvableSource,
	Forbidden, BadRequest, NotFound, FillFailed, Unconfirmed, Incomplete,
}

var skips = []Reason{TooSmall, Empty, AlreadyWarm, Superseded, Gone, NotActionable, AwaitsMarker, Excluded, DryRun}

// DeadLetterReasons lists every reason of a dead letter, the worst first.
func DeadLetterReasons() []Reason { return slices.Clone(deadLetters) }

// SkipReasons lists every reason of a skip.
func SkipReasons() []Reason { return slices.Clone(skips) }

// Worse says that a decides over b as the reason of a dead letter.
func Worse(a, b Reason) bool {
	ia, ib := slices.Index(deadLetters, a), slices.Index(deadLetters, b)
	return ia >= 0 && (ib < 0 || ia < ib)
}
