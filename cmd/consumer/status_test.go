package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/status"
)

// statusJSON runs status with args.
func statusJSON[T any](t *testing.T, environ []string, args ...string) (out T) {
	t.Helper()
	code, stdout, stderr := program(environ, append(append([]string{"status"}, args...), "--output=json")...)
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || code != exitDone || stderr != "" {
		t.Fatalf("%q: exit %d, %v, %q, %q", args, code, err, stdout, stderr)
	}
	return out
}

func TestStatus(t *testing.T) {
	t.Parallel()
	code, _, stderr := program([]string{"NATS_URL=nats://127.0.0.1:1"}, "status")
	if code != exitFailed {
		t.Errorf("without a server: exit %d", code)
	}
	oneLine(t, stderr, "is NATS_URL right?")

	b := newLetterBox(t)
	// Before prestage ran there is little to tell.
	if s := statusJSON[status.Status](t, b.environ); len(s.Lanes) != 2 || s.Instances == nil || len(s.Instances) != 0 || s.Lanes[0].Problem == "" || s.DeadLetters.Total != 0 || len(s.Receipts) != 0 {
		t.Errorf("status is %+v", s)
	}

	kv, err := b.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: app.ReceiptsBucket})
	if err != nil {
		t.Fatal(err)
	}
	receipt := func(cluster, id string, seq uint64, r consumer.Receipt) {
		r.Cluster, r.EventID, r.Stream, r.StreamSeq = cluster, id, "EVENTS", seq
		value, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), consumer.ReceiptKey(cluster, id, "/s", "EVENTS", seq), value); err != nil {
			t.Fatal(err)
		}
	}
	receipt("default", "first", 1, consumer.Receipt{Outcome: consumer.Pending})
	receipt("default", "first", 1, consumer.Receipt{Outcome: consumer.Warm, Verdict: outcome.Accepted})
	receipt("default", "a", 3, consumer.Receipt{Outcome: consumer.DeadLettered, Reason: outcome.NotFound, Error: "no\x1b[2J key"})
	receipt("elsewhere", "other", 2, consumer.Receipt{Outcome: consumer.Warm})
	for _, lane := range []string{"model", "checkpoint"} {
		if _, err := b.js.CreateConsumer(t.Context(), "EVENTS", jetstream.ConsumerConfig{
			Durable: "prestage-default-" + lane, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "events." + lane + ".>",
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if _, err := b.js.Publish(t.Context(), "events.checkpoint.written", nil); err != nil {
			t.Fatal(err)
		}
	}
	lane, err := b.js.Consumer(t.Context(), "EVENTS", "prestage-default-checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lane.Next(jetstream.FetchMaxWait(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := program(b.environ, "pause", "model", "--for=1h"); code != exitDone {
		t.Fatal(stderr)
	}
	b.fill(t)
	b.write(t, 11, "no reason", "events.a", "", nats.Header{})

	if err := status.Answer(b.js.Conn(), "default", func() status.Instance {
		return status.Instance{
			Name: "host-1", NotReady: "down\x1b[2J", InFlight: 3, Limit: 16, Ceiling: 300, Endpoint: "cwlota.com:80", Confirm: status.Confirm{Mode: "auto", Discriminate: true},
			Breakers: []status.Breaker{{Bucket: "ckpt\n", Reason: outcome.Forbidden, Error: "403", Since: time.Now().Add(-time.Hour)}},
			Tasks:    []consumer.Task{{EventID: "long\x1b", Received: time.Now().Add(-3 * time.Minute)}},
		}
	}); err != nil {
		t.Fatal(err)
	}
	s := statusJSON[status.Status](t, b.environ)
	if len(s.Instances) != 1 || s.Instances[0].InFlight != 3 || len(s.Instances[0].Breakers) != 1 || s.Instances[0].Tasks[0].EventID != "long\x1b" {
		t.Errorf("instances: %+v", s.Instances)
	}
	if l := s.Lanes[0]; l.Lane != "model" || l.PausedUntil.IsZero() || l.Waiting != 0 || l.InFlight != 0 || l.OldestAge != 0 {
		t.Errorf("model lane: %+v", l)
	}
	if l := s.Lanes[1]; l.Lane != "checkpoint" || !l.PausedUntil.IsZero() || l.Waiting != 2 || l.InFlight != 1 || l.OldestAge <= 0 || l.OldestAge > 60 {
		t.Errorf("checkpoint lane: %+v", l)
	}
	if d := s.DeadLetters; d.Total != 6 || d.ByReason[outcome.NotFound] != 3 || d.ByReason[outcome.Forbidden] != 1 || d.ByReason["damaged"] != 1 || d.Redriven != 0 {
		t.Errorf("dead letters: %+v", d)
	}
	if len(s.Receipts) != 2 || s.Receipts[0].EventID != "a" || s.Receipts[1].Outcome != consumer.Warm {
		t.Errorf("receipts: %+v", s.Receipts)
	}

	e := statusJSON[status.Event](t, b.environ, "a")
	if len(e.Receipts) != 1 || e.Receipts[0].Reason != outcome.NotFound || len(e.Letters) != 2 || e.Letters[0].Letter != "prestage.dlq.default.EVENTS.3" {
		t.Errorf("the event's story: %+v", e)
	}
	_, stdout, _ := program(b.environ, "status")
	for _, want := range []string{
		"instance   host-1: 3 requests in flight, limit 16 of 300, cwlota.com:80, confirm auto (more than accepted is known), filling 1 events, the longest for 3m: long\\x1b\n",
		"           not ready: down\\x1b[2J\n", "           holds back bucket ckpt\\n for 1h, next tried ",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("status does not say %q:\n%s", want, stdout)
		}
	}
	for args, want := range map[string]string{
		"status":       "model      0 waiting, 0 in flight, PAUSED until ",
		"status a":     "dead letter prestage.dlq.default.EVENTS.3.again\n",
		"status first": "EVENTS/1 warm (accepted) event first, 0.0 s after the stream had it\n",
	} {
		code, stdout, stderr := program(b.environ, strings.Fields(args)...)
		if code != exitDone || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("%s: exit %d, %q, %q", args, code, stdout, stderr)
		}
		if strings.ContainsFunc(stdout, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }) {
			t.Errorf("%s prints what a terminal acts on: %q", args, stdout)
		}
	}
	// What a status does not need may be wrong.
	if code, _, stderr := program(append(slices.Clone(b.environ), "MLFLOW_TRACKING_URI=sqlite:///mlflow.db"), "status", "first"); code != exitDone || stderr != "" {
		t.Errorf("beside another's setting: exit %d, %q", code, stderr)
	}
	code, stdout, stderr = program(b.environ, "status", "nobody")
	if code != exitFailed || stdout != "" {
		t.Errorf("exit %d, %q", code, stdout)
	}
	oneLine(t, stderr, "no receipt of event nobody")
}
