package budget_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/budget"
	"github.com/prestage/prestage/internal/natstest"
)

func TestInstancesShareAnAccount(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	js := server.JetStream(t)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "prestage_receipts", History: 1})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	var all sync.WaitGroup
	for range 4 {
		b := budget.New(1_000_000, budget.NewKV(js.Conn(), kv, "c1", quiet), budget.NewMetrics(prometheus.NewRegistry()), quiet)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.Run(ctx) })
		all.Go(func() {
			for range 100 {
				done, err := b.Start(t.Context(), 1000)
				if err != nil {
					t.Error(err)
					return
				}
				done(1000)
			}
			b.Count(10_000)
			cancel()
			running.Wait()
		})
	}
	all.Wait()
	entry, err := kv.Get(t.Context(), budget.Key("c1"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := budget.Parse(entry.Value())
	if err != nil || a.Used(time.Now()) != 440_000 || a.Limit != 1_000_000 {
		t.Errorf("%+v, error %v; want 440000 bytes", a, err)
	}
}

// TestAccountIsNotOverwritten: what another wrote meanwhile is kept, on an account
// that is new and on one that is there.
func TestAccountIsNotOverwritten(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "prestage_receipts"})
	if err != nil {
		t.Fatal(err)
	}
	one, other := budget.NewKV(js.Conn(), kv, "c1", slog.New(slog.DiscardHandler)), budget.NewKV(js.Conn(), kv, "c1", slog.New(slog.DiscardHandler))
	spend := func(a *budget.Account) bool {
		a.Spent = append(a.Spent, budget.Minute{At: time.Now(), Bytes: 1})
		return true
	}
	for round := range 2 {
		calls := 0
		err := one.Update(t.Context(), func(a *budget.Account) bool {
			if calls++; calls == 1 {
				if err := other.Update(t.Context(), spend); err != nil {
					t.Error(err)
				}
			}
			return spend(a)
		})
		entry, getErr := kv.Get(t.Context(), budget.Key("c1"))
		if err != nil || getErr != nil {
			t.Fatal(err, getErr)
		}
		a, err := budget.Parse(entry.Value())
		if want := 2 * (round + 1); err != nil || len(a.Spent) != want || calls != 2 {
			t.Errorf("%d entries after %d calls, want %d: %v", len(a.Spent), calls, want, err)
		}
	}
}

func TestDamagedAccount(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "prestage_receipts", History: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() error{
		"text": func() error {
			_, err := kv.Put(t.Context(), budget.Key("c1"), []byte("no account"))
			return err
		},
		"too long": func() error {
			_, err := kv.Put(t.Context(), budget.Key("c1"), []byte(`{"spent":[`+strings.Repeat(" ", 100_000)+`]}`))
			return err
		},
		"deleted": func() error { return kv.Delete(t.Context(), budget.Key("c1")) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		b := budget.New(1000, budget.NewKV(js.Conn(), kv, "c1", slog.New(slog.NewTextHandler(&log, nil))),
			budget.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		done, err := b.Start(t.Context(), 500)
		if err != nil {
			t.Fatal(err)
		}
		done(500)
		if told := strings.Contains(log.String(), "begins anew"); told != (name != "deleted") {
			t.Errorf("%s: the log says\n%s", name, &log)
		}
	}
}
