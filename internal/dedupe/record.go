package dedupe

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// MaxValueBytes bounds one value of the ledger's bucket. A key of 1,024 bytes
// that JSON has to escape takes up to 6 KiB, everything else a few hundred
// bytes; the rest is room for long ETags and later fields.
const MaxValueBytes = 64 << 10

// value is the JSON of one Entry in the bucket. Its names are read by operators
// and other programs, so they stay as they are.
type value struct {
	URI             string          `json:"uri"`                        // s3://bucket/key
	ETag            string          `json:"etag,omitempty"`             // without quotes
	LastModified    time.Time       `json:"last_modified,omitzero"`     // of the object, whole seconds
	VersionID       string          `json:"version_id,omitempty"`       // in versioned buckets
	Size            int64           `json:"size"`                       // bytes, -1: unknown
	Sequencer       string          `json:"sequencer,omitempty"`        // hex, of the event that named the object
	SequencerSource string          `json:"sequencer_source,omitempty"` // the event source it compares within
	Confirmed       outcome.Verdict `json:"confirmed"`                  // how the fill is known
	At              time.Time       `json:"at"`                         // when the fill was asked for
	EventTime       time.Time       `json:"event_time,omitzero"`        // the stream's timestamp of the event
}

func marshal(e Entry) ([]byte, error) {
	b, err := json.Marshal(value{
		URI:             e.Ref.String(),
		ETag:            e.ETag,
		LastModified:    e.LastModified.UTC(),
		VersionID:       e.ID,
		Size:            e.Size,
		Sequencer:       e.Sequencer.Value,
		SequencerSource: e.Sequencer.Source,
		Confirmed:       e.Verdict,
		At:              e.At.UTC(),
		EventTime:       e.EventTime.UTC(),
	})
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return b, nil
}

// unmarshal reads what is stored for ref. Anybody with access to the bucket may
// have written it, so that whatever Judge relies on is checked.
func unmarshal(data []byte, ref object.Ref) (Entry, error) {
	if len(data) > MaxValueBytes {
		return Entry{}, fmt.Errorf("value of %d bytes: at most %d are read", len(data), MaxValueBytes)
	}
	var v value
	if err := json.Unmarshal(data, &v); err != nil {
		return Entry{}, fmt.Errorf("decode record: %w", err)
	}
	seq, err := object.NewSequencer(v.SequencerSource, v.Sequencer)
	switch {
	case err != nil:
		return Entry{}, err
	case v.URI != ref.String():
		return Entry{}, fmt.Errorf("record of %.1100q", v.URI)
	case v.Size < object.UnknownSize:
		return Entry{}, fmt.Errorf("size %d", v.Size)
	case v.At.IsZero():
		return Entry{}, errors.New("no time of the fill")
	}
	switch v.Confirmed {
	case outcome.Accepted, outcome.Synchronous, outcome.Verified:
	default:
		return Entry{}, fmt.Errorf("confirmed %.40q", v.Confirmed)
	}
	return Entry{
		Attrs: object.Attrs{
			Ref:     ref,
			Version: object.Version{ETag: v.ETag, ID: v.VersionID, LastModified: v.LastModified.UTC(), Sequencer: seq},
			Size:    v.Size,
		},
		Verdict:   v.Confirmed,
		At:        v.At,
		EventTime: v.EventTime,
	}, nil
}
