package dlq

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestCloseForged: who can publish events can name any letter. None is removed
// that is not the event's own.
func TestCloseForged(t *testing.T) {
	t.Parallel()
	r := newRig(t, jetstream.StreamConfig{})
	l := r.letter(t, r.event(t, nats.Header{"Ce-Id": {"1"}}, body), nil)
	at := l.raw.Get(HeaderTime)
	header := func(of, at string) nats.Header {
		return nats.Header{"Ce-Id": {"1"}, headerOf: {of}, headerOfTime: {at}}
	}
	for name, tt := range map[string]struct {
		subject string
		header  nats.Header
		body    string
		other   bool // it is said to be another event's
	}{
		"another payload":     {subject, header(l.Subject, at), "{}", true},
		"another subject":     {subject + ".x", header(l.Subject, at), body, true},
		"a header more":       {subject, nats.Header{"Ce-Id": {"1"}, "Ce-Type": {"x"}, headerOf: {l.Subject}, headerOfTime: {at}}, body, true},
		"another header":      {subject, nats.Header{"Ce-Id": {"2"}, headerOf: {l.Subject}, headerOfTime: {at}}, body, true},
		"another time":        {subject, header(l.Subject, "2026-01-01T00:00:00Z"), body, false},
		"a wildcard":          {subject, header("prestage.dlq."+cluster+".>", at), body, false},
		"a token":             {subject, header("prestage.dlq."+cluster+".EVENTS.*", at), body, false},
		"another cluster":     {subject, header("prestage.dlq.c2.EVENTS.1", at), body, false},
		"a longer cluster":    {subject, header("prestage.dlq."+cluster+"x.EVENTS.1", at), body, false},
		"no letter's subject": {subject, header("events.x", at), body, false},
		"none":                {subject, header("", ""), body, false},
	} {
		if err := r.Close(t.Context(), tt.subject, tt.header, []byte(tt.body)); errors.Is(err, ErrOther) != tt.other || (err != nil && !tt.other) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := r.count(t, r.letters); n != 1 {
		t.Fatalf("%d letters", n)
	}
	// The same event, whoever sent it, is through.
	if err := r.Close(t.Context(), subject, header(l.Subject, at), []byte(body)); err != nil || r.count(t, r.letters) != 0 {
		t.Errorf("not closed: %v", err)
	}
}

// TestCloseLoop: letters that name each other end.
func TestCloseLoop(t *testing.T) {
	t.Parallel()
	r := newRig(t, jetstream.StreamConfig{})
	ev := r.event(t, nil, body)
	of := Subject(cluster, "EVENTS", ev.Sequence)
	l := r.letter(t, ev, func(m *nats.Msg) {
		m.Header.Set(OriginalPrefix+headerOf, of)
		m.Header.Set(OriginalPrefix+headerOfTime, m.Header.Get(HeaderTime))
	})
	if err := r.Close(t.Context(), subject, nats.Header{headerOf: {of}, headerOfTime: {l.raw.Get(HeaderTime)}}, []byte(body)); err != nil || r.count(t, r.letters) != 0 {
		t.Errorf("not closed: %v", err)
	}
}

// TestIncarnations: the event stream was made anew, so that two letters have one
// subject. Each is redriven and closed by itself.
func TestIncarnations(t *testing.T) {
	t.Parallel()
	r := newRig(t, jetstream.StreamConfig{})
	old := r.letter(t, r.event(t, nil, `{"uri":"s3://ckpt/old"}`), nil)
	if err := r.js.DeleteStream(t.Context(), "EVENTS"); err != nil {
		t.Fatal(err)
	}
	r.events = r.makeEvents(t)
	young := r.letter(t, r.event(t, nil, body), nil)
	if old.Subject != young.Subject || old.same(young) {
		t.Fatalf("the test is wrong: %+v, %+v", old, young)
	}
	first, second := r.redrive(t, old, false), r.redrive(t, young, false)
	if first.Seq != 2 || second.Seq != 3 || second.Count != 2 { // the first message id is the old one's
		t.Errorf("redriven are %+v, %+v", first, second)
	}
	for _, l := range r.all(t) {
		if want := map[bool]uint64{true: 2, false: 3}[l.same(old)]; l.Mark.Seq != want {
			t.Errorf("%s of %s has the mark %+v", l.Subject, l.EventTime, l.Mark)
		}
	}
	if err := r.close(t, 2); err != nil {
		t.Fatal(err)
	}
	if left := r.all(t); len(left) != 1 || !left[0].same(young) {
		t.Errorf("left are %+v", left)
	}
}
