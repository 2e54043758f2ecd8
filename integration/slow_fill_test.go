package integration_test

import (
	"testing"
	"time"
)

// TestNotAckedBeforeTheFillEnds holds a fill on an endpoint that answers when
// the fill is done.
func TestNotAckedBeforeTheFillEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, synchronous)
	w.put("last.ckpt")
	hold := w.lota.holdFills(t)
	w.run(t)
	s := w.object(t, "slow", "last.ckpt")
	w.lota.filling(t, 1)

	w.stillInHand(t, s, 3*time.Second)
	released := time.Now()
	hold.Release()

	if r := w.ends(t, s, "warm"); r.WarmAt.Before(released) {
		t.Errorf("warm at %s, but the fill ended after %s", r.WarmAt, released)
	}
	w.settled(t)
	w.lota.mustHave(t, "last.ckpt", "")
}

// TestFillOfThreeAckWaits shows that heartbeats keep the message in hand.
func TestFillOfThreeAckWaits(t *testing.T) {
	t.Parallel()
	const ackWait = 5 * time.Second
	w := newWorld(t, synchronous)
	w.put("last.ckpt")
	hold := w.lota.holdFills(t)
	w.run(t, "PRESTAGE_ACK_WAIT="+ackWait.String())
	if got := w.durable(t, checkpointDurable).Config.AckWait; got != ackWait {
		t.Fatalf("AckWait is %s, want %s", got, ackWait)
	}
	s := w.object(t, "slow", "last.ckpt")
	w.lota.filling(t, 1)

	w.stillInHand(t, s, 3*ackWait)
	hold.Release()

	w.ends(t, s, "warm")
	if info := w.settled(t); info.Delivered.Consumer != 1 {
		t.Errorf("%d deliveries, want 1", info.Delivered.Consumer)
	}
	w.lota.mustHaveAsked(t, once("last.ckpt"))
}

// stillInHand checks for d that the one message is neither acked nor delivered
// again, and that nothing is said about its end.
func (w *world) stillInHand(t *testing.T, s sent, d time.Duration) {
	t.Helper()
	throughout(t, d, func() {
		info := w.durable(t, checkpointDurable)
		if info.NumAckPending != 1 || info.AckFloor.Stream != 0 || info.Delivered.Consumer != 1 {
			t.Errorf("%d in hand, ack floor %d, %d deliveries, want 1, 0 and 1",
				info.NumAckPending, info.AckFloor.Stream, info.Delivered.Consumer)
		}
		if r, found := w.receipt(t, s); found && r.Outcome != "pending" {
			t.Errorf("the receipt says %s already", r.Outcome)
		}
	})
}
