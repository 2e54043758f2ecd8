package integration_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// registry is a tracking server of MLflow's shape, which can be taken away.
type registry struct {
	*httptest.Server

	mu     sync.Mutex
	status int // 0: it answers
	asked  int
	auth   string
	spaces map[string]bool // that were asked about
}

// registryBase is the path below which it is.
const registryBase = "/ml"

// newRegistry knows some places by what is asked for, "/model-versions/…?…".
func newRegistry(t *testing.T, answers map[string]string) *registry {
	t.Helper()
	r := &registry{spaces: map[string]bool{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked++
		r.auth = req.Header.Get("Authorization")
		r.spaces[req.Header.Get("X-Mlflow-Workspace")] = true
		body, known := answers[strings.TrimPrefix(req.URL.RequestURI(), registryBase+"/api/2.0/mlflow")]
		switch {
		case r.status != 0:
			w.WriteHeader(r.status)
		case !known:
			w.WriteHeader(http.StatusNotFound)
			body = `{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"}`
		}
		if r.status == 0 {
			_, _ = w.Write([]byte(body))
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// set has every question answered with status, 0: as it should be.
func (r *registry) set(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *registry) questions() (n int, auth string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked, r.auth
}

func (r *registry) workspaces() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.spaces)
}

func (r *registry) settings() []string {
	return []string{"MLFLOW_TRACKING_URI=" + r.URL + registryBase, "MLFLOW_TRACKING_TOKEN=" + mark + "-registry"}
}

// TestRegistryNamesThePlace: hooks that name no object in S3 end warm where the
// tracking server says the files are, and as dead letters where it knows none.
func TestRegistryNamesThePlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("1/models/m-7c1e/artifacts/model.safetensors", "llama/v4/model.safetensors", "served/1/models/m-0/artifacts/model.safetensors")
	r := newRegistry(t, map[string]string{
		"/model-versions/get-download-uri?name=llama&version=3":   `{"artifact_uri": "models:/m-7c1e"}`,
		"/logged-models/m-7c1e":                                   `{"model": {"info": {"model_id": "m-7c1e", "artifact_uri": "s3://ckpt/1/models/m-7c1e/artifacts"}}}`,
		"/model-versions/get-download-uri?name=llama&version=4":   `{"artifact_uri": "s3://ckpt/llama/v4"}`,
		"/model-versions/get-download-uri?name=proxied&version=1": `{"artifact_uri": "mlflow-artifacts:/1/models/m-0/artifacts"}`,
		"/model-versions/get-download-uri?name=bricks&version=1":  `{"artifact_uri": "dbfs:/models/x"}`,
		"/model-versions/get-download-uri?name=foreign&version=1": `{"artifact_uri": "s3://not-ours/llama"}`,
		"/model-versions/get-download-uri?name=hush&version=1":    `{"artifact_uri": "s3://key:` + mark + `@ckpt/x"}`,
	})
	addr := w.gateway(t, raceBuild).gatewayAddr()
	p := w.run(t, append(r.settings(), "PRESTAGE_BUCKETS=ckpt", "MLFLOW_ARTIFACTS_DESTINATION=s3://ckpt/served")...)

	version := func(name, version, source string) string {
		return `{"entity":"model_version","action":"created","data":{"name":"` + name + `","version":"` + version + `","source":"` + source + `"}}`
	}
	alias := func(alias string) string {
		return `{"entity":"model_version_alias","action":"created","data":{"name":"llama","version":"4","alias":"` + alias + `"}}`
	}
	for _, tt := range []struct{ name, body, outcome, reason, text string }{
		{"a version of a logged model", version("llama", "3", "models:/m-7c1e"), "warm", "", ""},
		{"an alias", alias("champion"), "warm", "", ""},
		{"another alias", alias("challenger"), "skipped", "not_actionable", ""},
		{"a version that the server serves", version("proxied", "1", "mlflow-artifacts:/1/x"), "warm", "", ""},
		{"a version elsewhere", version("bricks", "1", "dbfs:/models/x"), "dead_lettered", "unresolvable_source", "dbfs"},
		{"a version that was deleted", version("gone", "1", "runs:/0a1b/model"), "dead_lettered", "unresolvable_source", "RESOURCE_DOES_NOT_EXIST"},
		{"a version in another's bucket", version("foreign", "1", "models:/m-1"), "dead_lettered", "bucket_not_allowed", "not-ours"},
		{"a version with credentials", version("hush", "1", "models:/m-1"), "dead_lettered", "unresolvable_source", "credentials"},
	} {
		a := takes(t, addr, mlflowPost(tt.name, gatewaySecret, time.Now(), tt.body))
		got := w.ends(t, a.sent(), tt.outcome)
		if got.Reason != tt.reason || !strings.Contains(got.Error, tt.text) {
			t.Errorf("%s: %q, %q", tt.name, got.Reason, got.Error)
		}
	}
	w.lota.mustHaveAsked(t, once("1/models/m-7c1e/artifacts/model.safetensors", "llama/v4/model.safetensors", "served/1/models/m-0/artifacts/model.safetensors"))
	if _, auth := r.questions(); auth != "Bearer "+mark+"-registry" {
		t.Errorf("asked with %q", auth)
	}
	p.stop(t)
	if text := p.stdout.String() + p.stderr.String(); strings.Contains(text, mark) {
		t.Error("the program tells a secret")
	}
}

// TestRegistryIsDown: events that need the tracking server wait for it, use up no
// attempt, and leave others alone.
func TestRegistryIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("llama/v3/model.safetensors", "plain.ckpt")
	r := newRegistry(t, map[string]string{
		"/model-versions/get-download-uri?name=llama&version=3": `{"artifact_uri": "s3://ckpt/llama/v3"}`,
	})
	r.set(http.StatusServiceUnavailable)
	addr := w.gateway(t, raceBuild).gatewayAddr()
	w.run(t, append(r.settings(), "PRESTAGE_MAX_ATTEMPTS=1", "PRESTAGE_GIVE_UP_AFTER=0s")...)

	const alias = `{"entity":"model_version_alias","action":"created","data":{"name":"llama","version":"3","alias":"champion"}}`
	a := takes(t, addr, mlflowPost("delivery-1", gatewaySecret, time.Now(), alias))
	waiting := w.until(t, a.sent(), "pending", func(r receipt) bool { return r.Outcome == "pending" })
	if waiting.Attempts != 0 || !strings.Contains(waiting.Error, "HTTP 503") || !strings.Contains(waiting.Error, "MLFLOW_TRACKING_URI") {
		t.Errorf("the receipt of an event that waits: %+v", waiting)
	}
	plain := takes(t, addr, post("/v1/events", `{"uri":"s3://ckpt/plain.ckpt"}`, bearerLine, "Content-Type: application/json"))
	w.ends(t, plain.sent(), "warm")
	asked, _ := r.questions()
	eventually(t, "it is asked again", func() error {
		if n, _ := r.questions(); n <= asked {
			return errors.New("not yet")
		}
		return nil
	})

	r.set(0)
	if done := w.ends(t, a.sent(), "warm"); done.Attempts != 1 {
		t.Errorf("%d attempts, want the one that succeeded", done.Attempts)
	}
	w.settled(t)
	w.lota.mustHaveAsked(t, once("llama/v3/model.safetensors", "plain.ckpt"))
}

// TestRegistryRefuses: a token that is refused is waited for, for as long as the
// setting says. The event may be a native one.
func TestRegistryRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	r := newRegistry(t, nil)
	r.set(http.StatusForbidden)
	w.run(t, append(r.settings(), "PRESTAGE_GIVE_UP_AFTER=1s")...)
	s := w.checkpoint(t, "refused", map[string]any{"uri": "models:/llama@champion"})
	waiting := w.until(t, s, "pending", func(r receipt) bool { return r.Outcome == "pending" })
	got := w.ends(t, s, "dead_lettered")
	for _, r := range []receipt{waiting, got} {
		if !strings.Contains(r.Error, "HTTP 403") || !strings.Contains(r.Error, "MLFLOW_TRACKING_TOKEN") || !strings.Contains(r.Error, `"models:/llama@champion"`) {
			t.Errorf("%q", r.Error)
		}
	}
	if waiting.Attempts != 0 || got.Reason != "unresolvable_source" {
		t.Errorf("%+v, then %+v", waiting, got)
	}
	w.letter(t, s)
}

// TestReconcileRegistry pages through a registry of which one version had an
// event.
func TestReconcileRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("llama/v3/model.safetensors", "1/models/m-7c1e/artifacts/a.safetensors", "1/models/m-7c1e/artifacts/b.safetensors", "old/v1/model.safetensors")
	const search = "/model-versions/search?max_results=100"
	r := newRegistry(t, map[string]string{
		search: `{"model_versions": [
			{"name": "llama", "version": "4", "source": "models:/m-7c1e", "status": "READY", "aliases": ["champion"]},
			{"name": "llama", "version": "3", "source": "s3://ckpt/llama/v3", "status": "READY"},
			{"name": "late", "version": "1", "source": "s3://ckpt/late", "status": "PENDING_REGISTRATION"}], "next_page_token": "more"}`,
		search + "&page_token=more": `{"model_versions": [
			{"name": "proxied", "version": "1", "source": "mlflow-artifacts:/1/x", "status": "READY", "tags": [{"key": "stage", "value": "production"}]},
			{"name": "old", "version": "1", "source": "s3://ckpt/old/v1", "status": "READY"}]}`,
		"/model-versions/get-download-uri?name=llama&version=4":   `{"artifact_uri": "s3://ckpt/1/models/m-7c1e/artifacts"}`,
		"/model-versions/get-download-uri?name=proxied&version=1": `{"artifact_uri": "mlflow-artifacts:/1/x"}`,
	})
	w.run(t, append(r.settings(), "PRESTAGE_BUCKETS="+bucket)...)
	w.ends(t, w.checkpoint(t, "told", map[string]any{"uri": uri("llama/v3/"), "complete": true}), "warm")
	pass := func(want map[string]int, args ...string) reconciled {
		t.Helper()
		got := read(t, launch(t, raceBuild, w.environ(t, r.settings()...), append([]string{"reconcile", "--output=json"}, args...)...))
		if diff := cmp.Diff(want, got.summary.Objects); diff != "" || got.code != 0 {
			t.Errorf("%q: exit code %d, objects by state (-want +got):\n%s%s", args, got.code, diff, got.stderr)
		}
		return got
	}

	dry := pass(map[string]int{"missing": 3, "warm": 1, "unresolved": 1}, "--mlflow=all", "--dry-run")
	if dry.summary.Cost == nil || *dry.summary.Cost <= 0 {
		t.Errorf("a dry run's summary: %+v", dry.summary)
	}
	w.lota.mustHaveAsked(t, once("llama/v3/model.safetensors"))

	// What is marked, then all, one event at a time: a pass goes on where the one
	// before stopped.
	w.warms(t, pass(map[string]int{"published": 1}, "--mlflow=marked", "--max-events=1"))
	marked := pass(map[string]int{"published": 1, "warm": 1, "unresolved": 1}, "--mlflow=marked")
	w.warms(t, marked)
	events, err := w.js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := events.GetMsg(t.Context(), w.lastSequence(t))
	if err != nil || m.Subject != "events.model.published.reconcile" || !strings.Contains(string(m.Data), `"model":"llama","version":"4"`) {
		t.Errorf("the event %+v, %v", m, err)
	}
	w.warms(t, pass(map[string]int{"published": 1, "warm": 3, "unresolved": 1}, "--mlflow=all"))
	pass(map[string]int{"warm": 4, "unresolved": 1}, "--mlflow=all")
	w.lota.mustHaveAsked(t, once("llama/v3/model.safetensors", "1/models/m-7c1e/artifacts/a.safetensors",
		"1/models/m-7c1e/artifacts/b.safetensors", "old/v1/model.safetensors"))
	pass(map[string]int{"warm": 8, "unresolved": 2}, "--mlflow=all", "--mlflow-workspace=team-a,team-b")
	if diff := cmp.Diff(map[string]bool{"": true, "team-a": true, "team-b": true}, r.workspaces()); diff != "" {
		t.Errorf("workspaces asked about (-want +got):\n%s", diff)
	}

	// What was filled before now is filled once more.
	since := time.Now()
	eventually(t, "a second has passed", func() error {
		if d := time.Since(since); d < time.Second {
			return fmt.Errorf("only %s", d)
		}
		return nil
	})
	w.warms(t, pass(map[string]int{"published": 4, "unresolved": 1}, "--mlflow=all", "--older-than=1s"))

	r.set(http.StatusServiceUnavailable)
	got := launch(t, raceBuild, w.environ(t, r.settings()...), "reconcile", "--mlflow=all")
	if code := got.wait(t); code != 1 || !strings.Contains(got.stderr.String(), "HTTP 503") {
		t.Errorf("a server that is down: exit code %d, %s", code, got.stderr.String())
	}
}
