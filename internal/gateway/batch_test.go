package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/publish"
)

// farAway is a stream whose every acknowledgement takes a while.
type farAway struct{ jetstream.JetStream }

func (f farAway) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	time.Sleep(100 * time.Millisecond)
	return f.JetStream.PublishMsg(ctx, m, opts...)
}

// TestBatchToAStreamFarAway: a whole batch is stored within the time that one
// request has, or whoever sends it again would never come to an end.
func TestBatchToAStreamFarAway(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.link.Use(farAway{b.js})
	items := make([]string, maxBatch)
	for i := range items {
		items[i] = strings.Replace(structured, "step-100", fmt.Sprint("step-", i), 1)
	}
	a := b.post(t, "/v1/events", "["+strings.Join(items, ",")+"]", bearerHeader, "Content-Type: application/cloudevents-batch+json")
	if a.status != 202 || b.stored(t) != maxBatch {
		t.Errorf("status %d, %d stored: %.300s", a.status, b.stored(t), a.body)
	}
}

// TestEmptyBatch: the HTTP binding of CloudEvents allows one.
func TestEmptyBatch(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	a := b.post(t, "/v1/events", "[]", bearerHeader, "Content-Type: application/cloudevents-batch+json")
	if a.status != 202 || a.body != "[]\n" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var items []string
	for i := range 100 {
		items = append(items, strings.Replace(structured, "step-100", fmt.Sprint("step-", i), 1))
	}
	body := "[ " + strings.Join(items, ",\n ") + " ]"
	headers := []string{bearerHeader, "Content-Type: application/cloudevents-batch+json; charset=utf-8"}
	for _, duplicate := range []bool{false, true} {
		a := b.post(t, "/v1/events", body, headers...)
		var sent []publish.Sent
		if err := json.Unmarshal([]byte(a.body), &sent); err != nil || a.status != 202 || len(sent) != len(items) {
			t.Fatalf("status %d, %d events, %v: %s", a.status, len(sent), err, a.body)
		}
		for i, s := range sent {
			if s.ID != fmt.Sprint("run-7-step-", i) || s.Duplicate != duplicate {
				t.Errorf("event %d: %+v", i, s)
			}
			if m := b.message(t, s.Seq); string(m.Data) != items[i] || m.Header.Get("Content-Type") != "application/cloudevents+json" {
				t.Errorf("event %d: stored %v %s", i, m.Header, m.Data)
			}
		}
	}
	if n := b.stored(t); n != uint64(len(items)) {
		t.Errorf("%d messages are stored, want %d", n, len(items))
	}
}
