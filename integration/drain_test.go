package integration_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// drainAckWait is so long that a message which comes back earlier was given
// back.
const drainAckWait = 30 * time.Second

// TestTerminatedWhileFilling ends the program with one fill under way and four
// events that wait for their turn. It lets the fill end.
func TestTerminatedWhileFilling(t *testing.T) {
	t.Parallel()
	w, p, events, hold := fiveEvents(t, "PRESTAGE_DRAIN_TIMEOUT=50s")
	terminated := time.Now()
	p.signal(t, syscall.SIGTERM)

	back := w.takeBack(t, 4)
	if waited := time.Since(terminated); waited > drainAckWait/2 {
		t.Errorf("the events that were not filling came back after %s, want that at once", waited)
	}
	select {
	case <-p.exited:
		t.Error("the program ended while a fill was under way and had time left")
	default:
	}
	if status, body, err := p.get(t, "/readyz"); err == nil && status != 503 {
		t.Errorf("/readyz while draining is %d %q, want 503", status, body)
	}
	hold.Release()
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	warm := 0
	for _, s := range events {
		if r, found := w.receipt(t, s); found {
			if r.Outcome != "warm" || back[s.seq] {
				t.Errorf("event %s: given back %t, receipt %+v", s.id, back[s.seq], r)
			}
			warm++
		}
	}
	if warm != 1 {
		t.Errorf("%d events have ended, want the one whose fill was under way", warm)
	}
}

// TestDrainTimeout ends the program with a fill under way that outlasts the
// drain. The fill is cut, and its event is given back as well.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	const drain = 3 * time.Second
	w, p, events, hold := fiveEvents(t, "PRESTAGE_DRAIN_TIMEOUT="+drain.String())
	terminated := time.Now()
	p.signal(t, syscall.SIGTERM)

	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if took := time.Since(terminated); took < drain || took > drain+10*time.Second {
		t.Errorf("the program ended %s after SIGTERM, want the drain time of %s and little more", took, drain)
	}
	hold.Release()
	w.run(t)
	for _, s := range events {
		if r := w.ends(t, s, "warm"); r.Attempts != 1 {
			t.Errorf("event %s took %d attempts, want 1: being cut is none", s.id, r.Attempts)
		}
	}
	w.settled(t)
	if took := time.Since(terminated); took > drainAckWait-drain {
		t.Errorf("all were warm %s after SIGTERM, which may be AckWait: want them given back", took)
	}
}

// TestSecondSignal does not wait for the drain.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	_, p, _, _ := fiveEvents(t, "PRESTAGE_DRAIN_TIMEOUT=10m")
	p.signal(t, syscall.SIGTERM)
	eventually(t, "the program drains", func() error {
		if _, body, err := p.get(t, "/readyz"); err != nil || body != "not ready: draining\n" {
			return fmt.Errorf("/readyz: %q, %w", body, err)
		}
		return nil
	})
	time.Sleep(200 * time.Millisecond) // one that comes at once is taken for the first
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t); code != 1 {
		t.Errorf("exit code %d, want 1: the drain was cut short", code)
	}
}

// fiveEvents runs a program that has one fill under way, which is held, and
// four more events in hand.
func fiveEvents(t *testing.T, settings ...string) (*world, *program, []sent, interface{ Release() }) {
	t.Helper()
	w := newWorld(t, synchronous)
	hold := w.lota.holdFills(t)
	p := w.run(t, append(settings, "PRESTAGE_CONCURRENCY=1", "PRESTAGE_ACK_WAIT="+drainAckWait.String())...)
	var events []sent
	for i := range 5 {
		key := fmt.Sprintf("shard-%d.pt", i)
		w.put(key)
		events = append(events, w.object(t, fmt.Sprintf("event-%d", i), key))
	}
	w.held(t, len(events))
	w.lota.filling(t, 1)
	return w, p, events, hold
}

// takeBack fetches n messages as another replica would, and returns their
// sequences. It holds on to them.
func (w *world) takeBack(t *testing.T, n int) map[uint64]bool {
	t.Helper()
	c, err := w.js.Consumer(t.Context(), "EVENTS", checkpointDurable)
	if err != nil {
		t.Fatal(err)
	}
	seqs := make(map[uint64]bool)
	eventually(t, fmt.Sprintf("%d messages are given back", n), func() error {
		batch, err := c.Fetch(n-len(seqs), jetstream.FetchMaxWait(time.Second))
		if err != nil {
			return err
		}
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				t.Fatal(err)
			}
			seqs[meta.Sequence.Stream] = true
		}
		if len(seqs) < n {
			return fmt.Errorf("%d were: %w", len(seqs), batch.Error())
		}
		return nil
	})
	return seqs
}
