package natstest_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
)

// TestClusterOutlivesItsLeader loses the leader of a stream, and has it back.
func TestClusterOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := natstest.StartCluster(t, 3)
	js := c.JetStream(t)
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	if info := s.CachedInfo(); info.Config.Replicas != 3 || len(info.Cluster.Replicas) != 2 {
		t.Errorf("%d replicas, of them followers: %v", info.Config.Replicas, info.Cluster.Replicas)
	}
	before := s.CachedInfo().Cluster.Leader
	publish(t, js, "one")

	stopped := c.StopLeader(t, "S")
	publish(t, js, "two")
	info, err := s.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.State.Msgs != 2 || info.Cluster.Leader == before {
		t.Errorf("%d messages, the leader is %s as before", info.State.Msgs, info.Cluster.Leader)
	}
	c.Restart(t, stopped)
	if next := c.StopLeader(t, "S"); next == stopped {
		t.Error("a stopped server led the stream")
	}
	publish(t, js, "three")
}

// publish stores a message once, however often that has to be tried: what a
// leader got before it was lost is never answered.
func publish(t *testing.T, js jetstream.JetStream, id string) {
	t.Helper()
	var err error
	for range 30 {
		try, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err = js.Publish(try, "s", nil, jetstream.WithMsgID(id))
		cancel()
		if err == nil {
			return
		}
	}
	t.Fatalf("publish %s: %v", id, err)
}
