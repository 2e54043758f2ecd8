package consumer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// fakeMsg is a message in hand that only beats.
type fakeMsg struct {
	jetstream.Msg
	beat func() error

	mu    sync.Mutex
	beats []time.Time
}

func (*fakeMsg) Reply() string { return "$JS.ACK.x" }

func (m *fakeMsg) InProgress() error {
	m.mu.Lock()
	m.beats = append(m.beats, time.Now())
	m.mu.Unlock()
	if m.beat != nil {
		return m.beat()
	}
	return nil
}

func (m *fakeMsg) times() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.beats)
}

func ackWaitOf(d time.Duration) *ackWait {
	a := &ackWait{}
	a.set(d)
	return a
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"": nil, "a lost beat is no reason to stop": errors.New("lost")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const ackWait = 30 * time.Second
				m := &fakeMsg{beat: func() error { return err }}
				last := time.Now()
				stop := keepAlive(t.Context(), &delivery{msg: m}, ackWaitOf(ackWait), slog.New(slog.DiscardHandler))
				time.Sleep(10 * ackWait)
				synctest.Wait()
				beats := m.times()
				if len(beats) < 30 {
					t.Errorf("%d beats in ten times the AckWait", len(beats))
				}
				for _, at := range beats {
					if gap := at.Sub(last); gap > ackWait/3 || gap < ackWait/4 {
						t.Errorf("a beat after %s, AckWait is %s", gap, ackWait)
					}
					last = at
				}
				stop()
				time.Sleep(10 * ackWait)
				if n := len(m.times()); n != len(beats) {
					t.Errorf("%d beats after the stop", n-len(beats))
				}
			})
		})
	}
}

func TestKeepAliveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := &fakeMsg{}
		stop := keepAlive(ctx, &delivery{msg: m}, ackWaitOf(30*time.Second), slog.New(slog.DiscardHandler))
		cancel()
		time.Sleep(time.Minute)
		if n := len(m.times()); n != 0 {
			t.Errorf("%d beats", n)
		}
		stop()
	})
}

// TestKeepAliveStopJoins: whoever settles must be the message's only owner.
func TestKeepAliveStopJoins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		beating, finish := make(chan struct{}), make(chan struct{})
		m := &fakeMsg{beat: func() error {
			close(beating)
			<-finish
			return nil
		}}
		stop := keepAlive(t.Context(), &delivery{msg: m}, ackWaitOf(30*time.Second), slog.New(slog.DiscardHandler))
		<-beating
		stopped := make(chan struct{})
		go func() {
			stop()
			close(stopped)
		}()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("stopped in the middle of a beat")
		default:
		}
		close(finish)
		<-stopped
	})
}

// TestKeepAliveFollows: another replica changes the consumer's AckWait while a
// message is in hand.
func TestKeepAliveFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, wait := &fakeMsg{}, ackWaitOf(10*time.Minute)
		stop := keepAlive(t.Context(), &delivery{msg: m}, wait, slog.New(slog.DiscardHandler))
		defer stop()
		time.Sleep(time.Minute)
		for _, ackWait := range []time.Duration{30 * time.Second, 5 * time.Second, 20 * time.Minute, 30 * time.Second} {
			before, last := len(m.times()), time.Now()
			wait.set(ackWait)
			time.Sleep(ackWait)
			synctest.Wait()
			beats := m.times()[before:]
			if len(beats) < 3 {
				t.Errorf("%d beats in an AckWait of %s", len(beats), ackWait)
			}
			for _, at := range beats {
				if gap := at.Sub(last); gap > ackWait/3 {
					t.Errorf("a beat after %s, AckWait is %s", gap, ackWait)
				}
				last = at
			}
		}
	})
}
