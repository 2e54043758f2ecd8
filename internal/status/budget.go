package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/budget"
)

// Budget is how much of PRESTAGE_BUDGET is used up.
type Budget struct {
	Limit int64 `json:"bytes"`      // an hour
	Used  int64 `json:"used_bytes"` // in the last hour
	// WaitsUntil is when routine fills go on that wait now, zero when none do.
	WaitsUntil time.Time `json:"waits_until,omitzero"`
}

func (s Source) budget(ctx context.Context) (*Budget, error) {
	kv, err := s.JS.KeyValue(ctx, s.Receipts)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", s.Receipts, err)
	}
	entry, err := kv.Get(ctx, budget.Key(s.Cluster))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", budget.Key(s.Cluster), err)
	}
	account, err := budget.Parse(entry.Value())
	now := time.Now()
	out := &Budget{Limit: account.Limit, Used: account.Used(now)}
	if account.Waits.After(now) {
		out.WaitsUntil = account.Waits
	}
	if err != nil || (out.Used == 0 && out.WaitsUntil.IsZero()) { // it is the daemon that tells of a damaged one
		return nil, nil
	}
	return out, nil
}
