package integration_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
)

// TestDeadLetters publishes what can never be warmed, and then something that
// can, which is not held up.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.store.Put("elsewhere", "last.ckpt", large)
	w.put("last.ckpt")
	w.run(t, "PRESTAGE_BUCKETS=ck*,models", "PRESTAGE_MAX_ATTEMPTS=3")

	missing := w.object(t, "missing", "never.ckpt")
	malformed := sent{cluster: "default", seq: w.publish(t, &nats.Msg{
		Subject: checkpointSubject + ".run-7",
		Header:  nats.Header{"X-Trace": {"one", "two"}, "Prestage-Reason": {"forged"}},
		Data:    []byte("{\"uri\": \x00\xff"),
	})}
	malformed.id = "EVENTS/" + strconv.FormatUint(malformed.seq, 10)
	forbidden := w.checkpoint(t, "forbidden", map[string]any{"uri": "s3://elsewhere/last.ckpt"})
	mixed := w.checkpoint(t, "mixed", map[string]any{"objects": []map[string]any{
		{"uri": uri("mixed.ckpt")}, {"uri": "s3://elsewhere/last.ckpt"},
	}})
	good := w.object(t, "good", "last.ckpt")

	w.ends(t, good, "warm")
	if r, found := w.receipt(t, missing); found && r.Outcome != "pending" {
		t.Errorf("the missing object's event ended before the good one was warm: %+v", r)
	}
	for _, tt := range []struct {
		event    sent
		reason   string
		attempts string
		header   nats.Header // beside the letter's own
	}{
		{malformed, "malformed", "1", nats.Header{"X-Trace": {"one", "two"}, "Prestage-Original-Prestage-Reason": {"forged"}}},
		{forbidden, "bucket_not_allowed", "1", nil},
		{mixed, "bucket_not_allowed", "1", nil},
		{missing, "not_found", "3", nil},
	} {
		r := w.ends(t, tt.event, "dead_lettered")
		if r.Reason != tt.reason || r.Error == "" {
			t.Errorf("receipt of %s gives %q and the error %q", tt.event.id, r.Reason, r.Error)
		}
		w.checkLetter(t, tt.event, tt.reason, tt.attempts, tt.header)
	}
	w.settled(t)
	if got := w.subjects(t, lettersStream); len(got) != 4 {
		t.Errorf("dead letters: %v, want 4", got)
	}
	if n := w.lota.Count(lotasim.Filter{Bucket: "elsewhere"}) + w.lota.Count(lotasim.Filter{Key: "mixed.ckpt"}); n > 0 {
		t.Errorf("%d requests were sent for events that name a forbidden bucket", n)
	}
}

// checkLetter compares a letter with the message that it is about.
func (w *world) checkLetter(t *testing.T, s sent, reason, attempts string, more nats.Header) {
	t.Helper()
	original, letter := w.storedAt(t, s.seq), w.letter(t, s)
	if !bytes.Equal(original.Data, letter.Data) {
		t.Errorf("letter of %s holds %q, want %q", s.id, letter.Data, original.Data)
	}
	text := letter.Header.Get("Prestage-Error")
	if text == "" || strings.ContainsAny(text, "\x00\r\n") {
		t.Errorf("letter of %s has the error %q", s.id, text)
	}
	want := nats.Header{
		"Prestage-Reason": {reason}, "Prestage-Error": {text}, "Prestage-Attempts": {attempts},
		"Prestage-Stream": {"EVENTS"}, "Prestage-Subject": {original.Subject},
		"Prestage-Sequence": {strconv.FormatUint(s.seq, 10)}, "Prestage-Time": {stamp(original.Time)},
	}
	if original.Header.Get("Content-Type") != "" {
		want.Set("Content-Type", original.Header.Get("Content-Type"))
	}
	maps.Copy(want, more)
	got := letter.Header
	// The server's own: two of the write-once publish, four of reading directly.
	for _, name := range []string{
		"Nats-Expected-Stream", "Nats-Expected-Last-Subject-Sequence",
		"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp",
	} {
		delete(got, name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("header of %s's letter (-want +got):\n%s", s.id, diff)
	}
}

// TestOriginalServerHeaders sends messages with headers that a server acts on.
// In the letter they are kept under another name, where they do nothing.
func TestOriginalServerHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	_, err := w.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "EVENTS", Subjects: []string{checkpointSubject + ".>"}, AllowRollup: true, AllowMsgTTL: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.run(t)
	want := make(map[string]uint64)
	for i, header := range []nats.Header{
		{"Nats-Rollup": {"sub"}},
		{"Nats-TTL": {"1h"}},
		{"Nats-Expected-Stream": {"EVENTS"}},
		{"Nats-Expected-Last-Sequence": {"3"}},
		{"Nats-Expected-Last-Subject-Sequence": {"0"}},
		{"Nats-Msg-Id": {"one"}},
		{"Nats-Msg-Id": {"two"}, "Nats-Expected-Last-Msg-Id": {"one"}},
	} {
		m := &nats.Msg{Subject: checkpointSubject + "." + strconv.Itoa(i), Header: header, Data: []byte("no event")}
		s := sent{cluster: "default", seq: w.publish(t, m)}
		kept := nats.Header{}
		for name, values := range w.storedAt(t, s.seq).Header {
			kept["Prestage-Original-"+name] = values
		}
		if len(kept) != len(header) {
			t.Errorf("message %d was stored with the headers %v, want those of %v", s.seq, kept, header)
		}
		w.checkLetter(t, s, "malformed", "1", kept)
		want[s.subject("dlq")] = 1
	}
	w.settled(t)
	if diff := cmp.Diff(want, w.subjects(t, lettersStream)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

// TestLargestPayload dead-letters messages of the size that the server takes at
// most, where no room is left for a letter's headers, and of a little less.
func TestLargestPayload(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	w := newWorldWith(t, natstest.Options{MaxPayload: limit}, lotasim.Credential{AccessKeyID: accessKey, SecretAccessKey: secretKey}, nil)
	w.run(t)
	for _, tt := range []struct {
		size    int
		omitted bool
	}{{limit, true}, {limit - 4096, false}} {
		s := sent{cluster: "default", seq: w.publish(t, &nats.Msg{Subject: checkpointSubject, Data: bytes.Repeat([]byte("x"), tt.size)})}
		m := w.letter(t, s)
		if omitted := m.Header.Get("Prestage-Payload") == "omitted"; omitted != tt.omitted {
			t.Errorf("payload of %d bytes omitted: %t, want %t", tt.size, omitted, tt.omitted)
		}
		if want := map[bool]int{true: 0, false: tt.size}[tt.omitted]; len(m.Data) != want {
			t.Errorf("letter holds %d bytes of %d, want %d", len(m.Data), tt.size, want)
		}
		if got := m.Header.Get("Prestage-Reason"); got != "malformed" {
			t.Errorf("letter's reason is %q", got)
		}
	}
	w.settled(t)
}

// TestRefusedBucket has a bucket answer 403. Its event waits without attempts
// until PRESTAGE_GIVE_UP_AFTER; a good one after it is not held up.
func TestRefusedBucket(t *testing.T) {
	t.Parallel()
	const giveUp = 3 * time.Second
	who := lotasim.Credential{AccessKeyID: accessKey, SecretAccessKey: secretKey, Buckets: []string{bucket}}
	w := newWorldWith(t, natstest.Options{}, who, nil)
	w.store.Put("private", "last.ckpt", large)
	w.put("last.ckpt")
	w.run(t, "PRESTAGE_GIVE_UP_AFTER="+giveUp.String(), "PRESTAGE_MAX_ATTEMPTS=1")
	refused := w.checkpoint(t, "refused", map[string]any{"uri": "s3://private/last.ckpt"})

	pending := w.until(t, refused, "pending", func(r receipt) bool { return r.Outcome == "pending" })
	if pending.Attempts != 0 || pending.Error == "" {
		t.Errorf("while it waits the receipt tells %d attempts and the error %q, want 0 and one", pending.Attempts, pending.Error)
	}
	good := w.ends(t, w.object(t, "good", "last.ckpt"), "warm")
	r := w.ends(t, refused, "dead_lettered")
	if r.Reason != "forbidden" || r.Attempts != 0 {
		t.Errorf("receipt gives the reason %q after %d attempts, want forbidden after 0", r.Reason, r.Attempts)
	}
	w.checkLetter(t, refused, "forbidden", "0", nil)
	letter := w.letter(t, refused)
	if waited := letter.Time.Sub(pending.Received); waited < giveUp {
		t.Errorf("given up after %s, want at least %s", waited, giveUp)
	}
	if !good.WarmAt.Before(letter.Time) {
		t.Errorf("the good event was warm at %s, only after the letter of %s", good.WarmAt, letter.Time)
	}
	w.settled(t)
}

// TestThrottledIsNotRefused has the store answer 429 and 503 for longer than a
// refusal is borne. That is a lack of capacity: it costs no attempt and has no end
// of its own while nobody else is served either.
func TestThrottledIsNotRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			rule := lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.AnswerStatus, Status: status, Count: 6}
			if _, err := w.lota.AddRule(rule); err != nil {
				t.Fatal(err)
			}
			w.put("last.ckpt")
			w.run(t, "PRESTAGE_GIVE_UP_AFTER=1s", "PRESTAGE_MAX_ATTEMPTS=1")
			s := w.object(t, "busy", "last.ckpt")
			pending := w.until(t, s, "decided upon", func(r receipt) bool { return r.Outcome != "" })
			if pending.Outcome != "pending" || pending.Attempts != 0 {
				t.Errorf("at first it is %s after %d attempts, want pending after none", pending.Outcome, pending.Attempts)
			}
			if r := w.ends(t, s, "warm"); r.Attempts != 1 {
				t.Errorf("warm after %d attempts, want 1", r.Attempts)
			}
		})
	}
}

// TestThrottledBucket has one bucket answer 429 for ever, beside another whose
// fills go on as if it were not there.
func TestThrottledBucket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	rule := lotasim.Rule{Match: lotasim.Match{Bucket: "busy", Ranged: true}, Do: lotasim.AnswerStatus, Status: http.StatusTooManyRequests}
	if _, err := w.lota.AddRule(rule); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for i := range 500 {
		key := fmt.Sprintf("step-1/%03d.pt", i)
		keys = append(keys, key)
		w.store.Put("busy", key, large)
	}
	w.put(keys...)
	p := w.run(t)
	busy := w.checkpoint(t, "busy", map[string]any{"uri": "s3://busy/step-1/", "complete": true})
	eventually(t, "the busy bucket has refused some", func() error {
		if n := refusedBy(w, "busy"); n < 20 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	w.ends(t, w.checkpoint(t, "well", map[string]any{"uri": uri("step-1/"), "complete": true}), "warm")
	before := refusedBy(w, "busy")
	if limit := p.metric(t, "prestage_concurrency_limit"); limit < 16 {
		t.Errorf("the limit of all is %v", limit)
	}
	if n := refusedBy(w, "busy"); n > before+100 {
		t.Errorf("the busy bucket is asked as if it were not: %d times more", n-before)
	}
	if r, ok := w.receipt(t, busy); ok && (r.Outcome != "pending" || r.Attempts != 0) {
		t.Errorf("the busy bucket's event is %s after %d attempts", r.Outcome, r.Attempts)
	}
}

// refusedBy is how many requests a bucket turned away.
func refusedBy(w *world, bucket string) (n int) {
	for _, r := range w.lota.History(lotasim.Filter{}) {
		if r.Bucket == bucket && r.Status == http.StatusTooManyRequests {
			n++
		}
	}
	return n
}

// TestLateObject has an object appear only after its event was tried twice.
func TestLateObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.run(t)
	s := w.object(t, "early", "late.ckpt")
	w.until(t, s, "pending after two attempts", func(r receipt) bool { return r.Outcome == "pending" && r.Attempts == 2 })
	w.put("late.ckpt")

	if r := w.ends(t, s, "warm"); r.Attempts != 3 {
		t.Errorf("warm after %d attempts, want 3", r.Attempts)
	}
	w.settled(t)
	w.lota.mustHave(t, "late.ckpt", "")
}
