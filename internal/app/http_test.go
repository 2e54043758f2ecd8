package app

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
)

// TestAdminChangesNothing asks for everything that the admin listener has, by
// every method. Afterwards JetStream holds what it held before.
func TestAdminChangesNothing(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	environ, heads := fakeLOTA(t)
	d := start(t, append(environ, "NATS_URL="+srv.URL(), "PRESTAGE_CONFIRM=response")...)
	d.ready(t, http.StatusOK, "ok")
	js := srv.JetStream(t)
	for _, body := range []string{`{"uri":"s3://models/m/model.safetensors"}`, "broken"} {
		if _, err := js.Publish(t.Context(), "events.model.published", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both events are settled", func() bool {
		c, err := js.Consumer(t.Context(), "EVENTS", modelLane)
		return err == nil && c.CachedInfo().AckFloor.Stream == 2
	})
	before, asked := holds(t, js), len(heads())

	for _, path := range []string{"/", "/?event=EVENTS/1", "/healthz", "/readyz", "/metrics", "/api/status", "/api/status?event=EVENTS/2"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if code, body := d.get(t, method, path); code != http.StatusOK {
				t.Errorf("%s %s: %d %s", method, path, code, body)
			}
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace} {
			if code, body := d.get(t, method, path); code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d %s", method, path, code, body)
			}
		}
	}
	if diff := cmp.Diff(before, holds(t, js)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	if n := len(heads()); n != asked {
		t.Errorf("%d requests to the store", n-asked)
	}
}

// holds is what JetStream keeps: of each stream its messages and settings, of
// each durable its settings, how far it is and whether it is paused.
func holds(t *testing.T, js jetstream.JetStream) map[string]string {
	t.Helper()
	out := map[string]string{}
	put := func(name string, parts ...any) {
		t.Helper()
		text, err := json.Marshal(parts)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(text)
	}
	streams := js.ListStreams(t.Context())
	for s := range streams.Info() {
		put(s.Config.Name, s.Config, s.State.Msgs, s.State.FirstSeq, s.State.LastSeq)
		stream, err := js.Stream(t.Context(), s.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		consumers := stream.ListConsumers(t.Context())
		for c := range consumers.Info() {
			if c.Config.Durable != "" {
				put(s.Config.Name+" "+c.Name, c.Config, c.Delivered.Stream, c.AckFloor.Stream, c.Paused)
			}
		}
		if err := consumers.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
