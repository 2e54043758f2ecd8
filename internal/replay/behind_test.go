package replay

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

type openGate struct{}

func (openGate) Wait(ctx context.Context) error { return ctx.Err() }

// TestBehind: a live lane with a backlog that somebody works at goes first; one
// that nobody serves does not hold up.
func TestBehind(t *testing.T) {
	t.Parallel()
	s, _ := newStream(t, 500)
	cons, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "live", AckPolicy: jetstream.AckNonePolicy})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &behind{Gate: openGate{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.watch(ctx, s, []string{"live", "there is none"})
	}()
	defer func() {
		cancel()
		<-ended
	}()
	if err := b.Wait(ctx); err != nil || b.busy.Load() {
		t.Fatalf("nobody serves the lane: %v", err)
	}
	for deadline := time.Now().Add(20 * time.Second); !b.busy.Load(); {
		if _, err := cons.Next(); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the lane is served, and nobody waits for it")
		}
		time.Sleep(50 * time.Millisecond)
	}
	waiting, stop := context.WithCancel(ctx)
	time.AfterFunc(10*time.Millisecond, stop)
	if err := b.Wait(waiting); err == nil && b.busy.Load() {
		t.Error("went first")
	}
	if err := b.Wait(ctx); err != nil { // once nobody serves it any more
		t.Error(err)
	}
}
