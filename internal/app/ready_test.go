package app

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/natstest"
)

// TestReadyBesideASilentServer: NATS comes back as a server that takes connections
// and says nothing, on which each try spends seconds. Whoever probes the daemon is
// answered meanwhile.
func TestReadyBesideASilentServer(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	environ, _ := fakeLOTA(t)
	d := start(t, append(environ, "NATS_URL="+srv.URL())...)
	d.ready(t, http.StatusOK, "ok")
	srv.Stop()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", strings.TrimPrefix(srv.URL(), "nats://"))
	if err != nil {
		t.Fatalf("somebody took the port: %v", err)
	}
	defer l.Close()
	// A try takes five seconds; a machine that is busy may be slow once.
	for tries := 1; ; tries++ {
		mute, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for _, path := range []string{"/readyz", "/api/status"} {
			if status, body := d.get(t, http.MethodGet, path); status != http.StatusServiceUnavailable || !strings.Contains(body, "nats is not reachable") {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		took := time.Since(begun)
		_ = mute.Close() // which ends the try
		if took < 2*time.Second {
			break
		}
		if tries == 3 {
			t.Errorf("the answers took %s, as the try to connect did", took)
			break
		}
	}
	_ = l.Close()
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}
