package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/gateway"
	"github.com/prestage/prestage/internal/natstest"
)

// TestGatewayProvisions: whichever of gateway and daemon comes first makes the
// same stream.
func TestGatewayProvisions(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	c := parse(t, "NATS_URL="+srv.URL(), "PRESTAGE_GATEWAY_ADDR=127.0.0.1:0")
	log := &logbook{}
	g, err := NewGateway(t.Context(), c, log.logger(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, port, err := net.SplitHostPort(g.Addr()); err != nil || port == "0" {
		t.Errorf("it listens on %q", g.Addr())
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	js := srv.JetStream(t)
	deadline := time.Now().Add(time.Minute)
	for {
		s, err := js.Stream(t.Context(), "EVENTS")
		if err == nil {
			if diff := cmp.Diff(c.Setup().Events.Subjects, s.CachedInfo().Config.Subjects); diff != "" {
				t.Error(diff)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if lines := log.lines(`"msg":"listening"`, `"name":"gateway"`, g.Addr()); len(lines) != 1 {
		t.Errorf("said: %v", log.lines(""))
	}
}

func TestGatewayRefusesSettings(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none")
	other, _ := natstest.NewAuthority(t).Issue(t)
	_, key := natstest.NewAuthority(t).Issue(t)
	for setting, want := range map[string]string{
		"PRESTAGE_GATEWAY_TLS_CERT=" + other + " PRESTAGE_GATEWAY_TLS_KEY=" + key: "PRESTAGE_GATEWAY_TLS_CERT",
		"PRESTAGE_GATEWAY_TOKENS_FILE=" + none:                                    "PRESTAGE_GATEWAY_TOKENS_FILE",
		"PRESTAGE_GATEWAY_HARBOR_SECRETS_FILE=" + none:                            "PRESTAGE_GATEWAY_HARBOR_SECRETS_FILE",
		"PRESTAGE_MODEL_SUBJECTS=m.*":                                             "PRESTAGE_MODEL_SUBJECTS",
		"PRESTAGE_CHECKPOINT_SUBJECTS=c.>":                                        "PRESTAGE_CHECKPOINT_SUBJECTS",
		"PRESTAGE_GATEWAY_ADDR=192.0.2.1:1":                                       "PRESTAGE_GATEWAY_ADDR", // no address of this host
	} {
		_, err := NewGateway(t.Context(), parse(t, strings.Fields(setting)...), (&logbook{}).logger(), nil)
		var e *SettingError
		if !errors.As(err, &e) || e.Name != want {
			t.Errorf("%s: %v, want a wrong %s", setting, err, want)
		}
	}
}

// TestGatewaySubjects: notifications of stores go where the routine lane has them.
func TestGatewaySubjects(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]gateway.Subjects{
		"PRESTAGE_CHECKPOINT_SUBJECTS=":                         {Model: "events.model.published", Checkpoint: "events.checkpoint.written", Object: "events.object.created"},
		"PRESTAGE_CHECKPOINT_SUBJECTS=ckpt":                     {Model: "events.model.published", Checkpoint: "ckpt", Object: "ckpt"},
		"PRESTAGE_CHECKPOINT_SUBJECTS=c.>,ckpt,events.object.>": {Model: "events.model.published", Checkpoint: "ckpt", Object: "events.object.created"},
	} {
		c := parse(t, setting)
		got, err := c.gatewaySubjects()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", setting, err, diff)
		}
	}
}

// TestGatewayAnswersWithoutNATS: while the first connection is tried, of servers
// that take connections and say nothing, it is alive and refuses.
func TestGatewayAnswersWithoutNATS(t *testing.T) {
	t.Parallel()
	var urls []string
	for range 12 { // each of which takes five seconds
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		urls = append(urls, "nats://"+l.Addr().String())
	}
	c := parse(t, "NATS_URL="+strings.Join(urls, ","), "PRESTAGE_GATEWAY_ADDR=127.0.0.1:0", "PRESTAGE_GATEWAY_INSECURE=true")
	g, err := NewGateway(t.Context(), c, (&logbook{}).logger(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	begun := time.Now()
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/v1/events?id=a": http.StatusServiceUnavailable} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.Addr()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}
