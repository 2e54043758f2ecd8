package integration_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestClusterLosesServers has two replicas of the program on a cluster of three
// NATS servers and kills servers while events are being filled: the one that
// leads the event stream, then two at once, so that nobody leads anything, and at
// last the leader again, for good. What is provisioned has three replicas, so
// nothing is lost, and a program can start with two servers.
func TestClusterLosesServers(t *testing.T) {
	t.Parallel()
	const part = 30 // of the events: before, without and after a server, and so on
	w := newWorld(t, nil)
	cluster := startCluster(t)
	settings := w.environ(t, "NATS_URL="+cluster.url(), "PRESTAGE_CONCURRENCY=5", "PRESTAGE_ACK_WAIT=5s")
	w.useCluster(t, cluster)
	rule := lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.Latency, For: 200 * time.Millisecond}
	if _, err := w.lota.AddRule(rule); err != nil {
		t.Fatal(err)
	}
	var programs []*program
	for range 2 {
		programs = append(programs, launch(t, raceBuild, settings).ready(t))
	}
	w.replicated(t, 3)
	events := w.tellSurely(t, 0, part)

	lost := cluster[w.leader(t, "EVENTS")]
	lost.kill()
	events = append(events, w.tellSurely(t, part, 2*part)...)
	lost.launch()
	w.replicated(t, 3)

	events = append(events, w.tellSurely(t, 2*part, 3*part)...)
	minority := cluster.others(w.leader(t, "EVENTS"))
	for _, s := range minority {
		s.kill()
	}
	for _, p := range programs {
		w.staysCalm(t, p, 6*time.Second) // each in turn: longer than AckWait
	}
	for _, s := range minority {
		s.launch()
	}
	events = append(events, w.tellSurely(t, 3*part, 4*part)...)
	w.replicated(t, 3)

	cluster[w.leader(t, "EVENTS")].kill()
	launch(t, raceBuild, settings).ready(t)
	events = append(events, w.tellSurely(t, 4*part, 5*part)...)
	for _, e := range events {
		if r := w.ends(t, e.sent, "warm"); r.Attempts != 1 {
			t.Errorf("event %s took %d attempts, want 1", e.id, r.Attempts)
		}
	}
	w.checkInvariants(t, events, "cwlota.com", len(events))
}

// useCluster makes c the world's NATS, in place of the server that it has.
func (w *world) useCluster(t *testing.T, c natsCluster) {
	t.Helper()
	w.nats.Stop()
	w.nats = nil
	nc, err := nats.Connect(c.url(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster has a leader", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := w.js.AccountInfo(ctx)
		return err
	})
}

// leader is the name of the server that leads a stream.
func (w *world) leader(t *testing.T, stream string) string {
	t.Helper()
	s, err := w.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Cluster.Leader
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
