package consumer

import (
	"context"
	"sync"

	"github.com/prestage/prestage/internal/prestage"
)

// budgetUsedUp is what a receipt says while fills wait for the budget, which may
// be for an hour.
const budgetUsedUp = "PRESTAGE_BUDGET is used up, fills wait for room in it"

// noteWaiting has an attempt made, and puts on record when its fills wait for the
// budget: as the pending receipt of this attempt, which what comes of it replaces.
func (l *Lane) noteWaiting(ctx context.Context, key string, r Receipt, h held, attempt func(waiting func()) prestage.Report) prestage.Report {
	ctx, cancel := context.WithCancel(ctx)
	waits := make(chan struct{}, 1)
	r = r.after(h.Receipt)
	r.Outcome, r.Error = Pending, budgetUsedUp
	r.FirstRefusal, r.BusySince, r.Busy = h.FirstRefusal, h.BusySince, h.Busy
	var writing sync.WaitGroup
	writing.Go(func() {
		defer rescue(ctx, l.log)
		select {
		case <-ctx.Done():
		case <-waits:
			// What prevents this write holds up the next one as well, and another
			// replica's final receipt is found then.
			_, _, _ = l.receipts.write(ctx, key, r, h.rev)
		}
	})
	defer func() { // before anything else is written
		cancel()
		writing.Wait()
	}()
	return attempt(func() {
		select {
		case waits <- struct{}{}:
		default: // it is told already
		}
	})
}
