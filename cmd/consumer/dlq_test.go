package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/dlq"
)

// hostile is text that would act on a terminal: escape sequences in 7 and 8
// bits, a change of direction, a NUL, broken UTF-8.
const hostile = "\x1b]0;x\x07\u009b31m\u202e\x00\r\xff"

// letterBox is a server with dead letters of the cluster "default".
type letterBox struct {
	js      jetstream.JetStream
	environ []string
}

func newLetterBox(t *testing.T) letterBox {
	t.Helper()
	js, environ := stream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: dlq.Stream, Subjects: []string{"prestage.dlq.>"}, AllowDirect: true}); err != nil {
		t.Fatal(err)
	}
	return letterBox{js, environ}
}

// write stores a letter of an event with the sequence seq and the payload data.
func (b letterBox) write(t *testing.T, seq uint64, reason, subject, data string, more nats.Header) {
	t.Helper()
	b.writeOn(t, dlq.Subject("default", "EVENTS", seq), seq, reason, subject, data, more)
}

func (b letterBox) writeOn(t *testing.T, letter string, seq uint64, reason, subject, data string, more nats.Header) {
	t.Helper()
	m := &nats.Msg{Subject: letter, Header: nats.Header{}, Data: []byte(data)}
	for name, value := range map[string]string{
		dlq.HeaderReason: reason, dlq.HeaderError: "why", dlq.HeaderAttempts: "1", dlq.HeaderStream: "EVENTS", dlq.HeaderSubject: subject,
		dlq.HeaderSequence: strconv.FormatUint(seq, 10), dlq.HeaderTime: time.Now().Add(-time.Duration(seq) * time.Hour).UTC().Format(time.RFC3339Nano),
	} {
		m.Header.Set(name, value)
	}
	maps.Copy(m.Header, more)
	if _, err := b.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func (b letterBox) fill(t *testing.T) {
	t.Helper()
	ce := func(id, uri string) string {
		return fmt.Sprintf(`{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":"/s","id":%q,"data":{"uri":%q}}`, id, uri)
	}
	b.write(t, 3, "not_found", "events.checkpoint.written.run-7", ce("a", "s3://ckpt/a"), nil)
	b.write(t, 5, "forbidden", "events.checkpoint.written", ce("b", "s3://other/b"), nil)
	b.write(t, 7, "malformed", "events.checkpoint.written.run-7", "no event", nil)
	b.writeOn(t, "prestage.dlq.default.EVENTS.3.again", 3, "not_found", "events.checkpoint.written.run-7", ce("a", "s3://ckpt/a"), nil)
	b.write(t, 9, "not_found", "events.model.published", ce("2", "s3://ckpt/c"), nil)
	b.writeOn(t, dlq.Subject("elsewhere", "EVENTS", 1), 1, "not_found", "events.x", ce("a", "s3://ckpt/a"), nil)
}

// rows is what a command lists, by the letters' subjects.
func (b letterBox) rows(t *testing.T, args ...string) []string {
	t.Helper()
	code, stdout, stderr := program(b.environ, append(append([]string{"dlq"}, args...), "--output=json")...)
	var rows []letterRow
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil || code != exitDone || stderr != "" {
		t.Fatalf("%q: exit %d, %v, %q, %q", args, code, err, stdout, stderr)
	}
	out := []string{}
	for _, r := range rows {
		out = append(out, strings.TrimSpace(strings.TrimPrefix(r.Letter, "prestage.dlq.default.EVENTS.")+" "+r.Result))
	}
	return out
}

func TestDLQSelects(t *testing.T) {
	t.Parallel()
	b := newLetterBox(t)
	if got := b.rows(t, "ls"); len(got) != 0 {
		t.Errorf("an empty stream lists %q", got)
	}
	b.fill(t)
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"", []string{"3", "5", "7", "3.again", "9"}},
		{"--reason=not_found,malformed", []string{"3", "7", "3.again", "9"}},
		{"--bucket=ck*", []string{"3", "3.again", "9"}},
		{"--subject=events.checkpoint.written.*", []string{"3", "7", "3.again"}},
		{"--subject=events.checkpoint.written", []string{"5"}},
		{"--older-than=4h", []string{"5", "7", "9"}},
		{"--older-than=4h --newer-than=6h", []string{"5"}},
		{"--reason=forbidden --bucket=ckpt", []string{}},
		{"a", []string{"3", "3.again"}},
		{"3", []string{"3", "3.again"}},
		{"EVENTS/3 b", []string{"3", "3.again", "5"}},
		{"EVENTS/7", []string{"7"}},
		{"prestage.dlq.default.EVENTS.3", []string{"3"}},
		{"PRESTAGE_DLQ/3", []string{"7"}},
		{"2", []string{"5"}}, // no event has it, a letter does
		{"9 --reason=forbidden", []string{}},
	} {
		if diff := cmp.Diff(tt.want, b.rows(t, append([]string{"ls"}, strings.Fields(tt.args)...)...)); diff != "" {
			t.Errorf("%s: %s", tt.args, diff)
		}
	}
	for _, name := range []string{"nobody", "EVENTS/1", "PRESTAGE_DLQ/6", "prestage.dlq.elsewhere.EVENTS.1", "prestage.dlq.default.>", "0", "99999999999999999999"} {
		code, _, stderr := program(b.environ, "dlq", "show", name)
		if code != exitFailed {
			t.Errorf("%s: exit %d", name, code)
		}
		oneLine(t, stderr, "no letter "+name)
	}
}

func TestDLQUsage(t *testing.T) {
	t.Parallel()
	b := newLetterBox(t)
	b.fill(t)
	for args, want := range map[string]string{
		"ls --reason=lost":    "want one of bad_request,",
		"ls --bucket=[":       "--bucket=",
		"ls --older-than=1d":  "1d",
		"ls --newer-than=-1h": "--newer-than",
		"ls --output=yaml":    "--output",
		"show":                "name a letter",
		"purge":               "--yes",
		"":                    "ls",
	} {
		code, stdout, stderr := program(b.environ, append([]string{"dlq"}, strings.Fields(args)...)...)
		if code != exitUsage || stdout != "" {
			t.Errorf("%s: exit %d, %q", args, code, stdout)
		}
		oneLine(t, stderr, want)
	}
	if got := b.rows(t, "ls"); len(got) != 5 {
		t.Errorf("left are %q", got)
	}
	_, environ := stream(t)
	code, _, stderr := program(environ, "dlq", "ls")
	if code != exitFailed {
		t.Errorf("without a stream: exit %d", code)
	}
	oneLine(t, stderr, "start prestage run once")
}

func TestDLQPurge(t *testing.T) {
	t.Parallel()
	b := newLetterBox(t)
	b.fill(t)
	if diff := cmp.Diff([]string{"7 dry_run"}, b.rows(t, "purge", "--reason=malformed", "--dry-run")); diff != "" {
		t.Error(diff)
	}
	// The letter PRESTAGE_DLQ/4 is of EVENTS/3. Nothing is deleted on a guess.
	if code, _, stderr := program(b.environ, "dlq", "purge", "4", "--yes"); code != exitFailed || !strings.Contains(stderr, "no letter 4 ") {
		t.Errorf("a number of none: exit %d, %q", code, stderr)
	}
	if diff := cmp.Diff([]string{"3 purged", "3.again purged", "9 purged"}, b.rows(t, "purge", "--bucket=ckpt", "--yes")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"5", "7"}, b.rows(t, "ls")); diff != "" {
		t.Error(diff)
	}
	b.fill(t)
	if diff := cmp.Diff([]string{"3 purged", "3.again purged", "9 purged"}, b.rows(t, "purge", "EVENTS/3", "a", "EVENTS/3", "EVENTS/9", "--yes")); diff != "" {
		t.Errorf("of letters named twice: %s", diff)
	}
	var out, errs bytes.Buffer
	w := world{environ: b.environ, stdin: strings.NewReader("no\n"), stdout: &out, stderr: &errs}
	if w.confirms("Sure?") || errs.String() != "Sure? Type yes: " {
		t.Errorf("asked %q", errs.String())
	}
	if w.stdin = strings.NewReader("yes\n"); !w.confirms("Sure?") {
		t.Error("a yes is none")
	}
	_, stdout, _ := program(b.environ, "dlq", "purge", "--yes")
	if !strings.HasSuffix(stdout, "4 purged\n") || len(b.rows(t, "ls")) != 0 {
		t.Errorf("purged: %q", stdout)
	}
}

func TestDLQRedrive(t *testing.T) {
	t.Parallel()
	b := newLetterBox(t)
	b.fill(t)
	b.write(t, 11, "not_found", "nobody.here", "x", nil)
	if diff := cmp.Diff([]string{"3 dry_run", "3.again dry_run"}, b.rows(t, "redrive", "a", "--dry-run")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"3 redriven", "3.again redriven", "9 redriven"}, b.rows(t, "redrive", "--bucket=ckpt")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"3 redriven_before"}, b.rows(t, "redrive", "prestage.dlq.default.EVENTS.3", "--dry-run")); diff != "" {
		t.Error(diff)
	}
	for args, want := range map[string]string{
		"purge EVENTS/3":           "would be purged",
		"redrive EVENTS/3 --again": "would be redriven",
	} {
		if _, stdout, _ := program(b.environ, append(append([]string{"dlq"}, strings.Fields(args)...), "--dry-run")...); !strings.Contains(stdout, " "+want+"\n") {
			t.Errorf("%s: %s", args, stdout)
		}
	}
	code, stdout, stderr := program(b.environ, "dlq", "redrive")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	oneLine(t, stderr, "dlq: 1 failed, 2 redriven, 3 redriven_before")
	for _, line := range []string{
		"EVENTS/5 (forbidden, event b) redriven as EVENTS/4\n",
		"prestage.dlq.default.EVENTS.3.again (not_found, event a) left alone: redriven before as EVENTS/2 ",
		`EVENTS/11 (not_found, event EVENTS/11) failed: no stream takes the subject "nobody.here"`,
	} {
		if !strings.Contains(stdout, line) {
			t.Errorf("%q is not in %q", line, stdout)
		}
	}
	if diff := cmp.Diff([]string{"5 redriven"}, b.rows(t, "redrive", "b", "--again")); diff != "" {
		t.Error(diff)
	}
	s, err := b.js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 6 {
		t.Errorf("%d events, want 6", n)
	}
}

// TestDLQHostile: nothing of a letter reaches the terminal as it is.
func TestDLQHostile(t *testing.T) {
	t.Parallel()
	b := newLetterBox(t)
	b.write(t, 1, "malformed", "events.a", hostile+"\n\tsecond line", nats.Header{
		"X-A": {"\x1b[2J\u202e"}, dlq.HeaderError: {"\x1b[31m\u009b2J"}, dlq.HeaderSubject: {"events.\u009b2J\u202e"},
	})
	b.write(t, 2, "not_found", "events.a", `{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":"/\u202e","id":"\u009b2J\u202e","data":{"uri":"s3://ckpt/a"}}`, nil)
	b.write(t, 3, "\x1b[2J", "events.a", "", nil)
	for _, args := range []string{
		"ls", "ls --output=json", "show 1 2 3", "show 1 2 3 --output=json", "redrive --dry-run", "redrive --output=json --dry-run",
		"purge --dry-run", "show \u009b2J\u202e", "show \u009b",
	} {
		_, stdout, stderr := program(b.environ, append([]string{"dlq"}, strings.Split(args, " ")...)...)
		for _, c := range stdout + stderr {
			if c != '\n' && !unicode.IsPrint(c) || c == unicode.ReplacementChar {
				t.Errorf("%s prints %q: %q", args, c, stdout+stderr)
				break
			}
		}
	}
	_, stdout, _ := program(b.environ, "dlq", "show", "1")
	for _, part := range []string{
		"letter     prestage.dlq.default.EVENTS.1 (PRESTAGE_DLQ/1)\n", `header     X-A: \x1b[2J\u202e` + "\n", "hint       the producer",
		"payload    30 bytes\n" + `  \x1b]0;x\a\u009b31m\u202e\x00\r\xff` + "\n" + `  \tsecond line` + "\n",
	} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%q is not in %s", part, stdout)
		}
	}
	_, stdout, _ = program(b.environ, "dlq", "show", "2", "--output=json")
	var shown shownLetter
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || shown.EventID != "EVENTS/2" || shown.Payload == nil || shown.Hint == "" {
		t.Errorf("%v in %q", err, stdout)
	}
	_, stdout, _ = program(b.environ, "dlq", "show", "1", "--output=json")
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || !strings.HasPrefix(string(shown.PayloadBase64), hostile) {
		t.Errorf("%v in %q", err, stdout)
	}
}

// TestDLQOmitted shows the payload that a letter left out.
func TestDLQOmitted(t *testing.T) {
	t.Parallel()
	b := newLetterBox(t)
	ack, err := b.js.Publish(t.Context(), "events.a", []byte(`{"uri":"s3://ckpt/a"}`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(t.Context(), ack.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, 1, "malformed", "events.a", "", nats.Header{
		dlq.HeaderPayload: {dlq.PayloadOmitted}, dlq.HeaderDigest: {dlq.Digest(m.Data)}, dlq.HeaderTime: {m.Time.UTC().Format(time.RFC3339Nano)},
		dlq.HeaderID: {"run-7"}, dlq.HeaderSource: {"/train"},
	})
	if rows := b.rows(t, "ls", "run-7"); len(rows) != 1 {
		t.Errorf("by its id: %q", rows)
	}
	if _, stdout, _ := program(b.environ, "dlq", "show", "1"); !strings.Contains(stdout, `run-7, source "/train", EVENTS/1`) {
		t.Errorf("shown is %s", stdout)
	}
	if _, stdout, _ := program(b.environ, "dlq", "show", "1"); !strings.Contains(stdout, "left out of the letter, read from EVENTS\n  {\"uri\":") {
		t.Errorf("shown is %s", stdout)
	}
	if code, stdout, _ := program(b.environ, "dlq", "redrive", "--dry-run"); code != exitDone || !strings.Contains(stdout, "would be redriven\n") {
		t.Errorf("exit %d, %s", code, stdout)
	}
	if rows := b.rows(t, "ls", "--bucket=ck*"); len(rows) != 1 {
		t.Errorf("by its bucket: %q", rows)
	}
	if err := s.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := program(b.environ, "dlq", "redrive", "--dry-run"); code != exitFailed || !strings.Contains(stdout, "failed: the letter has no payload") {
		t.Errorf("exit %d, %s", code, stdout)
	}
	_, stdout, _ := program(b.environ, "dlq", "show", "1", "--output=json")
	var shown shownLetter
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || shown.Payload != nil || !strings.Contains(shown.Problem, "no longer in its stream") {
		t.Errorf("%v: %s", err, stdout)
	}
	if _, stdout, _ := program(b.environ, "dlq", "show", "1"); !strings.Contains(stdout, "0 bytes the letter has no payload") {
		t.Errorf("shown is %s", stdout)
	}
}

// TestDLQOddTimes: times that Go parses and JSON cannot have hide no letter.
func TestDLQOddTimes(t *testing.T) {
	t.Parallel()
	b := newLetterBox(t)
	b.write(t, 1, "not_found", "events.a", "x", nil)
	for i, odd := range []string{"2026-01-01T00:00:00+24:00", "9999-12-31T23:00:00-23:00", "0000-01-01T00:00:00+23:00"} {
		b.write(t, uint64(2*i+2), "not_found", "events.a", "x", nats.Header{dlq.HeaderTime: {odd}}) //nolint:gosec // small
		b.write(t, uint64(2*i+3), "not_found", "events.a", "x", nats.Header{                        //nolint:gosec // small
			"Prestage-Redrives": {"1"}, "Prestage-Redriven-Sequence": {"1"}, "Prestage-Redriven-Time": {odd},
		})
	}
	b.write(t, 8, "not_found", "events.a", "x", nil)
	if rows := b.rows(t, "ls"); len(rows) != 8 {
		t.Errorf("listed are %q", rows)
	}
}

func TestCell(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "abcd": "abcd", "abcde": "abc…", "\x1b": `\x1b`, "äöüß": "äöüß", "\xff": `\xff`} {
		if got := cell(in, 4); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if got := cell(strings.Repeat("ä", 1000), 10); got != strings.Repeat("ä", 9)+"…" {
		t.Errorf("got %q", got)
	}
}

func FuzzVisible(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range visible(s) {
			if !unicode.IsPrint(c) {
				t.Errorf("%q in %q", c, visible(s))
			}
		}
		data, err := visibleJSON(s)
		if err != nil {
			t.Fatal(err)
		}
		var back, plain string
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(data, &back) != nil || json.Unmarshal(want, &plain) != nil || back != plain {
			t.Errorf("%s is not %s", data, want)
		}
		for _, c := range string(data) {
			if !unicode.IsPrint(c) {
				t.Errorf("%q in %s", c, data)
			}
		}
	})
}
