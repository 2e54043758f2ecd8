package consumer

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
)

// TestSuperseded handles an event behind which others were stored.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	const other = "events.checkpoint.written.run-8"
	step := func(run string, n int) string {
		return `{"uri":"s3://ckpt/a/step-` + strconv.Itoa(n) + `.pt","run":"` + run + `","step":` + strconv.Itoa(n) + `}`
	}
	event := func(kind, id string) string {
		return `{"specversion":"1.0","type":"` + kind + `","source":"/t","id":"` + id + `","data":` + step("a", 1) + `}`
	}
	const written, published = "ai.checkpoint.written.v1", "ai.model.published.v1"
	first := step("a", 100)
	on := func(subject, body string) *nats.Msg { return &nats.Msg{Subject: subject, Data: []byte(body)} }
	for name, tt := range map[string]struct {
		event string
		later []*nats.Msg
		lane  events.Kind // checkpoint
		off   bool
		want  bool
	}{
		"a newer one":                  {event: first, later: []*nats.Msg{on(testSubject, step("a", 200))}, want: true},
		"a rolled back run":            {event: first, later: []*nats.Msg{on(testSubject, step("a", 50))}, want: true},
		"the same step again":          {event: first, later: []*nats.Msg{on(testSubject, first)}, want: true},
		"only the last counts":         {event: first, later: []*nats.Msg{on(testSubject, step("a", 200)), on(testSubject, step("b", 1))}},
		"a newer one behind another's": {event: first, later: []*nats.Msg{on(testSubject, step("b", 1)), on(testSubject, step("a", 200))}, want: true},
		"nothing":                      {event: first},
		"a newer one elsewhere":        {event: first, later: []*nats.Msg{on(other, step("a", 200))}},
		"another run":                  {event: first, later: []*nats.Msg{on(testSubject, step("b", 200))}},
		"no run of its own":            {event: `{"uri":"s3://ckpt/a.pt"}`, later: []*nats.Msg{on(testSubject, `{"uri":"s3://ckpt/b.pt"}`)}},
		"nobody's":                     {event: first, later: []*nats.Msg{on(testSubject, `{"uri":"s3://ckpt/b.pt"}`)}},
		"what cannot be read":          {event: first, later: []*nats.Msg{on(testSubject, `{"run":"a"`)}},
		"what says nothing":            {event: first, later: []*nats.Msg{on(testSubject, `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-20T10:00:00.000Z","Bucket":"ckpt","RequestId":"1","HostId":"2"}`)}},
		"itself, sent twice":           {event: event(written, "1"), later: []*nats.Msg{on(testSubject, event(written, "1"))}},
		"another event":                {event: event(written, "1"), later: []*nats.Msg{on(testSubject, event(written, "2"))}, want: true},
		"a model":                      {event: event(written, "1"), later: []*nats.Msg{on(testSubject, event(published, "2"))}},
		"of a model":                   {event: event(published, "1"), later: []*nats.Msg{on(testSubject, event(written, "2"))}},
		"in the model lane":            {event: event(written, "1"), later: []*nats.Msg{on(testSubject, event(written, "2"))}, lane: events.KindModel},
		"switched off":                 {event: first, later: []*nats.Msg{on(testSubject, step("a", 200))}, off: true},
		"a redriven one": {event: first, later: []*nats.Msg{{
			Subject: testSubject, Header: nats.Header{"Prestage-Redrive-Of": {"prestage.dlq.c1.EVENTS.1"}}, Data: []byte(step("a", 1)),
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, calls := counting(reporting(filled()))
			r := newRig(t, setup{warm: w})
			r.lane.cfg.Supersede = !tt.off
			if tt.lane != "" {
				r.lane.kind = tt.lane
			}
			r.publish(t, tt.event)
			for _, m := range tt.later {
				if _, err := r.js.PublishMsg(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			d, s := r.process(t)
			if d.Seq != 1 || s.Action != Ack {
				t.Fatalf("message %d: %+v", d.Seq, s)
			}
			got := r.only(t)
			if superseded := got.Outcome == Skipped && got.Reason == outcome.Superseded; superseded != tt.want || superseded != (calls.Load() == 0) {
				t.Errorf("%s %q after %d fills, superseded: want %t", got.Outcome, got.Reason, calls.Load(), tt.want)
			}
		})
	}
}

// TestSupersededWhileItWaits has a newer checkpoint come between two attempts.
func TestSupersededWhileItWaits(t *testing.T) {
	t.Parallel()
	w, calls := counting(reporting(failing(outcome.Throttled, "")))
	r := newRig(t, setup{warm: w})
	r.lane.cfg.Supersede = true
	const body = `{"uri":"s3://ckpt/a/1.pt","run":"a"}`
	r.publish(t, body)
	d, s := r.process(t)
	if s.Action != Retry {
		t.Fatalf("first attempt: %+v", s)
	}
	r.publish(t, body)
	r.due(t, d.Seq)
	s = r.lane.process(t.Context(), t.Context(), d)
	if got := r.only(t); s.Action != Ack || got.Reason != outcome.Superseded || calls.Load() != 1 {
		t.Errorf("%+v, receipt %s %q after %d attempts at filling", s, got.Outcome, got.Reason, calls.Load())
	}
}

// TestSupersededUnsure asks a server that does not answer.
func TestSupersededUnsure(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.lane.cfg.Supersede = true
	const body = `{"uri":"s3://ckpt/a/1.pt","run":"a"}`
	r.publish(t, body)
	r.publish(t, body)
	d := r.receive(t)
	ev, err := r.lane.decode(t.Context(), d)
	if err != nil || !r.lane.superseded(t.Context(), ev, d) {
		t.Fatalf("with a server: not superseded, %v", err)
	}
	r.srv.Stop()
	if r.lane.superseded(t.Context(), ev, d) {
		t.Error("superseded by what nobody has seen")
	}
}

// only is the one receipt that there is.
func (r *rig) only(t *testing.T) Receipt {
	t.Helper()
	keys, err := r.receipts.Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("receipts %v: %v", keys, err)
	}
	e, err := r.receipts.Get(t.Context(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	var got Receipt
	if err := json.Unmarshal(e.Value(), &got); err != nil {
		t.Fatal(err)
	}
	return got
}
