package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/outcome"
)

// failure is a line of a file of failures: an event, or an object of a list.
type failure struct {
	Replay     string         `json:"replay"`
	Stream     string         `json:"stream,omitempty"`
	Seq        uint64         `json:"seq,omitempty"`
	StreamTime time.Time      `json:"stream_time,omitzero"`
	EventID    string         `json:"event_id,omitempty"`
	URI        string         `json:"uri,omitempty"`
	Reason     outcome.Reason `json:"reason"`
	Error      string         `json:"error"`
}

func failureOf(r consumer.Receipt, name string) failure {
	return failure{
		Replay: name, Stream: r.Stream, Seq: r.StreamSeq, StreamTime: r.StreamTime, EventID: r.EventID,
		Reason: r.Reason, Error: r.Error,
	}
}

// failures is what such a file names.
type failures struct {
	seqs  []uint64 // sorted, each once
	uris  []string
	names []string  // of the replays that wrote it
	first time.Time // the earliest stream's timestamp of the events, zero when none tells
}

// Bounds of a file of failures.
const (
	maxFailureLine = 64 << 10
	maxFailures    = 1_000_000
)

func readFailures(path, stream string) (failures, error) {
	file, err := os.Open(path)
	if err != nil {
		return failures{}, err
	}
	defer file.Close()
	return parseFailures(file, path, stream)
}

// parseFailures reads the file of that path, whose events are to be of stream.
func parseFailures(file io.Reader, path, stream string) (f failures, err error) {
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxFailureLine)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var l failure
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return f, fmt.Errorf("%s:%d: no line of failures: %w", path, n, err)
		}
		switch {
		case n > maxFailures:
			return f, fmt.Errorf("%s: more than %d lines", path, maxFailures)
		case l.URI != "" && l.Seq == 0:
			f.uris = append(f.uris, l.URI)
		case l.Seq > 0 && l.Stream == stream:
			f.seqs = append(f.seqs, l.Seq)
			if at := l.StreamTime; !at.IsZero() && (f.first.IsZero() || at.Before(f.first)) {
				f.first = at
			}
		case l.Seq > 0:
			return f, fmt.Errorf("%s:%d: of the stream %q, PRESTAGE_STREAM is %s", path, n, l.Stream, stream)
		default:
			return f, fmt.Errorf("%s:%d: names neither seq nor uri", path, n)
		}
		if !slices.Contains(f.names, l.Replay) {
			f.names = append(f.names, l.Replay)
		}
	}
	if err := lines.Err(); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case len(f.seqs) > 0 && len(f.uris) > 0:
		return f, fmt.Errorf("%s names events and objects: split it", path)
	case len(f.seqs) == 0 && len(f.uris) == 0:
		return f, fmt.Errorf("%s names nothing", path)
	}
	slices.Sort(f.seqs)
	f.seqs = slices.Compact(f.seqs)
	return f, nil
}

// span is from the first sequence to the last.
func (f failures) span() (from, to uint64) {
	if len(f.seqs) == 0 {
		return 0, 0
	}
	return f.seqs[0], f.seqs[len(f.seqs)-1]
}

// checkStream refuses events of a stream that was there before this one of the
// same name, whose sequences name other events. A stream that copies another has
// events that are older than itself.
func (f failures) checkStream(s *jetstream.StreamInfo) error {
	copies := s.Config.Mirror != nil || len(s.Config.Sources) > 0
	if f.first.IsZero() || copies || !f.first.Before(s.Created) {
		return nil
	}
	return fmt.Errorf("its events are of a stream %s that was there before: the one that there is now was created at %s, and its sequences are other events",
		s.Config.Name, s.Created.UTC().Format(time.RFC3339))
}
