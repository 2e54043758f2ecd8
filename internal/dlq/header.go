package dlq

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// Stream is where dead letters are.
const Stream = "PRESTAGE_DLQ"

// Headers of a letter.
const (
	HeaderReason   = "Prestage-Reason"
	HeaderError    = "Prestage-Error"
	HeaderAttempts = "Prestage-Attempts"
	HeaderStream   = "Prestage-Stream"
	HeaderSubject  = "Prestage-Subject"
	HeaderSequence = "Prestage-Sequence"
	HeaderTime     = "Prestage-Time" // the event's timestamp in its stream, RFC 3339 with nanoseconds
	HeaderPayload  = "Prestage-Payload"
	HeaderDigest   = "Prestage-Payload-Digest" // of an omitted payload: sha256:<hex>
	HeaderID       = "Prestage-Event-Id"       // beside it, what the event's id was,
	HeaderSource   = "Prestage-Event-Source"   // and its source

	PayloadOmitted = "omitted"

	// OriginalPrefix is before the names of the event's own headers that the
	// server, or prestage, would take for theirs.
	OriginalPrefix = "Prestage-Original-"
)

// Headers that mark a letter as redriven.
const (
	headerRedrives   = "Prestage-Redrives"          // how often
	headerRedrivenAs = "Prestage-Redriven-Sequence" // in the event's stream, the latest time
	headerRedrivenAt = "Prestage-Redriven-Time"     // when that was, RFC 3339
)

// Headers of a redriven event.
const (
	headerOf     = "Prestage-Redrive-Of"   // its letter's subject
	headerOfTime = "Prestage-Redrive-Time" // its letter's Prestage-Time
	headerRoot   = "Prestage-Redrive-Root" // <stream>/<seq> of the event that was redriven first
)

const msgIDInfix = "#redrive-"

// Subject is that of the letter of an event.
func Subject(cluster, stream string, seq uint64) string {
	return fmt.Sprintf("%s.%s.%d", clusterSubjects(cluster), stream, seq)
}

func clusterSubjects(cluster string) string { return "prestage.dlq." + cluster }

// isSubject says that s can be the subject of a letter of cluster: each token is
// literal, so that nobody's text selects more than one letter.
func isSubject(s, cluster string) bool {
	rest, ours := strings.CutPrefix(s, clusterSubjects(cluster)+".")
	tokens := strings.Split(rest, ".")
	if !ours || len(s) > maxSubject || len(tokens) < 2 || len(tokens) > 3 {
		return false
	}
	for _, t := range tokens {
		if t == "" || strings.ContainsFunc(t, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
		}) {
			return false
		}
	}
	return true
}

// maxSubject bounds what is taken for a subject, in bytes.
const maxSubject = 1 << 10

// own are the headers of h that belong to the event itself: neither the server's
// nor prestage's.
func own(h nats.Header) nats.Header {
	out := nats.Header{}
	for name, values := range h {
		if !hasFold(name, "Nats-") && !hasFold(name, "Prestage-") {
			out[name] = values
		}
	}
	return out
}

func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
