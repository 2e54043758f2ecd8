package integration_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/app"
)

// inside is the daemon in the test's own process, for tests that need very many
// of them. It cannot be killed, only stopped.
type inside struct {
	app    *app.App
	log    output
	cancel context.CancelFunc
	ended  chan error
}

// runInside starts the daemon as run does and waits until it is ready.
func (w *world) runInside(t *testing.T, settings ...string) *inside {
	t.Helper()
	cfg, err := app.ParseConfig(w.environ(t, settings...))
	if err != nil {
		t.Fatal(err)
	}
	p := &inside{ended: make(chan error, 1)}
	p.app, err = app.New(t.Context(), cfg, app.Deps{
		Log:      slog.New(slog.NewJSONHandler(&p.log, nil)),
		Registry: prometheus.NewRegistry(),
		AWS:      aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() { p.ended <- p.app.Run(ctx) }()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", p.log.tail())
		}
	})
	eventually(t, "the daemon is ready", p.app.Ready)
	return p
}

// stop ends the daemon in the orderly way. A stopped one may be stopped again.
func (p *inside) stop(t *testing.T) {
	t.Helper()
	if p.cancel == nil {
		return
	}
	p.cancel()
	p.cancel = nil
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("the daemon ended with: %v", err)
		}
	case <-time.After(patience):
		t.Errorf("the daemon still runs after %s", patience)
	}
}
