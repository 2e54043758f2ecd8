package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/persist"
)

// Key is that of a cluster's account, in the bucket of receipts.
func Key(cluster string) string { return cluster + ".budget" }

// KV keeps an Account in JetStream. It waits while NATS is unreachable.
type KV struct {
	kv    jetstream.KeyValue
	key   string
	retry *persist.Retrier
	log   *slog.Logger
}

// NewKV returns the store of a cluster's account.
func NewKV(conn persist.Conn, kv jetstream.KeyValue, cluster string, log *slog.Logger) *KV {
	return &KV{kv: kv, key: Key(cluster), retry: persist.New(conn, "budget", log), log: log}
}

// Update implements Store.
func (s *KV) Update(ctx context.Context, change func(*Account) bool) error {
	return s.retry.Do(ctx, func(ctx context.Context) error {
		a, revision, err := s.get(ctx)
		if err != nil || !change(&a) {
			return err
		}
		value, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("encode the account: %w", err)
		}
		if revision == 0 {
			_, err = s.kv.Create(ctx, s.key, value)
		} else {
			_, err = s.kv.Update(ctx, s.key, value, revision)
		}
		if persist.Conflict(err) {
			return persist.ErrAgain
		}
		return err
	})
}

func (s *KV) get(ctx context.Context) (a Account, revision uint64, err error) {
	entry, err := s.kv.Get(ctx, s.key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return a, 0, nil
	}
	if err != nil {
		return a, 0, fmt.Errorf("read the account: %w", err)
	}
	if a, err = Parse(entry.Value()); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "the budget's account cannot be read and begins anew",
			slog.String("key", s.key), slog.Any("error", err))
		return Account{}, entry.Revision(), nil
	}
	return a, entry.Revision(), nil
}

// maxAccount is far above what an hour's minutes take.
const maxAccount = 64 << 10

// Parse reads an account as it is stored.
func Parse(value []byte) (Account, error) {
	var a Account
	if len(value) > maxAccount {
		return a, fmt.Errorf("longer than %d bytes", maxAccount)
	}
	if err := json.Unmarshal(value, &a); err != nil {
		return Account{}, err
	}
	return a, nil
}
