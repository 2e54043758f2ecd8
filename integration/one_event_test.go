package integration_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestOneEventOneFill follows one event of each lane from the stream to the
// records of its end.
func TestOneEventOneFill(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		subject string
		durable string
		message func(t *testing.T) *nats.Msg
	}{
		"a checkpoint in structured mode": {
			subject: checkpointSubject + ".run-7", durable: checkpointDurable,
			message: func(t *testing.T) *nats.Msg {
				t.Helper()
				return checkpointEvent(t, "event-1", map[string]any{"uri": uri("run 7/last+1.ckpt")})
			},
		},
		"a model in binary mode": {
			subject: modelSubject, durable: modelDurable,
			message: func(*testing.T) *nats.Msg {
				return &nats.Msg{
					Header: nats.Header{
						"ce-specversion": {"1.0"}, "ce-type": {"ai.model.published.v1"}, "ce-source": {source},
						"ce-id": {"event-1"}, "ce-time": {"2026-11-20T10:00:00Z"}, "Content-Type": {"application/json"},
					},
					Data: []byte(`{"uri": "s3://ckpt/run 7/last+1.ckpt"}`),
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.put("run 7/last+1.ckpt")
			w.run(t)
			m := tt.message(t)
			m.Subject = tt.subject
			s := sent{cluster: "default", id: "event-1", source: source, seq: w.publish(t, m)}

			got := w.ends(t, s, "warm")
			w.checkWarmReceipt(t, s, got)
			if info := w.settledOn(t, tt.durable); info.AckFloor.Stream != s.seq || info.Delivered.Consumer != 1 {
				t.Errorf("ack floor %d after %d deliveries, want %d after 1", info.AckFloor.Stream, info.Delivered.Consumer, s.seq)
			}
			w.checkOnlyRequest(t)
			w.checkWarmedResult(t, s, got)
			w.lota.mustHave(t, "run 7/last+1.ckpt", "")
		})
	}
}

func (w *world) checkWarmReceipt(t *testing.T, s sent, got receipt) {
	t.Helper()
	stored := w.storedAt(t, s.seq).Time
	want := receipt{
		EventID: s.id, Source: s.source, Cluster: s.cluster, Outcome: "warm", Verdict: "accepted",
		Objects: counts{Total: 1, Filled: 1}, Bytes: large, EventTime: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC),
		Attempts: 1, Stream: "EVENTS", StreamSeq: s.seq, StreamTime: stored,
	}
	ignored := cmpopts.IgnoreFields(receipt{}, "Received", "WarmAt", "Seconds", "revision")
	if diff := cmp.Diff(want, got, ignored, cmpopts.EquateEmpty(), cmp.AllowUnexported(receipt{})); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	if seconds := got.WarmAt.Sub(stored).Seconds(); got.Seconds != seconds || seconds <= 0 {
		t.Errorf("event_to_warm_seconds is %v, want the %v between stream_time and warm_at", got.Seconds, seconds)
	}
	if got.Received.Before(stored.Add(-time.Second)) || got.Received.After(got.WarmAt) {
		t.Errorf("received at %s, want it between %s and %s", got.Received, stored, got.WarmAt)
	}
}

// checkOnlyRequest wants the one ranged HEAD to be all that was ever asked for,
// on any listener. That it succeeded says that its signature is valid.
func (w *world) checkOnlyRequest(t *testing.T) {
	t.Helper()
	want := []lotasim.Request{{
		Seq: 1, Listener: lotasim.ListenerLOTA, Method: "HEAD", Host: "ckpt.cwlota.com", Bucket: bucket,
		Key: "run 7/last+1.ckpt", URI: "/run%207/last%2B1.ckpt", Range: "bytes=0-0", RangeSigned: true,
		AccessKeyID: accessKey, Status: 206, ETag: w.lota.Truth(bucket, "run 7/last+1.ckpt").ETag, Filled: lotasim.FillStarted, Done: true,
	}}
	ignored := cmpopts.IgnoreFields(lotasim.Request{}, "Time", "Duration")
	if diff := cmp.Diff(want, w.lota.History(lotasim.Filter{}), ignored); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func (w *world) checkWarmedResult(t *testing.T, s sent, r receipt) {
	t.Helper()
	if diff := cmp.Diff(map[string]uint64{s.subject("warmed"): 1}, w.subjects(t, resultsStream)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if got := w.subjects(t, lettersStream); len(got) > 0 {
		t.Errorf("dead letters: %v", got)
	}
	m := w.last(t, resultsStream, s.subject("warmed"))
	var event struct {
		SpecVersion, Type, Source, ID string
		Data                          receipt
	}
	if err := json.Unmarshal(m.Data, &event); err != nil {
		t.Fatal(err)
	}
	if event.SpecVersion != "1.0" || event.Type != "ai.cache.warmed.v1" || event.Source == "" || event.ID == "" {
		t.Errorf("result is no CloudEvent of its type: %s", m.Data)
	}
	if got := m.Header.Get("Content-Type"); got != "application/cloudevents+json" {
		t.Errorf("result has the content type %q", got)
	}
	event.Data.revision = r.revision
	if diff := cmp.Diff(r, event.Data, cmp.AllowUnexported(receipt{})); diff != "" {
		t.Errorf("result's data (-receipt +got):\n%s", diff)
	}
}
