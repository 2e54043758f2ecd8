package reconcile

import (
	"encoding/json"
	"time"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/publish"
)

// Source is the source of the events.
const Source = "/prestage/reconcile"

// event tells of the version that i is of. record is what the ledger has of its
// key, the zero Entry when it has nothing.
func (p *Pass) event(i prestage.Item, record dedupe.Entry) publish.Event {
	return publish.Event{
		Type: p.Type, Source: Source, ID: eventID(i, record), Time: p.now().UTC(),
		Data: publish.Data{
			Bucket: i.Bucket,
			// A size of 0 is not told: it is unknown.
			Objects: []publish.Object{{Key: i.Key, Size: max(i.Size, 0), ETag: i.ETag}},
			Model:   p.model, Version: p.version,
			RewarmBefore: p.rewarmBefore,
		},
	}
}

// eventID is the same for everybody who finds the same version missing for the
// same reason: there is no record, or that one. It is made of the record's time
// rather than of rewarm_before, which passes a second apart do not share, and of
// no version id, which a listing does not tell.
func eventID(i prestage.Item, record dedupe.Entry) string {
	at := ""
	if !record.At.IsZero() {
		at = record.At.UTC().Format(time.RFC3339Nano)
	}
	// JSON keeps the parts apart, whatever is in them. Strings always encode.
	parts, _ := json.Marshal([]string{i.Ref.String(), i.ETag, i.LastModified.UTC().Format(time.RFC3339), at})
	return "reconcile-" + consumer.Hash(string(parts))
}
