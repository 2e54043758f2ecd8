package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
)

// mark is in every secret of these tests, and in nothing else.
const mark = "hunter2"

// TestNoSecretIsTold runs the program through success and all kinds of failure
// with secrets that are easy to recognise, and searches everything that it
// wrote. The payload of a dead letter is the producer's own and stays whole.
func TestNoSecretIsTold(t *testing.T) {
	t.Parallel()
	who := lotasim.Credential{AccessKeyID: accessKey, SecretAccessKey: mark + "-aws", Buckets: []string{bucket}}
	w := newWorldWith(t, natstest.Options{}, who, nil)
	w.put("last.ckpt", "broken.ckpt")
	w.store.Put("private", "last.ckpt", large)
	rule := lotasim.Rule{Match: lotasim.Match{Key: "broken.ckpt", Ranged: true}, Do: lotasim.Reset}
	if _, err := w.lota.AddRule(rule); err != nil {
		t.Fatal(err)
	}
	settings := func(more ...string) []string {
		return w.environ(t, append([]string{
			"NATS_URL=" + strings.Replace(w.nats.URL(), "//", "//me:"+mark+"-userinfo@", 1),
			"NATS_USER=me", "NATS_PASSWORD=" + mark + "-password", "AWS_SECRET_ACCESS_KEY=" + mark + "-aws",
			"LOG_LEVEL=debug", "PRESTAGE_MAX_ATTEMPTS=1", "PRESTAGE_GIVE_UP_AFTER=0s",
		}, more...)...)
	}

	p := launch(t, raceBuild, settings()).ready(t)
	withCredentials := "s3://me:" + mark + "-uri@ckpt/last.ckpt"
	for _, tt := range []struct {
		id, reason string // reason "": it becomes warm
		data       map[string]any
	}{
		{"good", "", map[string]any{"uri": uri("last.ckpt")}},
		{"missing", "not_found", map[string]any{"uri": uri("never.ckpt")}},
		{"private", "forbidden", map[string]any{"uri": "s3://private/last.ckpt"}},
		{"broken", "fill_failed", map[string]any{"uri": uri("broken.ckpt")}},
		{"uri", "malformed", map[string]any{"uri": withCredentials}},
		{"manifest", "malformed", map[string]any{"manifest": withCredentials}},
		{"objects", "malformed", map[string]any{"objects": []map[string]any{{"uri": withCredentials}}}},
		{"size", "malformed", map[string]any{"uri": uri("last.ckpt"), "total_bytes": mark + "-total"}},
	} {
		w.endsFor(t, w.checkpoint(t, tt.id, tt.data), tt.reason)
	}
	w.search(t, p)
	p.stop(t)

	for reason, setting := range map[string]string{
		"forbidden": "AWS_SECRET_ACCESS_KEY=" + mark + "-wrong", "bad_request": "AWS_SESSION_TOKEN=" + mark + "-session",
	} {
		p := launch(t, raceBuild, settings(setting)).ready(t)
		w.put("last.ckpt") // a new version
		w.endsFor(t, w.object(t, "event-"+reason, "last.ckpt"), reason)
		w.search(t, p)
		p.stop(t)
	}
}

// endsFor waits for an event to be dead-lettered for reason, or to be warm.
func (w *world) endsFor(t *testing.T, s sent, reason string) {
	t.Helper()
	if reason == "" {
		w.ends(t, s, "warm")
		return
	}
	if r := w.ends(t, s, "dead_lettered"); r.Reason != reason {
		t.Errorf("event %s ended with the reason %q, want %q: %s", s.id, r.Reason, reason, r.Error)
	}
	w.letter(t, s)
}

// search looks for secrets in what p wrote: output, pages, and records.
func (w *world) search(t *testing.T, p *program) {
	t.Helper()
	texts := map[string]string{"standard output": p.stdout.String(), "standard error": p.stderr.String()}
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		_, body, err := p.get(t, path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = body
	}
	for _, name := range []string{receiptsBucket, "prestage_objects"} {
		for _, entry := range w.entries(t, name) {
			texts[name+" "+entry.Key()] = string(entry.Value())
		}
	}
	for subject := range w.subjects(t, resultsStream) {
		texts[subject] = string(w.last(t, resultsStream, subject).Data)
	}
	for subject := range w.subjects(t, lettersStream) {
		texts[subject] = fmt.Sprint(w.last(t, lettersStream, subject).Header)
	}
	for where, text := range texts {
		if where != "standard output" && text == "" {
			t.Errorf("%s is empty, so that nothing was searched", where)
		}
		if i := strings.Index(text, mark); i >= 0 {
			t.Errorf("%s tells a secret: …%s…", where, text[max(0, i-100):min(len(text), i+40)])
		}
	}
}

// TestRefusedByNATS has a server that wants another password.
func TestRefusedByNATS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, Username: "me", Password: "another", NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server is not ready")
	}
	for name, settings := range map[string][]string{
		"user and password": {"NATS_URL=" + srv.ClientURL(), "NATS_USER=me", "NATS_PASSWORD=" + mark},
		"token":             {"NATS_URL=" + srv.ClientURL(), "NATS_TOKEN=" + mark},
		"URL":               {"NATS_URL=" + strings.Replace(srv.ClientURL(), "//", "//me:"+mark+"@", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, args := range [][]string{nil, {"publish", "s3://ckpt/last.ckpt"}} {
				code, stdout, stderr := finish(t, raceBuild, w.environ(t, settings...), args...)
				if code != 1 {
					t.Errorf("%v: exit code %d, want 1", args, code)
				}
				if !strings.Contains(strings.ToLower(stderr), "authorization violation") {
					t.Errorf("%v: standard error doesn't give the reason: %s", args, stderr)
				}
				if strings.Contains(stdout+stderr, mark) {
					t.Errorf("%v: the output tells a secret: %s%s", args, stdout, stderr)
				}
			}
		})
	}
}
