package dlq

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestRedrive(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header nats.Header
		omit   bool
		id     string // of the redriven message
		kept   nats.Header
	}{
		"an id of its own":       {nats.Header{"Nats-Msg-Id": {"a#b"}}, false, "a#b#redrive-1", nats.Header{}},
		"none":                   {nil, false, "EVENTS/1#redrive-1", nats.Header{}},
		"an id like a redrive's": {nats.Header{"Nats-Msg-Id": {"a#redrive-7"}}, false, "a#redrive-7#redrive-1", nats.Header{}},
		"headers": {
			nats.Header{"X-Trace": {"1", "2"}, "Ce-Id": {"x"}, "Nats-Expected-Stream": {"EVENTS"}, "prestage-reason": {"forged"}},
			false,
			"EVENTS/1#redrive-1",
			nats.Header{"X-Trace": {"1", "2"}, "Ce-Id": {"x"}},
		},
		"an omitted payload": {nil, true, "EVENTS/1#redrive-1", nats.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, jetstream.StreamConfig{})
			ev := r.event(t, tt.header, body)
			var change func(*nats.Msg)
			if tt.omit {
				change = omit
			}
			l := r.letter(t, ev, change)
			got := r.redrive(t, l, false)
			if want := (Redriven{Seq: 2, Count: 1}); got != want {
				t.Fatalf("got %+v", got)
			}
			m := r.stored(t, 2)
			if m.Subject != subject || string(m.Data) != body || m.Header.Get(nats.MsgIdHdr) != tt.id {
				t.Errorf("redriven on %s under %q: %s", m.Subject, m.Header.Get(nats.MsgIdHdr), m.Data)
			}
			if diff := cmp.Diff(tt.kept, own(m.Header)); diff != "" {
				t.Error(diff)
			}
			// The letter is the same one, marked.
			after := r.all(t)
			if len(after) != 1 || !after[0].same(l) || after[0].Mark.Count != 1 || after[0].Mark.Seq != 2 || after[0].Mark.At.IsZero() {
				t.Fatalf("after it there is %+v", after)
			}
			ignore := cmp.FilterPath(func(p cmp.Path) bool {
				switch p.Last().String() {
				case ".Seq", ".Stored", ".Mark", ".raw":
					return true
				}
				return false
			}, cmp.Ignore())
			if diff := cmp.Diff(l, after[0], ignore); diff != "" {
				t.Error(diff)
			}
			// Again: nothing happens, whichever copy is meant, unless it must.
			for _, l := range []Letter{l, after[0]} {
				if got := r.redrive(t, l, false); got != (Redriven{Seq: 2, Count: 1, Before: true}) {
					t.Errorf("again: %+v", got)
				}
			}
			if got := r.redrive(t, l, true); got != (Redriven{Seq: 3, Count: 2}) {
				t.Errorf("with again: %+v", got)
			}
			// The event ends well.
			if err := r.close(t, 3); err != nil || len(r.all(t)) != 0 {
				t.Errorf("not closed: %v, %+v", err, r.all(t))
			}
			if got := r.redrive(t, l, false); got != (Redriven{Gone: true}) {
				t.Errorf("redriven when closed: %+v", got)
			}
		})
	}
}

// TestRedriveCutOff: whatever step was the last one, calling it again sends
// nothing twice and leaves one letter.
func TestRedriveCutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, jetstream.StreamConfig{})
	l := r.letter(t, r.event(t, nil, body), nil)
	m, err := r.Box.event(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.send(t.Context(), l, m); err != nil { // sent and not marked
		t.Fatal(err)
	}
	if got := r.redrive(t, l, false); got != (Redriven{Seq: 2, Count: 1}) {
		t.Errorf("after the event: %+v", got)
	}
	// Marked, and the old copy not removed.
	r.letter(t, r.stored(t, 1), nil)
	marked := r.all(t)[0]
	if err := r.letters.DeleteMsg(t.Context(), marked.Seq); err != nil {
		t.Fatal(err)
	}
	copied := &nats.Msg{Subject: marked.Subject, Header: nats.Header{}, Data: marked.Data}
	for name, values := range marked.raw {
		if !hasFold(name, "Nats-") {
			copied.Header[name] = values
		}
	}
	if _, err := r.js.PublishMsg(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	both := r.all(t)
	if len(both) != 2 || both[0].Mark.Count != 0 || both[1].Mark.Count != 1 {
		t.Fatalf("the test is wrong: %+v", both)
	}
	if got := r.redrive(t, both[0], false); !got.Before || got.Seq != 2 {
		t.Errorf("after the mark: %+v", got)
	}
	if left := r.all(t); len(left) != 1 || left[0].Mark.Count != 1 {
		t.Errorf("left is %+v", left)
	}
	if n := r.count(t, r.events); n != 2 {
		t.Errorf("%d events, want the original and one more", n)
	}
}

// TestRedriveAtOnce has many redrive the same letters at the same time.
func TestRedriveAtOnce(t *testing.T) {
	t.Parallel()
	const letters, operators = 20, 8
	r := newRig(t, jetstream.StreamConfig{})
	for i := range letters {
		r.letter(t, r.event(t, nats.Header{"Nats-Msg-Id": {strconv.Itoa(i)}}, body), nil)
	}
	all := r.all(t)
	var group sync.WaitGroup
	for range operators {
		group.Go(func() {
			for _, l := range all {
				if got, err := r.Redrive(context.Background(), l, false); err != nil || got.Unmarked != nil || got.Count != 1 {
					t.Errorf("%s: %+v, %v", l.Subject, got, err)
				}
			}
		})
	}
	group.Wait()
	if n := r.count(t, r.events); n != 2*letters {
		t.Errorf("%d events, want each once more: %d", n, 2*letters)
	}
	after := r.all(t)
	if len(after) != letters {
		t.Errorf("%d letters, want %d", len(after), letters)
	}
	for _, l := range after {
		if l.Mark.Count != 1 {
			t.Errorf("%s has the mark %+v", l.Subject, l.Mark)
		}
	}
}

// TestRedriveTakenID: another event's redrive has the message id. The server
// would swallow this one and call it stored.
func TestRedriveTakenID(t *testing.T) {
	t.Parallel()
	r := newRig(t, jetstream.StreamConfig{})
	ev := r.event(t, nil, body)
	r.event(t, nats.Header{"Nats-Msg-Id": {"EVENTS/1#redrive-1"}}, "other")
	if got := r.redrive(t, r.letter(t, ev, nil), false); got != (Redriven{Seq: 3, Count: 2}) {
		t.Errorf("got %+v", got)
	}
	if m := r.stored(t, 3); string(m.Data) != body || m.Header.Get(nats.MsgIdHdr) != "EVENTS/1#redrive-2" {
		t.Errorf("stored is %s, %v", m.Data, m.Header)
	}
}

// TestRedriveChain: a redriven event fails again and has a letter of its own. The
// one that ends well closes all.
func TestRedriveChain(t *testing.T) {
	t.Parallel()
	r := newRig(t, jetstream.StreamConfig{})
	bystander := r.letter(t, r.event(t, nil, body), nil)
	l := r.letter(t, r.event(t, nats.Header{"Nats-Msg-Id": {"mine"}}, body), nil)
	for n := range 5 {
		got := r.redrive(t, l, false)
		m := r.stored(t, got.Seq)
		if want := "mine#redrive-" + strconv.Itoa(n+1); m.Header.Get(nats.MsgIdHdr) != want || got.Count != n+1 {
			t.Errorf("%+v under %q, want %q", got, m.Header.Get(nats.MsgIdHdr), want)
		}
		if stream, seq, ok := Root(m.Header); stream != "EVENTS" || seq != 2 || !ok {
			t.Errorf("the root is %s/%d", stream, seq)
		}
		next := r.letter(t, m, nil)
		if next.Parent != l.Subject || next.Content().ID != "EVENTS/2" {
			t.Errorf("the next letter is from %q with the id %q", next.Parent, next.Content().ID)
		}
		l = next
	}
	got := r.redrive(t, l, false)
	if err := r.close(t, got.Seq); err != nil {
		t.Fatal(err)
	}
	if left := r.all(t); len(left) != 1 || left[0].Subject != bystander.Subject {
		t.Errorf("left are %+v", left)
	}
	if err := r.close(t, got.Seq); err != nil { // a redelivery
		t.Error(err)
	}
}

func TestRedriveRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*nats.Msg)
		want   string
	}{
		"no stream takes it":   {func(m *nats.Msg) { m.Header.Set(HeaderSubject, "nobody.here") }, `no stream takes the subject "nobody.here"`},
		"another stream's":     {func(m *nats.Msg) { m.Header.Set(HeaderStream, "OTHER") }, "expected stream does not match"},
		"a wildcard":           {func(m *nats.Msg) { m.Header.Set(HeaderSubject, "events.>") }, "cannot be published to"},
		"a space":              {func(m *nats.Msg) { m.Header.Set(HeaderSubject, "events.a b") }, "cannot be published to"},
		"one of the server's":  {func(m *nats.Msg) { m.Header.Set(HeaderSubject, "$JS.API.STREAM.PURGE.EVENTS"); m.Data = nil }, "cannot be published to"},
		"no reason":            {func(m *nats.Msg) { m.Header.Del(HeaderReason) }, "no letter: Prestage-Reason is"},
		"no subject":           {func(m *nats.Msg) { m.Header.Del(HeaderSubject) }, "no letter: Prestage-Stream or Prestage-Subject"},
		"no sequence":          {func(m *nats.Msg) { m.Header.Set(HeaderSequence, "-1") }, "no letter: "},
		"no time":              {func(m *nats.Msg) { m.Header.Del(HeaderTime) }, "no letter: "},
		"a mark that is none":  {func(m *nats.Msg) { m.Header.Set(headerRedrives, "often") }, "no letter: "},
		"the payload is lost":  {func(m *nats.Msg) { omit(m); m.Header.Set(HeaderSequence, "9") }, ErrPayloadLost.Error()},
		"the stream is":        {func(m *nats.Msg) { omit(m); m.Header.Set(HeaderStream, "GONE") }, ErrPayloadLost.Error()},
		"of a stream made new": {func(m *nats.Msg) { omit(m); m.Header.Set(HeaderTime, "2026-01-01T00:00:00Z") }, ErrPayloadLost.Error()},
		"of other bytes":       {func(m *nats.Msg) { omit(m); m.Header.Set(HeaderDigest, Digest([]byte("x"))) }, ErrPayloadLost.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, jetstream.StreamConfig{})
			l := r.letter(t, r.event(t, nil, body), tt.change)
			if _, err := r.Redrive(t.Context(), l, false); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
			if r.count(t, r.events) != 1 || r.count(t, r.letters) != 1 {
				t.Error("the letter is gone, or something was sent")
			}
		})
	}
	r := newRig(t, jetstream.StreamConfig{})
	l := r.letter(t, r.event(t, nil, body), nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("signal")
	cancel(cause)
	if _, err := r.Redrive(ctx, l, false); !errors.Is(err, cause) || r.count(t, r.events) != 1 {
		t.Errorf("after the end: %v", err)
	}
}

// TestRedriveFull: a full PRESTAGE_DLQ takes no mark. The event is sent all the
// same, since that is what makes room.
func TestRedriveFull(t *testing.T) {
	t.Parallel()
	r := newRig(t, jetstream.StreamConfig{MaxMsgs: 1})
	l := r.letter(t, r.event(t, nil, body), nil)
	got, err := r.Redrive(t.Context(), l, false)
	if err != nil || got.Seq != 2 || got.Unmarked == nil {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got, err := r.Redrive(t.Context(), l, false); err != nil || got.Seq != 2 || r.count(t, r.events) != 2 {
		t.Errorf("again: %+v, %v", got, err)
	}
	if err := r.close(t, 2); err != nil || r.count(t, r.letters) != 0 {
		t.Errorf("not closed: %v", err)
	}
}
