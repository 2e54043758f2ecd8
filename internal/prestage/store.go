package prestage

import (
	"context"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// Answer is what a store said of one object.
type Answer struct {
	Status int // HTTP status: 200, 206, or 416 for a ranged HEAD of nothing
	object.Version
	Size     int64         // of the whole object in bytes, or object.UnknownSize
	Archived bool          // its class is STANDARD_IA
	Latency  time.Duration // from the request to the answer's header
}

// Page is a part of a listing, in the store's order.
type Page struct {
	Objects []object.Attrs // what is there now
	Next    string         // token of the next page, "" after the last
}

// Filler sends the two HEADs. Errors are *outcome.Error.
type Filler interface {
	// Fill sends HeadObject with "Range: bytes=0-0": LOTA fills its cache. A 416
	// is an Answer, not an error: an empty object has no first byte.
	Fill(ctx context.Context, ref object.Ref) (Answer, error)
	// Head sends a plain HeadObject, which fills nothing and changes no tier.
	Head(ctx context.Context, ref object.Ref) (Answer, error)
}

// Catalogue is what a plan is made from. Errors are *outcome.Error.
type Catalogue interface {
	// List reads one page (1,000 keys, S3's limit) of what is below prefix.
	List(ctx context.Context, bucket, prefix, token string) (Page, error)
	// Any says whether anything is below prefix, by a list of one key.
	Any(ctx context.Context, prefix object.Ref) (bool, error)
	// Get reads a small object whole; one longer than limit bytes is an error.
	Get(ctx context.Context, ref object.Ref, limit int64) ([]byte, error)
	// Head sends a plain HeadObject.
	Head(ctx context.Context, ref object.Ref) (Answer, error)
}

// BucketHeader asks whether a bucket's host answers. An error with a status is
// an answer too.
type BucketHeader interface {
	HeadBucket(ctx context.Context, bucket string) error
}
