package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/lotasim"
)

// patience is how long anything may take that is expected to happen.
const patience = 2 * time.Minute

const (
	accessKey = "AKIACLIENTS"
	secretKey = "the-secret-key-of-the-clients"
	region    = "US-EAST-04A"
)

// emulator is prestage lotasim as a child process.
type emulator struct {
	lota, primary, admin string // host:port
	http                 *http.Client
}

var listening = regexp.MustCompile(`"msg":"listening","name":"(\w+)","addr":"([^"]+)"`)

// startEmulator starts one with the buckets. When the test ends it has to end
// on SIGTERM, without a data race.
func startEmulator(t *testing.T, buckets []string) *emulator {
	t.Helper()
	program, err := buildProgram()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "lotasim", "--lota-addr=127.0.0.1:0", "--primary-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0",
		"--access-key="+accessKey, "--secret-key="+secretKey, "--region="+region, "--bucket="+strings.Join(buckets, ","))
	cmd.Env = []string{"GORACE=halt_on_error=1", "TMPDIR=" + t.TempDir()}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the emulator ended with %v:\n%s", err, read(t, log.Name()))
			}
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Errorf("the emulator was killed %v after SIGTERM: %v", patience, <-ended)
		}
		log.Close()
	})
	e := &emulator{http: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(e.http.CloseIdleConnections)
	eventually(t, "the emulator listens", func() error {
		at := map[string]string{}
		for _, m := range listening.FindAllStringSubmatch(read(t, log.Name()), -1) {
			at[m[1]] = m[2]
		}
		e.lota, e.primary, e.admin = at["lota"], at["primary"], at["admin"]
		if len(at) == 3 {
			return nil
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the emulator ended with %v:\n%s", err, read(t, log.Name()))
		default:
		}
		return fmt.Errorf("%d of 3 listeners", len(at))
	})
	return e
}

// ask reads one answer of the admin listener.
func (e *emulator) ask(t *testing.T, path string, query url.Values, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.admin+path+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := e.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: HTTP %d, %v", path, resp.StatusCode, err)
	}
}

// since lists a bucket's requests after number seq, when all have ended: a client
// may have its answer a moment before the history has.
func (e *emulator) since(t *testing.T, bucket string, seq uint64) []lotasim.Request {
	t.Helper()
	var answer struct{ Requests []lotasim.Request }
	eventually(t, "all requests have ended", func() error {
		answer.Requests = nil
		e.ask(t, "/history", url.Values{"bucket": {bucket}, "listener": {lotasim.ListenerLOTA}}, &answer)
		if i := slices.IndexFunc(answer.Requests, func(r lotasim.Request) bool { return !r.Done }); i >= 0 {
			return fmt.Errorf("request %+v", answer.Requests[i])
		}
		return nil
	})
	for len(answer.Requests) > 0 && answer.Requests[0].Seq <= seq {
		answer.Requests = answer.Requests[1:]
	}
	return answer.Requests
}

func (e *emulator) truth(t *testing.T, bucket, key string) lotasim.Truth {
	t.Helper()
	var truth lotasim.Truth
	e.ask(t, "/truth", url.Values{"bucket": {bucket}, "key": {key}}, &truth)
	return truth
}

// cached waits until the fill that was asked for is done.
func (e *emulator) cached(t *testing.T, bucket, key string) {
	t.Helper()
	eventually(t, bucket+"/"+key+" is cached", func() error {
		if truth := e.truth(t, bucket, key); !truth.Cached {
			return fmt.Errorf("truth %+v", truth)
		}
		return nil
	})
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// eventually calls try until it returns nil.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited %s for this: %s; last: %v", patience, what, err)
		}
	}
}
