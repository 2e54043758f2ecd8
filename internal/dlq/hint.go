package dlq

import "github.com/prestage/prestage/internal/outcome"

// Hint says what an operator does about letters of a reason before redriving
// them.
func Hint(r outcome.Reason) string {
	switch r {
	case outcome.Malformed:
		return "the producer has to send another event; redrive only after an update of prestage that reads this one, else purge"
	case outcome.Unsupported:
		return "prestage does not warm what this event names; see docs/events.md for what it takes"
	case outcome.BucketNotAllowed:
		return "add the bucket to PRESTAGE_BUCKETS of the daemon if it is to be warmed, then redrive"
	case outcome.UnresolvableSource:
		return "nothing said where in S3 the files are: do what the letter's error says, then redrive"
	case outcome.NotFound:
		return "see whether the object is there now, under exactly this key, then redrive; purge if it never will be"
	case outcome.Forbidden:
		return "permit the daemon's credentials to read the bucket (prestage doctor --bucket tells), then redrive"
	case outcome.BadRequest:
		return "see prestage doctor --bucket: region, addressing and the bucket's name, then redrive"
	case outcome.Incomplete:
		return "fewer objects or bytes were there than announced: see that the writer has finished, then redrive"
	case outcome.FillFailed:
		return "the store kept failing for these objects alone: see the error, then redrive"
	case outcome.Unconfirmed:
		return "the cache was asked and reads did not become fast: see whether it evicts or is full, then redrive"
	default:
		return ""
	}
}
