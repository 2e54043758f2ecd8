package consumer

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestStall(t *testing.T) {
	t.Parallel()
	type infos = []jetstream.ConsumerInfo
	waiting := jetstream.ConsumerInfo{NumPending: 3, Delivered: jetstream.SequenceInfo{Consumer: 7}}
	changed := func(f func(*jetstream.ConsumerInfo)) jetstream.ConsumerInfo {
		i := waiting
		f(&i)
		return i
	}
	delivering := changed(func(i *jetstream.ConsumerInfo) { i.Delivered.Consumer++ })
	idle := changed(func(i *jetstream.ConsumerInfo) { i.NumPending = 0 })
	paused := changed(func(i *jetstream.ConsumerInfo) { i.Paused = true })
	full := changed(func(i *jetstream.ConsumerInfo) { i.Config.MaxAckPending, i.NumAckPending = 2, 2 })
	roomy := changed(func(i *jetstream.ConsumerInfo) { i.Config.MaxAckPending, i.NumAckPending = -1, 2 })
	tests := map[string]struct {
		infos infos
		want  int // times that it was noticed
	}{
		"new":                     {infos{waiting, waiting, waiting, waiting}, 0},
		"stalled":                 {infos{waiting, waiting, waiting, waiting, waiting}, 1},
		"still stalled":           {infos{waiting, waiting, waiting, waiting, waiting, waiting, waiting, waiting, waiting}, 2},
		"without a limit of acks": {infos{roomy, roomy, roomy, roomy, roomy}, 1},
		"nothing waits":           {infos{idle, idle, idle, idle, idle, idle}, 0},
		"nothing waited once":     {infos{waiting, waiting, waiting, idle, waiting, waiting, waiting}, 0},
		"another replica gets it": {infos{waiting, waiting, waiting, delivering, delivering, delivering, delivering}, 0},
		"paused":                  {infos{paused, paused, paused, paused, paused, paused}, 0},
		"as many as allowed":      {infos{full, full, full, full, full, full}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s stall
			got := 0
			for _, i := range tt.infos {
				if s.seen(&i) {
					got++
				}
			}
			if got != tt.want {
				t.Errorf("noticed %d times, want %d", got, tt.want)
			}
		})
	}
}

// stuck is a consumer that delivers nothing until its handle is opened anew.
type stuck struct{ jetstream.Consumer }

func (stuck) Next(...jetstream.FetchOpt) (jetstream.Msg, error) { return nil, nats.ErrTimeout }

func TestLaneStalled(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	seq := rig.publish(t, oneObject)
	rig.cons = stuck{rig.cons}
	stop := rig.run(t)
	eventually(t, "warm", func() bool {
		r, _ := rig.receipt(t, seq)
		return r.Outcome == Warm
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := rig.value(t, "prestage_pull_stalls_total", "checkpoint"); n != 1 {
		t.Errorf("%v stalls counted", n)
	}
	if !rig.log.has(`"level":"WARN"`, "not delivered", `"pending":1`) {
		t.Errorf("said: %s", rig.log)
	}
}

// TestLaneStalledAndGone: opening it anew fails, and the next pull says why.
func TestLaneStalledAndGone(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	rig.publish(t, oneObject)
	p := &puller{Lane: rig.lane, cons: stuck{rig.cons}}
	for range stalledAfter {
		if msg, err := p.next(t.Context()); msg != nil || err != nil {
			t.Fatal(msg, err)
		}
	}
	if err := rig.events.DeleteConsumer(t.Context(), "lane"); err != nil {
		t.Fatal(err)
	}
	p.reopen(t.Context(), rig.cons.CachedInfo())
	if _, err := p.next(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("ended with %v", err)
	}
}

// odd fails at once, for a reason that nothing here expects.
type odd struct{ jetstream.Consumer }

func (odd) Next(...jetstream.FetchOpt) (jetstream.Msg, error) { return nil, errors.New("odd") }

// TestPullThatFailsIsNotSpunOn: whatever keeps pulls from being made, they are
// not tried without a pause.
func TestPullThatFailsIsNotSpunOn(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	p := &puller{Lane: rig.lane, cons: odd{rig.cons}}
	began := time.Now()
	if msg, err := p.next(t.Context()); msg != nil || err != nil {
		t.Error(msg, err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("the next may come after %s", took)
	}
}

// TestPullWaitsForAConnection: a pull that waits in the client is answered when
// nobody listens any more.
func TestPullWaitsForAConnection(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	pulled := make(chan struct{}, 1)
	p := &puller{Lane: rig.lane, cons: noting{rig.cons, pulled}}
	rig.srv.Stop()
	eventually(t, "disconnected", rig.nc.IsReconnecting)
	if msg, err := p.next(t.Context()); msg != nil || err != nil {
		t.Error(msg, err)
	}
	select {
	case <-pulled:
		t.Error("pulled without a connection")
	default:
	}
	rig.srv.Restart(t)
	eventually(t, "connected again", rig.nc.IsConnected)
	seq := rig.publish(t, oneObject)
	msg, err := p.next(t.Context())
	if err != nil || msg == nil {
		t.Fatal(msg, err)
	}
	if d, err := newDelivery(msg, time.Now()); err != nil || d.Seq != seq || d.Deliveries != 1 {
		t.Errorf("message %+v, %v", d, err)
	}
}

// noting says when it is pulled.
type noting struct {
	jetstream.Consumer
	pulled chan<- struct{}
}

func (n noting) Next(o ...jetstream.FetchOpt) (jetstream.Msg, error) {
	select {
	case n.pulled <- struct{}{}:
	default:
	}
	return n.Consumer.Next(o...)
}
