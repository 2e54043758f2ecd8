package object

import (
	"fmt"
	"strings"
	"time"
)

// UnknownSize stands for a size that nobody has told. A notification's 0 means
// unknown too (some stores send it for every multipart upload).
const UnknownSize int64 = -1

// Version is what is known of one version of an object. A zero field is
// unknown.
type Version struct {
	ETag         string    // without quotes
	ID           string    // of a versioned bucket
	LastModified time.Time // whole seconds, UTC
	Sequencer    Sequencer
}

// Attrs is an object with what some source (an event, a listing, an answer)
// says of it.
type Attrs struct {
	Ref
	Version
	Size int64 // bytes, or UnknownSize
	// Archived says that the store keeps it in the class STANDARD_IA, which a
	// listing or a HEAD tells.
	Archived bool
}

// TrimETag removes the quotes, and the weak mark, that some sources send
// around an ETag.
func TrimETag(s string) string {
	return strings.Trim(strings.TrimPrefix(s, "W/"), `"`)
}

// Sequencer orders the notifications of one key by one event source. S3 calls
// it a hex number but does not fix its width, so the digits are compared after
// leading zeros are cut.
type Sequencer struct {
	Source string // the eventSource, "aws:s3" or "minio:s3"
	Value  string // upper-case hex digits without leading zeros
}

// MaxSequencerDigits bounds what NewSequencer accepts; real ones have 16 to 18.
const MaxSequencerDigits = 64

// NewSequencer normalises value. An empty one gives the zero Sequencer.
func NewSequencer(source, value string) (Sequencer, error) {
	if value == "" {
		return Sequencer{}, nil
	}
	if len(value) > MaxSequencerDigits {
		return Sequencer{}, fmt.Errorf("sequencer of %d digits: at most %d are read", len(value), MaxSequencerDigits)
	}
	v := strings.ToUpper(value)
	for i := range len(v) {
		if c := v[i]; (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return Sequencer{}, fmt.Errorf("sequencer %q is not a hex number", value)
		}
	}
	v = strings.TrimLeft(v, "0")
	if v == "" {
		v = "0"
	}
	return Sequencer{Source: source, Value: v}, nil
}

// Compare orders s and t as numbers. ok is false when they do not compare:
// one is missing, or they come from different event sources.
func (s Sequencer) Compare(t Sequencer) (order int, ok bool) {
	if s.Value == "" || t.Value == "" || s.Source != t.Source {
		return 0, false
	}
	if len(s.Value) != len(t.Value) {
		if len(s.Value) < len(t.Value) {
			return -1, true
		}
		return 1, true
	}
	return strings.Compare(s.Value, t.Value), true
}
