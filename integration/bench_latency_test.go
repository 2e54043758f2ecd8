package integration_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
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
	type head struct {
		path string
		at   time.Time
	}
	heads := make(chan head, 64) // a confirmation may ask once more, and nobody waits for that
	var replayed atomic.Int64
	lota := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		answerRanged(w, r)
		switch {
		case r.Header.Get("Range") == "":
		case strings.HasPrefix(r.URL.Path, "/history/"):
			replayed.Add(1)
		default:
			select {
			case heads <- head{r.URL.Path, at}:
			case <-r.Context().Done():
			}
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
	w.benchHistory(t, e.history)

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
				for took[i] == 0 {
					select {
					case h := <-heads:
						if h.path == fmt.Sprintf("/run-7/%d", published) {
							took[i] = h.at.Sub(before)
						}
					case <-time.After(patience):
						t.Fatalf("no HEAD for event %d on %s", published, subject)
					}
				}
			}
			return percentiles(took)
		}
	}
	// besideReplay is a turn while a replay goes on, from its first HEAD to after
	// the turn's last.
	besideReplay := func(t *testing.T) latencySample {
		t.Helper()
		name := fmt.Sprintf("bench-%d", published)
		before := replayed.Load()
		p := launch(t, plainBuild, w.environOf(t, dial), "replay", "--name", name, "--force", "--to-seq", strconv.Itoa(e.history))
		eventually(t, "the replay has begun", func() error {
			if replayed.Load() == before {
				return errors.New("it has not asked for anything")
			}
			return nil
		})
		sample := turn(checkpointSubject)(t)
		if e.history > e.events { // else it may well have ended
			select {
			case <-p.exited:
				t.Fatalf("the replay of %d events ended before the turn", e.history)
			default:
			}
		}
		p.kill(t)
		return sample
	}
	contenders := []contender[latencySample]{
		{"nats.go subscriber, no ack", turn(subscriberSubject)},
		{"nats.go pull consumer, DoubleAck", turn(pullerSubject)},
		{"prestage run", turn(checkpointSubject)},
		{"prestage run, beside a replay", besideReplay},
	}
	result := latencyResult{samples: inRounds(t, e.rounds, contenders)}
	for _, c := range contenders {
		result.names = append(result.names, c.name)
	}
	return result
}

// benchHistory publishes n events and waits until they are warm.
func (w *world) benchHistory(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		w.publish(t, &nats.Msg{Subject: checkpointSubject, Data: fmt.Appendf(nil, `{"uri":"s3://bench/history/%d"}`, i)})
	}
	w.settled(t)
}

func percentiles(took []time.Duration) latencySample {
	slices.Sort(took)
	at := func(percent int) float64 {
		return float64(took[(len(took)-1)*percent/100].Microseconds()) / 1000
	}
	return latencySample{p50: at(50), p99: at(99)}
}
