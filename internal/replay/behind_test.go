package replay

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

type openGate struct{}

func (openGate) Wait(ctx context.Context) error { return ctx.Err() }

func TestIsBusy(t *testing.T) {
	t.Parallel()
	now := time.Now()
	delivered := func(ago time.Duration) jetstream.SequenceInfo {
		at := now.Add(-ago)
		return jetstream.SequenceInfo{Consumer: 7, Last: &at}
	}
	for name, tt := range map[string]struct {
		lane jetstream.ConsumerInfo
		want bool
	}{
		"a backlog that is worked at":      {jetstream.ConsumerInfo{NumPending: 1, Delivered: delivered(time.Second)}, true},
		"all in hand is slow":              {jetstream.ConsumerInfo{NumPending: 1, NumAckPending: 64, Delivered: delivered(29 * time.Second)}, true},
		"nobody takes it any more":         {jetstream.ConsumerInfo{NumPending: 1, NumAckPending: 64, Delivered: delivered(time.Minute)}, false},
		"nobody ever took anything":        {jetstream.ConsumerInfo{NumPending: 1}, false},
		"paused":                           {jetstream.ConsumerInfo{NumPending: 1, Delivered: delivered(time.Second), Paused: true}, false},
		"it has all that it wants in hand": {jetstream.ConsumerInfo{NumAckPending: 64, Delivered: delivered(0)}, false},
	} {
		tt.lane.TimeStamp = now
		if got := isBusy(&tt.lane); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestBehind: a live lane with a backlog that somebody works at goes first, until
// that is taken; one that nobody serves does not hold up.
func TestBehind(t *testing.T) {
	t.Parallel()
	b, cons := watched(t, 3)
	ctx := t.Context()
	if err := b.Wait(ctx); err != nil {
		t.Fatalf("nobody serves the lane: %v", err)
	}
	take := func() {
		t.Helper()
		if _, err := cons.Next(); err != nil {
			t.Fatal(err)
		}
	}
	take()
	closed := func() bool { // for longer than a step of the walking pace
		at, stop := context.WithTimeout(ctx, 20*time.Second/walking)
		defer stop()
		return b.hold(at) != nil
	}
	for deadline := time.Now().Add(20 * time.Second); !closed(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the lane is served, and nobody waits for it")
		}
	}
	take()
	take()
	if err := b.Wait(ctx); err != nil {
		t.Error(err)
	}
}

// TestFillsWaitForLiveWork: what a replay has in hand is not asked for while the
// live lanes go first, and goes on at once after that.
func TestFillsWaitForLiveWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &behind{Gate: openGate{}}
		p := paced{newMeter(0, 0, func() {}), b}
		if !fill(t.Context(), p, 1, 1) {
			t.Fatal("refused although nothing waits")
		}
		b.set(true)
		b.set(true) // looked at once more
		filled := make(chan bool, 1)
		go func() { filled <- fill(t.Context(), p, 1, 1) }()
		time.Sleep(time.Hour) // of the bubble's clock
		synctest.Wait()
		if n, _ := p.read(); n != 1 {
			t.Fatalf("%d fills beside live work that waits", n)
		}
		stopped := errors.New("stopped")
		ctx, stop := context.WithCancelCause(t.Context())
		stop(stopped)
		if _, err := p.Start(ctx, 1); !errors.Is(err, stopped) {
			t.Errorf("got %v", err)
		}
		began := time.Now()
		b.set(false)
		if !<-filled || time.Since(began) > 0 {
			t.Errorf("not filled at once, after %v", time.Since(began))
		}
	})
}

// watched is a gate that looks at a stream of n messages, of whose consumers one
// exists.
func watched(t *testing.T, n int) (*behind, jetstream.Consumer) {
	t.Helper()
	s, _ := newStream(t, n)
	cons, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "live", AckPolicy: jetstream.AckNonePolicy})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &behind{Gate: openGate{}}
	b.walk()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.watch(ctx, s, []string{"live", "there is none"})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return b, cons
}

// TestWalks: while the live lanes keep up with a lot, a replay goes slowly.
func TestWalks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		took := func(b *behind, n int) time.Duration {
			began := time.Now()
			for range n {
				if err := b.hold(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(began)
		}
		b := new(behind)
		b.walk()
		if d := took(b, walking+1); d != time.Second { // nobody has looked yet
			t.Errorf("%d passed in %s", walking+1, d)
		}
		b.walks.Store(false)
		if d := took(b, walking); d != 0 {
			t.Errorf("with nobody before it: %s", d)
		}
		b.walks.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.hold(ctx); err == nil {
			t.Error("passed after the end")
		}
	})
}

// TestWalksBesideLiveLanes: it is the lanes' deliveries that tell.
func TestWalksBesideLiveLanes(t *testing.T) {
	t.Parallel()
	b, cons := watched(t, 200)
	until := func(walks bool, meanwhile func()) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); b.walks.Load() != walks; time.Sleep(20 * time.Millisecond) {
			meanwhile()
			if time.Now().After(deadline) {
				t.Fatalf("walks: %t", !walks)
			}
		}
	}
	until(false, func() {})
	until(true, func() {
		msgs, err := cons.Fetch(hurried, jetstream.FetchMaxWait(100*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		for range msgs.Messages() {
		}
	})
	until(false, func() {})
}
