package events_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
)

var update = flag.Bool("update", false, "write the wanted side of the corpora")

// A corpus is a txtar archive. Each case is a folder of it, with the files
//
//	header   lines "Name: value", may be missing
//	subject  may be missing
//	body     the payload
//	want     the Event as JSON without zero values, or "error: <reason>: <text>"
//
// where text is part of the error.
type corpusCase struct {
	name string
	message
	want string
}

type message = events.Message

// stored is the stream timestamp of every message in the corpora.
var stored = time.Date(2026, time.November, 20, 10, 0, 5, 0, time.UTC)

func newMessage(subject string, data []byte) events.Message {
	m := events.Message{
		Stream: "EVENTS", Seq: 42, Time: stored, Subject: subject,
		Kind: events.KindCheckpoint, Data: data,
	}
	if strings.HasPrefix(subject, "events.model.") {
		m.Kind = events.KindModel
	}
	return m
}

func TestCorpora(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpora: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			if *update {
				rewrite(t, file)
			}
			for _, c := range readCorpus(t, file) {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					ev, err := events.Decode(c.message)
					if want, ok := strings.CutPrefix(c.want, "error: "); ok {
						checkError(t, err, want)
						return
					}
					if err != nil {
						t.Fatalf("Decode: %v", err)
					}
					if diff := cmp.Diff(c.want, render(t, ev)); diff != "" {
						t.Errorf("Event (-want +got):\n%s", diff)
					}
				})
			}
		})
	}
}

// checkError compares err with "<reason>: <part of its text>".
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("Decode succeeded, want the error %s", want)
	}
	reason, text, _ := strings.Cut(strings.TrimSpace(want), ": ")
	e := outcome.As(err)
	if string(e.Reason) != reason || e.Class != outcome.Permanent || e.Op != "decode" || e.Hint == "" {
		t.Errorf("got %s, %v, op %q, hint %q; want %s, permanent, op decode and a hint", e.Reason, e.Class, e.Op, e.Hint, reason)
	}
	if text == "" || !strings.Contains(e.Error(), text) {
		t.Errorf("got the error %q, want %q in it", e, text)
	}
}

func readCorpus(tb testing.TB, file string) []corpusCase {
	tb.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var cases []corpusCase
	at := map[string]int{}
	for _, f := range archive.Files {
		name, part, ok := strings.Cut(f.Name, "/")
		if !ok {
			tb.Fatalf("%s: %q: want case/part", file, f.Name)
		}
		i, seen := at[name]
		if !seen {
			i = len(cases)
			at[name] = i
			cases = append(cases, corpusCase{name: name, message: newMessage("events.checkpoint.written", nil)})
		}
		c := &cases[i]
		switch part {
		case "header":
			c.Header = parseHeader(string(f.Data))
		case "subject":
			header := c.Header
			c.message = newMessage(strings.TrimSpace(string(f.Data)), c.Data)
			c.Header = header
		case "body":
			c.Data = f.Data
		case "want":
			c.want = string(f.Data)
		default:
			tb.Fatalf("%s: %q: no such part", file, f.Name)
		}
	}
	return cases
}

func parseHeader(text string) map[string][]string {
	h := map[string][]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok {
			h[name] = append(h[name], value)
		}
	}
	return h
}

// rewrite replaces every want of file by what Decode says today.
func rewrite(t *testing.T, file string) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wants := map[string]string{}
	for _, c := range readCorpus(t, file) {
		ev, err := events.Decode(c.message)
		if err != nil {
			e := outcome.As(err)
			wants[c.name] = "error: " + string(e.Reason) + ": " + e.Err.Error() + "\n"
			continue
		}
		wants[c.name] = render(t, ev)
	}
	var files []txtar.File
	for _, f := range archive.Files {
		name, part, _ := strings.Cut(f.Name, "/")
		if part == "want" {
			continue
		}
		files = append(files, f)
		if part == "body" {
			files = append(files, txtar.File{Name: name + "/want", Data: []byte(wants[name])})
		}
	}
	archive.Files = files
	if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// render writes an Event as JSON without what is zero in it.
func render(t *testing.T, ev events.Event) string {
	t.Helper()
	raw, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(withoutZeros(v)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// withoutZeros returns v without its zero members, nil when nothing is left.
func withoutZeros(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if member = withoutZeros(member); member == nil {
				delete(v, name)
			} else {
				v[name] = member
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = withoutZeros(v[i])
		}
	case json.Number:
		if v == "0" {
			return nil
		}
	case string:
		if v == "" || v == "0001-01-01T00:00:00Z" {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}
