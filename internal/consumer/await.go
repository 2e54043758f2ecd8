package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/persist"
)

// dryRunToken ends the keys of receipts that tell what would have been done.
const dryRunToken = ".dry"

// ReceiptKeys matches the keys of all receipts of an event, whatever its source.
func ReceiptKeys(cluster, id string) string { return cluster + "." + Hash(id) + ".>" }

// Latest is the receipt of those under keys that tells now: the one with the
// highest sequence, of one sequence the latest written, and none of a dry run.
// There is none when its Outcome is "".
func Latest(ctx context.Context, kv jetstream.KeyValue, keys string) (Receipt, error) {
	return follow(ctx, kv, keys, nil, func(Receipt) bool { return true })
}

// Await watches the receipts under keys until the one that tells is final: of
// several, as after a redrive, that is the one with the highest sequence. Those
// that meant, unless nil, does not mean are left out, and those of dry runs. The
// last receipt that told is returned with an error, too. It does not poll.
func Await(ctx context.Context, kv jetstream.KeyValue, keys string, meant func(Receipt) bool) (Receipt, error) {
	return follow(ctx, kv, keys, meant, func(last Receipt) bool { return last.Final() })
}

// StoredSince means receipts of messages that the stream stored then or later.
func StoredSince(t time.Time) (meant func(Receipt) bool) {
	return func(r Receipt) bool { return !r.StreamTime.Before(t) }
}

// follow watches until enough is content with the receipt that tells, after
// what was there before has been seen.
func follow(ctx context.Context, kv jetstream.KeyValue, keys string, meant, enough func(Receipt) bool) (Receipt, error) {
	var last Receipt
	complete := false // what was there before has been seen
	err := persist.Watch(ctx, kv, keys, func(entry jetstream.KeyValueEntry) (bool, error) {
		if entry == nil {
			complete = true
			return enough(last), nil
		}
		if strings.HasSuffix(entry.Key(), dryRunToken) {
			return false, nil
		}
		var r Receipt // anew: fields that are left out must not stay from the one before
		if err := json.Unmarshal(entry.Value(), &r); err != nil {
			return false, fmt.Errorf("read receipt %s: %w", entry.Key(), err)
		}
		// Of one sequence, as a replay makes, the latest written tells.
		if (meant == nil || meant(r)) && r.StreamSeq >= last.StreamSeq {
			last = r
		}
		return complete && enough(last), nil
	})
	return last, err
}
