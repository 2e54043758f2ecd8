package consumer

import (
	"testing"
	"time"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/prestage"
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

// TestReplayedRequest: what a replay asks for waits behind all else, and what is
// missing by then is gone.
func TestReplayedRequest(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ev := events.Event{Objects: []object.Attrs{{Ref: object.Ref{Bucket: "ckpt", Key: "a"}}}, RewarmBefore: now.Add(-time.Hour)}
	got := (&Replay{RewarmBefore: now, AskSizes: true}).Request(ev, testSubject, now, now)
	if got.Priority != prestage.Backfill || !got.MissingIsGone || !got.AskSizes || !got.RewarmBefore.Equal(now) {
		t.Errorf("%+v", got)
	}
	if got := (&Replay{RewarmBefore: now.Add(-2 * time.Hour)}).Request(ev, testSubject, now, now); !got.RewarmBefore.Equal(ev.RewarmBefore) {
		t.Errorf("of the event's own time %s is left", got.RewarmBefore)
	}
	if live := Request(ev, testSubject, now, now); live.MissingIsGone {
		t.Error("what is missing a moment after its event is gone")
	}
}

// TestEventToWarm: an event that waited in the stream was late, however fast it
// went then.
func TestEventToWarm(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	seq := r.publish(t, oneObject)
	d := r.receive(t)
	d.Time = d.Time.Add(-time.Minute)
	if s := r.lane.process(t.Context(), t.Context(), d); s.Action != Ack {
		t.Fatalf("%+v", s)
	}
	if got, _ := r.receipt(t, seq); got.EventToWarmSeconds < 60 {
		t.Errorf("%v s, want a minute at least", got.EventToWarmSeconds)
	}
}
