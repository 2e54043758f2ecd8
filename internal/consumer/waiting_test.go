package consumer

import (
	"context"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// TestWaitingForTheBudgetIsOnRecord: the receipt says so while fills wait, keeps
// what it had on record, and gives way to what comes of the attempt.
func TestWaitingForTheBudgetIsOnRecord(t *testing.T) {
	t.Parallel()
	var r *rig
	var late func()
	attempt := 0
	r = newRig(t, setup{warm: func(_, _ context.Context, req prestage.Request, _ *prestage.Progress) prestage.Report {
		if attempt++; attempt == 1 {
			return failing(outcome.Refused, outcome.Forbidden)
		}
		req.Waiting()
		req.Waiting()                                                   // another fill
		eventually(t, "the receipt says that fills wait", func() bool { //nolint:contextcheck // the test's own
			got, _ := r.receipt(t, 1)
			return got.Outcome == Pending && got.Error == budgetUsedUp && !got.FirstRefusal.IsZero() && got.RetryAt.IsZero()
		})
		late = req.Waiting
		return filled()
	}})
	r.publish(t, oneObject)
	d := r.receive(t)
	if s := r.lane.process(t.Context(), t.Context(), d); s.Action != Retry {
		t.Fatalf("%+v", s)
	}
	held, _ := r.receipt(t, 1)
	held.RetryAt = time.Time{} // its next attempt is due
	if _, _, err := r.lane.receipts.write(t.Context(), keyOf(1), held, 1); err != nil {
		t.Fatal(err)
	}
	if s := r.lane.process(t.Context(), t.Context(), d); s.Action != Ack {
		t.Fatalf("%+v\n%s", s, r.log)
	}
	late() // which nobody hears
	if got, _ := r.receipt(t, 1); got.Outcome != Warm || got.Error != "" || got.Attempts != 1 || !got.Received.Equal(held.Received) {
		t.Errorf("at the end: %+v", got)
	}
}
