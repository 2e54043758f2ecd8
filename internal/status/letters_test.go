package status

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/outcome"
)

// TestLettersOfAReplay: an event that ended as a dead letter twice, on its lane and
// in a replay, has two letters, each told once.
func TestLettersOfAReplay(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	m := a.event(t, "dead", `{"uri":"s3://ckpt/a"}`)
	dead := consumer.Receipt{Outcome: consumer.DeadLettered, Reason: outcome.NotFound}
	a.receipt(t, "dead", m, dead)
	dead.EventID, dead.Source, dead.Cluster, dead.Stream, dead.StreamSeq, dead.StreamTime, dead.Replay = "dead", "/s", "c1", "EVENTS", m.Sequence, m.Time, "night"
	value, err := json.Marshal(dead)
	if err == nil {
		_, err = a.receipts.Put(t.Context(), consumer.ReceiptKey("c1", "dead", "/s", "EVENTS", m.Sequence)+".night", value)
	}
	if err == nil {
		_, err = a.source.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: dlq.Stream, Subjects: []string{"prestage.dlq.>"}, AllowDirect: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	subject := dlq.Subject("c1", "EVENTS", m.Sequence)
	for _, s := range []string{subject, subject + ".night"} {
		letter := nats.NewMsg(s)
		for name, v := range map[string]string{
			dlq.HeaderReason: "not_found", dlq.HeaderStream: "EVENTS", dlq.HeaderSequence: fmt.Sprint(m.Sequence),
			dlq.HeaderTime: m.Time.UTC().Format(time.RFC3339Nano), dlq.HeaderAttempts: "1", dlq.HeaderSubject: m.Subject,
		} {
			letter.Header.Set(name, v)
		}
		if _, err := a.source.JS.PublishMsg(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	e, err := ReadEvent(t.Context(), a.source, "dead")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range e.Letters {
		got = append(got, l.Letter)
	}
	if diff := cmp.Diff([]string{subject, subject + ".night"}, got); diff != "" || len(e.Receipts) != 2 {
		t.Errorf("%d receipts, letters (-want +got):\n%s", len(e.Receipts), diff)
	}

	// Letters that cannot be counted in time are told to be more.
	for patience, want := range map[time.Duration]DeadLetters{
		time.Minute: {Total: 2, ByReason: map[outcome.Reason]int{outcome.NotFound: 2}},
		0:           {More: true, ByReason: map[outcome.Reason]int{}},
	} {
		got, err := a.source.deadLetters(t.Context(), patience)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("in %s: %v (-want +got):\n%s", patience, err, diff)
		}
	}
}
