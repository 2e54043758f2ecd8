package integration_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
)

// TestLeaderLost has two replicas of the program on a cluster of three NATS
// servers, and takes away the one that leads the event stream while events are
// being filled: first for a while, then for good. What is provisioned has three
// replicas, so nothing is lost, and a program can start with two of them.
func TestLeaderLost(t *testing.T) {
	t.Parallel()
	const part = 30 // of the events: before, without and after the server, and without another
	w := newWorld(t, nil)
	cluster := natstest.StartCluster(t, 3)
	w.js = cluster.JetStream(t) // from here on, in place of the single server
	rule := lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.Latency, For: 200 * time.Millisecond}
	if _, err := w.lota.AddRule(rule); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.run(t, "NATS_URL="+cluster.URL(), "PRESTAGE_CONCURRENCY=5")
	}
	w.replicated(t, 3)

	events := w.tellSurely(t, 0, part)
	lost := cluster.StopLeader(t, "EVENTS")
	events = append(events, w.tellSurely(t, part, 2*part)...)
	cluster.Restart(t, lost)
	events = append(events, w.tellSurely(t, 2*part, 3*part)...)
	w.replicated(t, 3)

	cluster.StopLeader(t, "EVENTS")
	w.run(t, "NATS_URL="+cluster.URL())
	events = append(events, w.tellSurely(t, 3*part, 4*part)...)
	for _, e := range events {
		w.ends(t, e.sent, "warm")
	}
	w.checkInvariants(t, events, "cwlota.com", len(events))
}

// tellSurely publishes events about objects of their own. Each is stored once,
// however often that has to be tried: what a server got before it was lost is
// never answered.
func (w *world) tellSurely(t *testing.T, from, to int) []told {
	t.Helper()
	var events []told
	for i := from; i < to; i++ {
		key := fmt.Sprintf("run-7/shard-%03d.pt", i)
		w.put(key)
		e := told{sent: sent{cluster: "default", id: fmt.Sprintf("event-%d", i), source: source}, end: warm, asks: []string{uri(key)}}
		e.name = e.id
		m := checkpointEvent(t, e.id, map[string]any{"uri": uri(key)})
		m.Header.Set(nats.MsgIdHdr, e.id)
		eventually(t, "the stream takes "+e.id, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			ack, err := w.js.PublishMsg(ctx, m)
			if err == nil {
				e.seq = ack.Sequence
			}
			return err
		})
		events = append(events, e)
	}
	return events
}

// replicated waits until all that the program provisions has n replicas, and a
// leader that sees them.
func (w *world) replicated(t *testing.T, n int) {
	t.Helper()
	whole := func(what string, info *jetstream.ClusterInfo) error {
		if info == nil || info.Leader == "" || len(info.Replicas) != n-1 {
			return fmt.Errorf("%s: %+v", what, info)
		}
		for _, r := range info.Replicas {
			if r.Offline || !r.Current {
				return fmt.Errorf("%s: replica %+v", what, r)
			}
		}
		return nil
	}
	eventually(t, fmt.Sprintf("there are %d replicas of everything", n), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		for _, name := range []string{"EVENTS", resultsStream, lettersStream, "KV_" + receiptsBucket, "KV_prestage_objects"} {
			s, err := w.js.Stream(ctx, name)
			if err != nil {
				return fmt.Errorf("stream %s: %w", name, err)
			}
			if err := whole(name, s.CachedInfo().Cluster); err != nil {
				return err
			}
		}
		for _, name := range []string{checkpointDurable, modelDurable} {
			c, err := w.js.Consumer(ctx, "EVENTS", name)
			if err != nil {
				return fmt.Errorf("consumer %s: %w", name, err)
			}
			if err := whole(name, c.CachedInfo().Cluster); err != nil {
				return err
			}
		}
		return nil
	})
}
