package consumer

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
)

func TestLag(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	look := func(what string, wantLag float64, oldest uint64) {
		t.Helper()
		if err := rig.lane.lag(t.Context(), rig.events, rig.cons); err != nil {
			t.Fatal(err)
		}
		if got := rig.value(t, "prestage_lag_messages", "checkpoint"); got != wantLag {
			t.Errorf("%s: lag %v, want %v", what, got, wantLag)
		}
		age := rig.value(t, "prestage_oldest_event_age_seconds", "checkpoint")
		if oldest == 0 {
			if age != 0 {
				t.Errorf("%s: age %v", what, age)
			}
			return
		}
		if want := time.Since(rig.timeOf(t, oldest)).Seconds(); age <= 0 || age > want || age < want-1 {
			t.Errorf("%s: age %v, want %v", what, age, want)
		}
	}
	look("nothing", 0, 0)
	first := rig.publish(t, oneObject)
	second := rig.publish(t, oneObject)
	look("two waiting", 2, first)
	d := rig.receive(t)
	look("one in hand, one waiting", 2, first)
	settle(t.Context(), rig.nc, d, Settlement{Action: Ack}, rig.lane.log)
	look("one waiting", 1, second)
	settle(t.Context(), rig.nc, rig.receive(t), Settlement{Action: Retry, Delay: time.Hour}, rig.lane.log)
	look("one waiting for its retry", 1, second)
}

// TestLagFilters: other lanes' messages are no lag of this one.
func TestLagFilters(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	ctx := t.Context()
	if _, err := rig.js.Publish(ctx, "events.model.published", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]jetstream.ConsumerConfig{
		"several": {FilterSubjects: []string{"events.checkpoint.written", "events.checkpoint.written.>"}},
		"one":     {FilterSubject: "events.checkpoint.>"},
	} {
		c.Durable, c.AckPolicy = name, jetstream.AckExplicitPolicy
		cons, err := rig.events.CreateConsumer(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := rig.lane.lag(ctx, rig.events, cons); err != nil {
			t.Fatal(err)
		}
		if got := rig.value(t, "prestage_lag_messages", "checkpoint"); got != 0 {
			t.Errorf("%s: lag %v", name, got)
		}
		seq := rig.publish(t, oneObject)
		info, err := cons.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		at, err := Oldest(ctx, rig.events, info)
		if err != nil || at.Before(rig.timeOf(t, 1)) || at.Equal(rig.timeOf(t, 1)) {
			t.Errorf("%s: oldest %s, the lane's own is of %s: %v", name, at, rig.timeOf(t, seq), err)
		}
		if err := rig.events.DeleteMsg(ctx, seq); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOldestMangled: headers that nobody can read hide the age, and nothing else.
func TestOldestMangled(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	natstest.PublishMangled(t, rig.nc, "events.checkpoint.written")
	eventually(t, "the event is stored", func() bool {
		info, err := rig.events.Info(t.Context())
		return err == nil && info.State.Msgs == 1
	})
	info, err := rig.cons.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if at, err := Oldest(t.Context(), rig.events, info); err != nil || !at.IsZero() {
		t.Errorf("%s, %v", at, err)
	}
}

func TestWatchLag(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	rig.publish(t, oneObject)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		rig.lane.WatchLag(ctx, rig.events, rig.cons)
	}()
	eventually(t, "the lag is known", func() bool { return rig.value(t, "prestage_lag_messages", "checkpoint") == 1 })
	if got, _ := rig.lane.ackWait.get(); got != 30*time.Second {
		t.Errorf("heartbeats are paced for an AckWait of %s", got)
	}
	cancel()
	soon(t, "the end", ended)
}
