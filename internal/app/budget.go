package app

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prestage/prestage/internal/budget"
)

// keepBudget has l's warmers keep PRESTAGE_BUDGET, with the account in store,
// until the function that it returns is called. A dry run fills nothing.
func (l *lota) keepBudget(ctx context.Context, cfg Config, store budget.Store, log *slog.Logger) (stop func()) {
	if cfg.Budget == 0 || cfg.DryRun || store == nil {
		return func() {}
	}
	b := budget.New(int64(cfg.Budget), store, l.spending, log)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { b.Run(ctx) })
	l.budget = b
	return func() {
		cancel()
		running.Wait()
	}
}
