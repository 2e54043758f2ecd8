package consumer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// Outcome is what became of an event.
type Outcome string

// The outcomes of a receipt; all but pending are final.
const (
	Pending      Outcome = "pending"
	Warm         Outcome = "warm"
	Skipped      Outcome = "skipped"
	DeadLettered Outcome = "dead_lettered"
)

// Receipt is the record of one event in the bucket prestage_receipts. While
// pending it carries what must survive a restart; once final it decides what
// becomes of the message, whoever holds it.
type Receipt struct {
	EventID string         `json:"event_id"`
	Source  string         `json:"source"`
	Cluster string         `json:"cluster"`
	Outcome Outcome        `json:"outcome"`
	Reason  outcome.Reason `json:"reason"`
	// Would is, in a dry run, what else the outcome and its reason would be.
	Would   string          `json:"would,omitempty"`
	Verdict outcome.Verdict `json:"verdict"`
	Objects prestage.Counts `json:"objects"`
	// Skips are the skipped ones of Objects by reason.
	Skips map[outcome.Reason]int `json:"skips,omitempty"`
	Bytes int64                  `json:"bytes"` // of the objects that are warm, or would be but for a dry run
	// Confirmed is there when reads have shown objects to be filled.
	Confirmed *prestage.Confirmed `json:"confirmed,omitempty"`

	EventTime          time.Time `json:"event_time,omitzero"` // the producer's own
	Received           time.Time `json:"received"`            // first delivery to any replica
	WarmAt             time.Time `json:"warm_at,omitzero"`
	EventToWarmSeconds float64   `json:"event_to_warm_seconds,omitzero"` // from the stream's timestamp

	Attempts  int    `json:"attempts"` // that count; give-backs and outages do not
	Stream    string `json:"stream"`
	StreamSeq uint64 `json:"stream_seq"`
	// Replay is the name of the replay whose receipt it is, "" for a live lane's.
	Replay string `json:"replay,omitempty"`
	// StreamTime tells a message from one with the same sequence in a stream that
	// was deleted and made anew.
	StreamTime time.Time `json:"stream_time"`

	Error    string             `json:"error"`
	Failures []prestage.Failure `json:"failures"`

	// Only while pending: since when a bucket refuses us (400, 403, dead host),
	// since when capacity is lacking (429, 503, or a store that fails for
	// everybody), and until when an earlier redelivery is no attempt.
	FirstRefusal time.Time `json:"first_refusal,omitzero"`
	BusySince    time.Time `json:"busy_since,omitzero"`
	RetryAt      time.Time `json:"retry_at,omitzero"`
	// Busy is since when each object that lacks capacity does so, by busyKey; at
	// most prestage.MaxFailures of them.
	Busy map[string]time.Time `json:"busy,omitempty"`
}

// Final says that r decides.
func (r *Receipt) Final() bool {
	return r.Outcome == Warm || r.Outcome == Skipped || r.Outcome == DeadLettered
}

const (
	// earlySlack is how much before its time a redelivery may come and still be the
	// next attempt: a server's restart rounds deadlines by up to a second.
	earlySlack = 2 * time.Second
	// longestWait is more than any attempt is put off. What a receipt says beyond
	// was written by a clock far from ours, or by somebody else.
	longestWait = 12 * time.Minute
)

// early is how long it still is until the next attempt, 0 when that is due.
func (r *Receipt) early() time.Duration {
	early := time.Until(r.RetryAt)
	if early <= earlySlack || early > longestWait {
		return 0
	}
	return early
}

// after returns r with what an attempt takes over from the one before.
func (r Receipt) after(held Receipt) Receipt {
	if held.Outcome == Pending {
		r.Received, r.Attempts = held.Received, held.Attempts
	}
	return r
}

// dry is what a dry run makes of the final receipt r.
func (r Receipt) dry() Receipt {
	r.Would = string(r.Outcome)
	if r.Reason != "" {
		r.Would += ": " + string(r.Reason)
	}
	r.Outcome, r.Reason, r.Verdict = Skipped, outcome.DryRun, ""
	r.WarmAt, r.EventToWarmSeconds = time.Time{}, 0
	return r
}

// named adds the last token that tells a dry run's, or a replay's, from what the
// live lanes write.
func named(subject, name string) string {
	if name == "" {
		return subject
	}
	return subject + "." + name
}

// ReceiptKey is the key in prestage_receipts:
// <cluster>.<h(event id)>.<h(source)>.<stream>.<seq>, for an event of a live lane.
func ReceiptKey(cluster, id, source, stream string, seq uint64) string {
	return fmt.Sprintf("%s.%s.%s.%s.%d", cluster, Hash(id), Hash(source), stream, seq)
}

// Hash is the lower-case hex SHA-256 of s: whatever s holds, it makes one legal
// token of a subject or key.
func Hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
