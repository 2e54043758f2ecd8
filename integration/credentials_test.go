package integration_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestCredentialsRotate has the credentials come from an endpoint, as a pod's do,
// and from a token in a file. Both change under the running program; in between
// the endpoint fails, and what it gave before has expired.
func TestCredentialsRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	keys := []lotasim.Credential{{AccessKeyID: "AKIAFIRST", SecretAccessKey: "first"}, {AccessKeyID: "AKIASECOND", SecretAccessKey: "second"}}
	w.store = lotasim.NewCatalogue(lotasim.CatalogueOptions{Region: region, Credentials: keys})
	w.store.CreateBucket(bucket)
	w.lota = newLOTA(t, w.store.Backends(), nil)
	w.put("first.ckpt", "second.ckpt")

	var mu sync.Mutex
	var key lotasim.Credential
	var token string // "": it fails
	pod := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if token == "" || r.Header.Get("Authorization") != token {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		// The SDK asks again five minutes before the end.
		_ = json.NewEncoder(rw).Encode(map[string]any{
			"AccessKeyId": key.AccessKeyID, "SecretAccessKey": key.SecretAccessKey, "Token": "",
			"Expiration": time.Now().Add(5*time.Minute + time.Second).UTC().Format(time.RFC3339),
		})
	}))
	t.Cleanup(pod.Close)
	file := filepath.Join(t.TempDir(), "token")
	give := func(k lotasim.Credential, newToken string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		key, token = k, newToken
		if newToken == "" {
			return
		}
		if err := os.WriteFile(file, []byte(newToken), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	give(keys[0], "token-1")
	p := w.run(t, "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI="+pod.URL+"/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="+file)
	w.ends(t, w.object(t, "first", "first.ckpt"), "warm")

	give(lotasim.Credential{}, "")
	time.Sleep(3 * time.Second) // until what the SDK holds is to be renewed
	second := w.object(t, "second", "second.ckpt")
	r := w.until(t, second, "pending", func(r receipt) bool { return r.Outcome == "pending" && r.Error != "" })
	if r.Attempts != 0 || !strings.Contains(r.Error, "credentials") {
		t.Errorf("without credentials the receipt tells %d attempts and the error %q", r.Attempts, r.Error)
	}
	w.staysCalm(t, p, 3*time.Second)
	give(keys[1], "token-2")
	w.ends(t, second, "warm")
	w.settled(t)
	for i, name := range []string{"first.ckpt", "second.ckpt"} {
		for _, r := range w.lota.History(lotasim.Filter{Key: name}) {
			if r.AccessKeyID != keys[i].AccessKeyID {
				t.Errorf("%s was asked for with the key %q, want %q", name, r.AccessKeyID, keys[i].AccessKeyID)
			}
		}
	}
}

// TestNATSCredentialsEnd has the server take back what the program connected
// with. That needs a person: the program ends and says so.
func TestNATSCredentialsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	o := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
		JetStreamMaxStore: 64 << 30, JetStreamMaxMemory: 1 << 30, // streams reserve a part
		Users: []*server.User{{Username: "me", Password: mark}},
	}
	srv, err := server.NewServer(o.Clone())
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(patience) {
		t.Fatal("nats-server is not ready")
	}
	p := launch(t, raceBuild, w.environ(t, "NATS_URL="+srv.ClientURL(), "NATS_USER=me", "NATS_PASSWORD="+mark)).ready(t)

	o.Users = []*server.User{{Username: "me", Password: "another"}}
	if err := srv.ReloadOptions(o); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	text := p.stderr.String()
	if last := text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]; !strings.Contains(strings.ToLower(last), "nats connection closed for good: nats: authorization") {
		t.Errorf("the last line is %q", last)
	}
	if strings.Contains(text, mark) {
		t.Error("the output tells a secret")
	}
	if n := p.lines(); n > 50 {
		t.Errorf("%d lines logged", n)
	}
}
