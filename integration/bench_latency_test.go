package integration_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
)

const (
	benchStream       = "BENCH"
	subscriberSubject = "bench.subscriber"
	pullerSubject     = "bench.puller"
)

// latencySample is a turn: percentiles in milliseconds from just before the
// publish to the arrival of the HEAD.
type latencySample struct{ p50, p99 float64 }

// latencyResult is all turns.
type latencyResult struct {
	names   []string
	samples [][]latencySample
}

// benchLatency publishes one event after the other, each to one contender, and
// waits for its HEAD. All contenders are up all the time, in processes of
// their own.
func benchLatency(t *testing.T, e effort) latencyResult {
	t.Helper()
	heads := make(chan time.Time, 1)
	lota := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		answerRanged(w, r)
		if r.Header.Get("Range") != "" {
			heads <- at
		}
	}))
	t.Cleanup(lota.Close)
	dial := strings.TrimPrefix(lota.URL, "http://")
	w := &world{nats: natstest.Start(t)}
	w.js = w.nats.JetStream(t)
	if _, err := w.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: benchStream, Subjects: []string{"bench.>"}}); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"nats.go subscriber", "nats.go pull, DoubleAck"} {
		child(t, part, natsVariable+"="+w.nats.URL(), dialVariable+"="+dial)
	}
	launch(t, plainBuild, w.environOf(t, dial)).ready(t)

	published := 0
	turn := func(subject string) func(*testing.T) latencySample {
		return func(t *testing.T) latencySample {
			t.Helper()
			took := make([]time.Duration, e.events)
			for i := range took {
				published++
				m := &nats.Msg{Subject: subject, Data: fmt.Appendf(nil, `{"uri":"s3://bench/run-7/%d"}`, published)}
				before := time.Now()
				w.publish(t, m)
				select {
				case at := <-heads:
					took[i] = at.Sub(before)
				case <-time.After(patience):
					t.Fatalf("no HEAD for event %d on %s", published, subject)
				}
			}
			return percentiles(took)
		}
	}
	contenders := []contender[latencySample]{
		{"nats.go subscriber, no ack", turn(subscriberSubject)},
		{"nats.go pull consumer, DoubleAck", turn(pullerSubject)},
		{"prestage run", turn(checkpointSubject)},
	}
	result := latencyResult{samples: inRounds(t, e.rounds, contenders)}
	for _, c := range contenders {
		result.names = append(result.names, c.name)
	}
	return result
}

func percentiles(took []time.Duration) latencySample {
	slices.Sort(took)
	at := func(percent int) float64 {
		return float64(took[(len(took)-1)*percent/100].Microseconds()) / 1000
	}
	return latencySample{p50: at(50), p99: at(99)}
}
