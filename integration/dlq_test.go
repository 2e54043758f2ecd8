package integration_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/natstest"

	"github.com/prestage/prestage/internal/lotasim"
)

// listedLetter is a line of "dlq … --output json".
type listedLetter struct {
	Letter      string `json:"letter"`
	Reason      string `json:"reason"`
	EventID     string `json:"event_id"`
	Source      string `json:"source"`
	Redrives    int    `json:"redrives"`
	RedrivenSeq uint64 `json:"redriven_seq"`
	Parent      string `json:"redriven_from"`
	Result      string `json:"result"`
	Problem     string `json:"problem"`
}

// dlq runs "prestage dlq" with args and returns what it lists.
func (w *world) dlq(t *testing.T, code int, args ...string) []listedLetter {
	t.Helper()
	got, stdout, stderr := finish(t, raceBuild, w.environ(t), append(append([]string{"dlq"}, args...), "--output=json")...)
	if got != code {
		t.Fatalf("dlq %v: exit code %d, want %d: %s", args, got, code, stderr)
	}
	var rows []listedLetter
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil {
		t.Fatalf("dlq %v: %v in %q", args, err, stdout)
	}
	return rows
}

// closed waits until no letter is left.
func (w *world) closed(t *testing.T) {
	t.Helper()
	eventually(t, "the letters are closed", func() error {
		if left := w.subjects(t, lettersStream); len(left) > 0 {
			return fmt.Errorf("left are %v", left)
		}
		return nil
	})
}

// TestRedrive has events that fail, removes the causes, and redrives them.
func TestRedrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.store.Put("models", "m.safetensors", large)
	first := w.run(t, "PRESTAGE_MAX_ATTEMPTS=1", "PRESTAGE_BUCKETS="+bucket)

	forbidden := w.checkpoint(t, "forbidden", map[string]any{"uri": "s3://models/m.safetensors"})
	missing := w.object(t, "missing", "late.ckpt")
	nameless := sent{cluster: "default", id: "EVENTS/3", seq: w.publish(t, &nats.Msg{
		Subject: checkpointSubject + ".run-7",
		Header:  nats.Header{"X-Trace": {"one"}, "Nats-Msg-Id": {"mine"}},
		Data:    []byte(`{"uri":"` + uri("late.ckpt") + `"}`),
	})}
	for _, s := range []sent{forbidden, missing, nameless} {
		w.ends(t, s, "dead_lettered")
	}
	w.settled(t)

	// Nothing is sent by looking.
	rows := w.dlq(t, 0, "ls", "--reason=not_found", "--bucket=ck*", "--subject="+checkpointSubject)
	if len(rows) != 1 || rows[0].Letter != missing.subject("dlq") || rows[0].EventID != "missing" || rows[0].Source != source {
		t.Errorf("listed is %+v", rows)
	}
	if rows := w.dlq(t, 0, "redrive", "--dry-run"); len(rows) != 3 || rows[0].Result != "dry_run" {
		t.Errorf("a dry run lists %+v", rows)
	}
	if rows := w.dlq(t, 0, "ls", "--older-than=1h"); len(rows) != 0 {
		t.Errorf("letters that are older than they can be: %+v", rows)
	}

	// One is redriven too early and fails once more, with a letter of its own.
	rows = w.dlq(t, 0, "redrive", "EVENTS/3")
	if len(rows) != 1 || rows[0].Result != "redriven" || rows[0].RedrivenSeq != 4 {
		t.Fatalf("redriven is %+v", rows)
	}
	again := sent{cluster: "default", id: nameless.id, seq: 4}
	w.ends(t, again, "dead_lettered")
	w.settled(t)
	m := w.storedAt(t, 4)
	want := nats.Header{
		"X-Trace": {"one"}, "Nats-Msg-Id": {"mine#redrive-1"}, "Nats-Expected-Stream": {"EVENTS"},
		"Prestage-Redrive-Of": {nameless.subject("dlq")}, "Prestage-Redrive-Time": {stamp(w.storedAt(t, 3).Time)}, "Prestage-Redrive-Root": {"EVENTS/3"},
	}
	for name := range m.Header { // of reading directly
		if strings.HasPrefix(name, "Nats-") && !strings.HasPrefix(name, "Nats-Msg") && !strings.HasPrefix(name, "Nats-Exp") {
			delete(m.Header, name)
		}
	}
	if diff := cmp.Diff(want, m.Header); diff != "" || m.Subject != checkpointSubject+".run-7" {
		t.Errorf("redriven on %s with the header (-want +got):\n%s", m.Subject, diff)
	}
	if rows := w.dlq(t, 0, "redrive", nameless.subject("dlq")); len(rows) != 1 || rows[0].Result != "redriven_before" || rows[0].RedrivenSeq != 4 {
		t.Errorf("a second redrive of one letter: %+v", rows)
	}
	if rows := w.dlq(t, 0, "ls", "4"); len(rows) != 1 || rows[0].Parent != nameless.subject("dlq") || rows[0].EventID != nameless.id {
		t.Errorf("the second letter is %+v", rows)
	}

	// The causes go, and all is redriven: the one that has been is left alone.
	first.stop(t)
	w.put("late.ckpt")
	w.run(t, "PRESTAGE_MAX_ATTEMPTS=1", "PRESTAGE_BUCKETS="+bucket+",models")
	results := map[string]string{}
	for _, r := range w.dlq(t, 0, "redrive") {
		results[r.Letter] = r.Result
	}
	if diff := cmp.Diff(map[string]string{
		forbidden.subject("dlq"): "redriven", missing.subject("dlq"): "redriven",
		nameless.subject("dlq"): "redriven_before", again.subject("dlq"): "redriven",
	}, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	w.closed(t)
	w.settled(t)
	for seq := uint64(5); seq <= 7; seq++ {
		m := w.storedAt(t, seq)
		s := sent{cluster: "default", seq: seq, source: source}
		switch m.Header.Get("Prestage-Redrive-Root") {
		case "EVENTS/1":
			s.id = "forbidden"
		case "EVENTS/2":
			s.id = "missing"
		case "EVENTS/3":
			s.id, s.source = nameless.id, ""
			if got := m.Header.Get("Nats-Msg-Id"); got != "mine#redrive-2" {
				t.Errorf("the message id is %q", got)
			}
		}
		w.ends(t, s, "warm")
	}
	w.lota.mustHave(t, "late.ckpt", "")
	if rows := w.dlq(t, 0, "ls"); len(rows) != 0 {
		t.Errorf("left are %+v", rows)
	}
}

// TestRedriveOmittedPayload redrives letters whose payload found no room: one
// that the stream still has, and one that it lost.
func TestRedriveOmittedPayload(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	w := newWorldWith(t, natstest.Options{MaxPayload: limit}, lotasim.Credential{AccessKeyID: accessKey, SecretAccessKey: secretKey}, nil)
	w.run(t, "PRESTAGE_MAX_ATTEMPTS=1")
	event := func(id string) sent {
		return w.checkpoint(t, id, map[string]any{"uri": uri("late.ckpt"), "padding": strings.Repeat("x", limit-750)})
	}
	kept, lost := event("kept"), event("lost")
	for _, s := range []sent{kept, lost} {
		w.ends(t, s, "dead_lettered")
		if got := w.letter(t, s).Header.Get("Prestage-Payload"); got != "omitted" {
			t.Fatalf("the payload is %q", got)
		}
	}
	w.settled(t)
	stream, err := w.js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), lost.seq); err != nil {
		t.Fatal(err)
	}
	w.put("late.ckpt")
	seq := uint64(0)
	for _, r := range w.dlq(t, 1, "redrive") {
		switch {
		case r.Letter == kept.subject("dlq") && r.Result == "redriven":
			seq = r.RedrivenSeq
		case r.Letter != lost.subject("dlq") || r.Result != "failed" || !strings.Contains(r.Problem, "no longer in its stream"):
			t.Errorf("redriven is %+v", r)
		}
	}
	w.ends(t, sent{cluster: "default", id: "kept", source: source, seq: seq}, "warm")
	eventually(t, "the one letter is closed", func() error {
		if diff := cmp.Diff(map[string]uint64{lost.subject("dlq"): 1}, w.subjects(t, lettersStream)); diff != "" {
			return fmt.Errorf("left is (-want +got): %s", diff)
		}
		return nil
	})
	if rows := w.dlq(t, 0, "purge", "--yes"); len(rows) != 1 || rows[0].Result != "purged" {
		t.Errorf("purged is %+v", rows)
	}
	w.closed(t)
}

// TestForgedRedrive publishes events that claim to be redriven from a letter
// that is not theirs. They are warm; the letter stays.
func TestForgedRedrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt")
	daemon := w.run(t, "PRESTAGE_MAX_ATTEMPTS=1")
	missing := w.object(t, "missing", "never.ckpt")
	w.ends(t, missing, "dead_lettered")
	w.settled(t)
	letter := w.letter(t, missing)

	forged := checkpointEvent(t, "forged", map[string]any{"uri": uri("last.ckpt")})
	forged.Header.Set("Prestage-Redrive-Of", letter.Subject)
	forged.Header.Set("Prestage-Redrive-Time", letter.Header.Get("Prestage-Time"))
	forged.Header.Set("Prestage-Redrive-Root", "EVENTS/1")
	wild := checkpointEvent(t, "wild", map[string]any{"uri": uri("last.ckpt")})
	wild.Header.Set("Prestage-Redrive-Of", "prestage.dlq.default.>")
	wild.Header.Set("Prestage-Redrive-Time", letter.Header.Get("Prestage-Time"))
	for _, m := range []*nats.Msg{forged, wild} {
		id := map[*nats.Msg]string{forged: "forged", wild: "wild"}[m]
		w.ends(t, sent{cluster: "default", id: id, source: source, seq: w.publish(t, m)}, "warm")
	}
	w.settled(t)
	if diff := cmp.Diff(map[string]uint64{letter.Subject: 1}, w.subjects(t, lettersStream)); diff != "" {
		t.Errorf("letters (-want +got):\n%s", diff)
	}
	eventually(t, "the forgery is logged", func() error {
		if n := len(daemon.logged("the letter of a redriven event was not closed: purge it")); n != 1 {
			return fmt.Errorf("%d lines", n)
		}
		return nil
	})
}
