package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/outcome"
)

func TestSettleAck(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	rig.publish(t, oneObject)
	d := rig.receive(t)
	settle(t.Context(), rig.nc, d, Settlement{Action: Ack}, rig.lane.log)
	if info := rig.info(t); info.NumAckPending != 0 || info.AckFloor.Stream != d.Seq { // already: it was confirmed
		t.Errorf("%d ack-pending, floor %d", info.NumAckPending, info.AckFloor.Stream)
	}
}

func TestSettleReject(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	advisories := make(chan *nats.Msg, 1)
	if _, err := rig.nc.ChanSubscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.EVENTS.lane", advisories); err != nil {
		t.Fatal(err)
	}
	rig.publish(t, "{broken")
	d := rig.receive(t)
	settle(t.Context(), rig.nc, d, Settlement{Action: Reject, Reason: outcome.Malformed}, rig.lane.log)
	if info := rig.info(t); info.NumAckPending != 0 || info.AckFloor.Stream != d.Seq {
		t.Errorf("%d ack-pending, floor %d", info.NumAckPending, info.AckFloor.Stream)
	}
	var got struct {
		Seq    uint64 `json:"stream_seq"`
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(soon(t, "the advisory", advisories).Data, &got); err != nil || got.Seq != d.Seq || got.Reason != "malformed" {
		t.Errorf("advisory: %+v, %v", got, err)
	}
}

func TestSettleRetryComesAfterItsDelay(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	rig.publish(t, oneObject)
	d := rig.receive(t)
	const delay = 800 * time.Millisecond
	begun := time.Now()
	settle(t.Context(), rig.nc, d, Settlement{Action: Retry, Delay: delay}, rig.lane.log)
	again := rig.receive(t)
	if took := time.Since(begun); took < delay || took > rig.ackWait()/2 {
		t.Errorf("came again after %s, want %s", took, delay)
	}
	if again.Seq != d.Seq || deliveries(t, again) != 2 {
		t.Errorf("message %d, delivery %d", again.Seq, deliveries(t, again))
	}
}

func TestSettleReleaseComesAtOnce(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	rig.publish(t, oneObject)
	d := rig.receive(t)
	begun := time.Now()
	settle(t.Context(), rig.nc, d, Settlement{Action: Release}, rig.lane.log)
	again := rig.receive(t)
	if took := time.Since(begun); took > rig.ackWait()/2 {
		t.Errorf("came again after %s", took)
	}
	if again.Seq != d.Seq || deliveries(t, again) != 2 {
		t.Errorf("message %d, delivery %d", again.Seq, deliveries(t, again))
	}
}

func TestSettleAbandonSaysNothing(t *testing.T) {
	t.Parallel()
	settle(t.Context(), nil, &delivery{}, Settlement{Action: Abandon}, slog.New(slog.DiscardHandler)) // a word would panic
}

func (r *rig) ackWait() time.Duration { return r.cons.CachedInfo().Config.AckWait }

func deliveries(t *testing.T, d *delivery) uint64 {
	t.Helper()
	meta, err := d.msg.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	return meta.NumDelivered
}

func TestSettleConsumerGone(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	rig.publish(t, oneObject)
	d := rig.receive(t)
	if err := rig.events.DeleteConsumer(t.Context(), "lane"); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	settle(t.Context(), rig.nc, d, Settlement{Action: Ack}, rig.lane.log)
	if took := time.Since(begun); took > settleTimeout/2 {
		t.Errorf("took %s", took)
	}
	if !rig.log.has(`"level":"WARN"`, "settlement not confirmed") {
		t.Errorf("nothing said: %s", rig.log)
	}
}

// TestSettleOverRestart: what is settled while the server is away is settled
// when it is back.
func TestSettleOverRestart(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	rig.publish(t, oneObject)
	d := rig.receive(t)
	rig.srv.Stop()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		settle(t.Context(), rig.nc, d, Settlement{Action: Ack}, rig.lane.log)
	}()
	rig.srv.Restart(t)
	soon(t, "the settlement", settled)
	rig.wait(t, "acked", func(i *jetstream.ConsumerInfo) bool { return i.AckFloor.Stream == d.Seq })
}

// conn answers requests as a test wants.
type conn struct {
	asked  []string
	answer func(ctx context.Context, n int) error
}

func (c *conn) RequestWithContext(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	c.asked = append(c.asked, subject+" "+string(data))
	return &nats.Msg{}, c.answer(ctx, len(c.asked))
}

func TestSettleIsBounded(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context, _ int) error {
		<-ctx.Done()
		return ctx.Err()
	}
	refuses := func(context.Context, int) error { return nats.ErrConnectionReconnecting }
	for name, answer := range map[string]func(context.Context, int) error{"no answer": hangs, "errors": refuses} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begun, log := time.Now(), &logbook{}
				settle(t.Context(), &conn{answer: answer}, &delivery{msg: &fakeMsg{}}, Settlement{Action: Ack}, slog.New(slog.NewJSONHandler(log, nil)))
				if took := time.Since(begun); took > settleTimeout {
					t.Errorf("took %s", took)
				}
				if !log.has("settlement not confirmed, left to redelivery") {
					t.Errorf("nothing said: %s", log)
				}
			})
		})
	}
}

func TestSettleTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &conn{answer: func(ctx context.Context, n int) error {
			switch n {
			case 1:
				return errors.New("refused")
			case 2: // lost with its connection
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}
		log := &logbook{}
		settle(t.Context(), c, &delivery{msg: &fakeMsg{}}, Settlement{Action: Retry, Delay: 1500 * time.Millisecond}, slog.New(slog.NewJSONHandler(log, nil)))
		const verb = `$JS.ACK.x -NAK {"delay": 1500000000}`
		if diff := cmp.Diff([]string{verb, verb, verb}, c.asked); diff != "" {
			t.Error(diff)
		}
		if log.String() != "" {
			t.Errorf("said: %s", log)
		}
	})
}
