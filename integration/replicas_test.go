package integration_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestTwoReplicas gives two replicas more events than one of them takes at a
// time, and then events about the same objects once more.
func TestTwoReplicas(t *testing.T) {
	t.Parallel()
	const objects = 100 // more than the 64 messages of one replica
	w := newWorld(t, nil)
	hold, err := w.lota.Hold(lotasim.Match{Ranged: true})
	if err != nil {
		t.Fatal(err)
	}
	replicas := []*program{w.run(t), w.run(t)}
	var keys []string
	for i := range objects {
		keys = append(keys, fmt.Sprintf("run-7/shard-%03d.pt", i))
	}
	w.put(keys...)

	var events []sent
	for i, key := range keys {
		events = append(events, w.object(t, fmt.Sprintf("first-%d", i), key))
	}
	w.held(t, objects)
	hold.Release()
	for _, s := range events {
		w.ends(t, s, "warm")
	}
	w.settled(t)
	w.lota.mustHaveAsked(t, once(keys...))
	for i, p := range replicas {
		if n := p.metric(t, `prestage_events_total{lane="checkpoint",outcome="warm"}`); n == 0 {
			t.Errorf("replica %d did nothing", i)
		}
	}

	for i, key := range keys {
		r := w.ends(t, w.object(t, fmt.Sprintf("second-%d", i), key), "warm")
		if diff := cmp.Diff(counts{Total: 1, AlreadyWarm: 1}, r.Objects); diff != "" {
			t.Fatalf("counts of an object on record (-want +got):\n%s", diff)
		}
	}
	w.lota.mustHaveAsked(t, once(keys...))
}

// TestTwoClusters has two clusters share NATS and the store, but no cache.
func TestTwoClusters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt")
	west := newLOTA(t, w.store.Backends(), nil)
	w.run(t, "PRESTAGE_CLUSTER=east")
	w.run(t, "PRESTAGE_CLUSTER=west", "LOTA_DIAL="+west.server.LOTAAddr())

	s := w.object(t, "event-1", "last.ckpt")
	results := make(map[string]uint64)
	for cluster, cache := range map[string]*lota{"east": w.lota, "west": west} {
		s.cluster = cluster
		r := w.ends(t, s, "warm")
		if diff := cmp.Diff(counts{Total: 1, Filled: 1}, r.Objects); diff != "" || r.Cluster != cluster {
			t.Errorf("receipt of cluster %q, counts (-want +got):\n%s", r.Cluster, diff)
		}
		w.settledOn(t, "prestage-"+cluster+"-checkpoint")
		cache.mustHaveAsked(t, once("last.ckpt"))
		cache.mustHave(t, "last.ckpt", "")
		results[s.subject("warmed")] = 1
	}
	if diff := cmp.Diff(results, w.subjects(t, resultsStream)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// TestFrozenReplica stops a replica in the middle of a fill for longer than
// AckWait. Another one finishes its event; when it wakes up it adds nothing.
func TestFrozenReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt")
	hold, err := w.lota.Hold(lotasim.Match{Ranged: true})
	if err != nil {
		t.Fatal(err)
	}
	frozen := w.run(t, "PRESTAGE_ACK_WAIT=5s")
	s := w.object(t, "event-1", "last.ckpt")
	arrived(t, hold)
	frozen.signal(t, syscall.SIGSTOP)
	other := w.run(t, "PRESTAGE_ACK_WAIT=5s")
	arrived(t, hold) // the other's request: AckWait is over
	if info := w.durable(t, checkpointDurable); info.Delivered.Consumer != 2 {
		t.Errorf("%d deliveries, want 2", info.Delivered.Consumer)
	}
	hold.Release()

	before := w.ends(t, s, "warm")
	w.settled(t)
	frozen.signal(t, syscall.SIGCONT)
	for _, p := range []*program{frozen, other} {
		eventually(t, "both replicas have come to the event's end", func() error {
			if len(p.logged("event")) == 0 {
				return fmt.Errorf("process %d has not", p.cmd.Process.Pid)
			}
			return nil
		})
		p.stop(t)
	}

	after := w.ends(t, s, "warm")
	if diff := cmp.Diff(before, after, cmp.AllowUnexported(receipt{})); diff != "" {
		t.Errorf("the receipt was changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]uint64{s.subject("warmed"): 1}, w.subjects(t, resultsStream)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	w.settled(t)
	w.lota.mustHave(t, "last.ckpt", "")
}

// arrived waits for the next request that is held.
func arrived(t *testing.T, h *lotasim.Hold) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- h.Arrived(t.Context()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatalf("no request was held within %s", patience)
	}
}
