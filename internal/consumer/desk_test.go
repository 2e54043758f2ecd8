package consumer

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/prestage"
)

// TestDesk looks at what is being filled, while and after it is; a replay's
// observer hears of it as before.
func TestDesk(t *testing.T) {
	t.Parallel()
	var rig *rig
	var during []Task
	heard := 0
	rig = newRig(t, setup{warm: func(_, _ context.Context, req prestage.Request, _ *prestage.Progress) prestage.Report {
		for _, o := range []string{"filled", "already_warm", "filled", "skipped", "failed"} {
			req.Observe(prestage.Result{Outcome: o})
		}
		during = rig.lane.cfg.Desk.Tasks()
		if heard == 0 {
			panic("not tidied up")
		}
		return filled()
	}})
	desk := &Desk{}
	rig.lane.cfg.Desk = desk
	seq := rig.publish(t, oneObject)
	d, _ := rig.process(t)
	want := []Task{{
		Lane: "checkpoint", EventID: "EVENTS/1", Stream: "EVENTS", StreamSeq: seq, Received: d.Received,
		Objects: prestage.Counts{Total: 5, Filled: 2, AlreadyWarm: 1, Skipped: 1, Failed: 1},
	}}
	if diff := cmp.Diff(want, during); diff != "" {
		t.Error(diff)
	}
	if left := desk.Tasks(); len(left) != 0 {
		t.Errorf("after a panic it still has %+v", left)
	}

	rig.lane.cfg.Replay = &Replay{Observe: func(prestage.Result) { heard++ }}
	heard = 1
	d.Received = time.Now()
	ev := mustDecode(t, d)
	rig.lane.warm(t.Context(), t.Context(), rig.lane.request(ev, d), ev, d, prestage.NewProgress())
	if len(during) != 1 || heard != 6 || len(desk.Tasks()) != 0 {
		t.Errorf("%d tasks, %d results heard", len(during), heard)
	}
	if none := (*Desk)(nil).Tasks(); none != nil {
		t.Errorf("nil has %+v", none)
	}
}
