package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/replay"
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
	events  []replay.Place // sorted, each once
	objects []object.Ref
	names   []string // of the replays that wrote it
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
			ref, err := object.ParseURI(l.URI)
			if err != nil {
				return f, fmt.Errorf("%s:%d: %w", path, n, err)
			}
			f.objects = append(f.objects, ref)
		case l.Seq > 0 && l.Stream == stream:
			f.events = append(f.events, replay.Place{Seq: l.Seq, Time: l.StreamTime})
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
	case len(f.events) > 0 && len(f.objects) > 0:
		return f, fmt.Errorf("%s names events and objects: split it", path)
	case len(f.events) == 0 && len(f.objects) == 0:
		return f, fmt.Errorf("%s names nothing", path)
	}
	f.events = replay.Sorted(f.events)
	return f, nil
}

// span is from the first sequence to the last.
func (f failures) span() (from, to uint64) {
	if len(f.events) == 0 {
		return 0, 0
	}
	return f.events[0].Seq, f.events[len(f.events)-1].Seq
}
