package natstest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRestartKeepsPortAndStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := natstest.Start(t)
	url := s.URL()
	js := s.JetStream(t)
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}

	s.Stop()
	s.Stop() // harmless
	if nc, err := nats.Connect(url, nats.Timeout(time.Second)); err == nil {
		nc.Close()
		t.Fatal("connected to a stopped server")
	}
	s.Restart(t)

	if got := s.URL(); got != url {
		t.Errorf("URL after the restart: %s, want %s", got, url)
	}
	js2 := s.JetStream(t)
	kv2, err := js2.KeyValue(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	e, err := kv2.Get(ctx, "k")
	if err != nil || string(e.Value()) != "v" {
		t.Errorf("after the restart: %v, %v", e, err)
	}
	s.Restart(t) // a running one too
	if err := s.Conn(t).Flush(); err != nil {
		t.Error(err)
	}
}

func TestMaxPayload(t *testing.T) {
	t.Parallel()
	nc := natstest.StartWith(t, natstest.Options{MaxPayload: 1024}).Conn(t)
	if err := nc.Publish("s", []byte(strings.Repeat("x", 1024))); err != nil {
		t.Errorf("1,024 bytes: %v", err)
	}
	if err := nc.Publish("s", []byte(strings.Repeat("x", 1025))); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("1,025 bytes: %v, want %v", err, nats.ErrMaxPayload)
	}
}
