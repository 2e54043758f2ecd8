package consumer

import (
	"testing"

	"github.com/prestage/prestage/internal/events"
)

// TestReplayedLatency: how long ago an event of history was stored says nothing
// of how fast events are warmed.
func TestReplayedLatency(t *testing.T) {
	t.Parallel()
	for name, replayed := range map[string]bool{"live": false, "replayed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{})
			want, ended := 1.0, 0
			if replayed {
				want = 0
				r.lane.cfg.Replay = &Replay{
					Kind:  func(string) events.Kind { return events.KindCheckpoint },
					Wants: func(uint64, events.Event, error) bool { return true },
					Ended: func(Receipt) { ended++ },
				}
			}
			seq := r.publish(t, oneObject)
			if _, s := r.process(t); s.Action != Ack {
				t.Fatalf("%+v", s)
			}
			if got, _ := r.receipt(t, seq); got.Outcome != Warm {
				t.Errorf("the event is %q", got.Outcome)
			}
			if n := r.value(t, "prestage_events_total", "checkpoint", "warm"); n != 1 {
				t.Errorf("%v events counted as warm", n)
			}
			if n := r.value(t, "prestage_event_to_warm_seconds", "checkpoint"); n != want {
				t.Errorf("%v times from event to warm, want %v", n, want)
			}
			if replayed && ended != 1 {
				t.Errorf("%d ends told", ended)
			}
		})
	}
}
