package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/outcome"
)

const (
	etag     = "0123456789abcdef0123456789abcdef"
	modified = "Wed, 25 Nov 2026 10:00:00 GMT"
)

// post is where receipts and records are, with a store.
type post struct {
	srv               *natstest.Server
	receipts, objects jetstream.KeyValue
	environ           []string
	heads             atomic.Int64 // requests to the store
	status            atomic.Int64 // of its answers
	recovers          atomic.Int64 // after how many of them it is 200, 0: never
}

func newPost(t *testing.T) *post {
	t.Helper()
	credentials(t)
	p := &post{srv: natstest.Start(t)}
	p.status.Store(http.StatusOK)
	js := p.srv.JetStream(t)
	for _, b := range []struct {
		name string
		kv   *jetstream.KeyValue
	}{{app.ReceiptsBucket, &p.receipts}, {app.ObjectsBucket, &p.objects}} {
		var err error
		if *b.kv, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: b.name}); err != nil {
			t.Fatal(err)
		}
	}
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.heads.Add(1)
		if r.Method != http.MethodHead || r.Header.Get("Range") != "" {
			t.Errorf("%s with the range %q", r.Method, r.Header.Get("Range"))
		}
		w.Header().Set("ETag", `"`+etag+`"`)
		w.Header().Set("Last-Modified", modified)
		size := "10000000"
		if r.URL.Path == "/tiny" {
			size = "4000000"
		}
		w.Header().Set("Content-Length", size)
		w.WriteHeader(int(p.status.Load()))
		if p.recovers.Add(-1) == 0 {
			p.status.Store(http.StatusOK)
		}
	}))
	t.Cleanup(store.Close)
	p.environ = []string{
		"NATS_URL=" + p.srv.URL(), "LOTA_ENDPOINT=http://lota.test", "LOTA_TRUST_ENDPOINT=true",
		"LOTA_DIAL=" + strings.TrimPrefix(store.URL, "http://"),
	}
	return p
}

func (p *post) receipt(t *testing.T, id string, seq uint64, r consumer.Receipt, more string) {
	t.Helper()
	r.StreamSeq = seq
	value, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.receipts.Put(context.Background(), consumer.ReceiptKey("default", id, "/s", "EVENTS", seq)+more, value); err != nil {
		t.Fatal(err)
	}
}

func (p *post) record(t *testing.T, key, tag string, verdict outcome.Verdict, at time.Time) {
	t.Helper()
	value := fmt.Sprintf(`{"uri":"s3://ckpt/%s","etag":%q,"last_modified":"2026-11-25T10:00:00Z","size":10000000,"confirmed":%q,"at":%q}`,
		key, tag, verdict, at.UTC().Format(time.RFC3339))
	if _, err := p.objects.PutString(context.Background(), "default.ckpt."+consumer.Hash(key), value); err != nil {
		t.Fatal(err)
	}
}

func TestWait(t *testing.T) {
	p := newPost(t)
	now := time.Now()
	warm := consumer.Receipt{Outcome: consumer.Warm, Verdict: outcome.Accepted}
	p.receipt(t, "warm", 1, warm, "")
	p.receipt(t, "verified", 2, consumer.Receipt{Outcome: consumer.Warm, Verdict: outcome.Verified}, "")
	p.receipt(t, "dead", 3, consumer.Receipt{Outcome: consumer.DeadLettered, Reason: outcome.NotFound, Error: "no such\x1b key"}, "")
	p.receipt(t, "small", 4, consumer.Receipt{Outcome: consumer.Skipped, Reason: outcome.TooSmall}, "")
	p.receipt(t, "gone", 5, consumer.Receipt{Outcome: consumer.Skipped, Reason: outcome.Gone}, "")
	p.receipt(t, "pending", 6, consumer.Receipt{Outcome: consumer.Pending, Attempts: 2, Error: "no luck yet"}, "")
	p.receipt(t, "redriven", 10, warm, "") // before the older one, which it outdoes
	p.receipt(t, "redriven", 9, consumer.Receipt{Outcome: consumer.DeadLettered}, "")
	p.receipt(t, "redriving", 11, consumer.Receipt{Outcome: consumer.DeadLettered}, "")
	p.receipt(t, "redriving", 12, consumer.Receipt{Outcome: consumer.Pending}, "")
	p.receipt(t, "replayed", 13, consumer.Receipt{Outcome: consumer.DeadLettered}, "")
	p.receipt(t, "replayed", 13, warm, ".again")
	p.receipt(t, "dry", 14, consumer.Receipt{Outcome: consumer.Skipped, Reason: outcome.DryRun}, ".dry")
	p.record(t, "warm", etag, outcome.Accepted, now)
	p.record(t, "verified", etag, outcome.Verified, now)
	p.record(t, "overwritten", strings.Repeat("f", 32), outcome.Accepted, now)
	p.record(t, "expired", etag, outcome.Accepted, now.Add(-48*time.Hour))
	for _, tt := range []struct {
		args string
		code int
		want string // in stdout when the code is 0, else in stderr
	}{
		{"warm", exitDone, "warm: warm (accepted)\n"},
		{"warm --require=verified", exitFailed, "warm, but known as accepted only"},
		{"verified --require=verified", exitDone, "verified: warm (verified)\n"},
		{"dead", exitFailed, `wait: dead: dead-lettered as not_found: no such\x1b key`},
		{"small", exitDone, "small: skipped: too_small\n"},
		{"gone", exitFailed, "gone, so that nothing was made warm"},
		{"pending", exitTimeout, "timed out: the event is pending after 2 attempts: no luck yet"},
		{"redriven", exitDone, "warm (accepted)"},
		{"redriving", exitTimeout, "pending"},
		{"replayed", exitDone, "warm (accepted)"},
		{"dry", exitTimeout, "was it published?"},
		{"nobody", exitTimeout, "no replica of cluster default has had the event yet; was it published?"},
		{"s3://ckpt/warm", exitDone, "s3://ckpt/warm: warm (accepted)\n"},
		{"s3://ckpt/warm --require=synchronous", exitTimeout, "is known as accepted only"},
		{"cw://ckpt/verified --require=synchronous", exitDone, "warm (verified)"},
		{"s3://ckpt/overwritten", exitTimeout, "was overwritten since"},
		{"s3://ckpt/overwritten --any-version", exitDone, "warm (accepted)"},
		{"s3://ckpt/expired", exitTimeout, "PRESTAGE_DEDUPE_TTL"},
		{"s3://ckpt/nobody", exitTimeout, "nothing is on record"},
		{"s3://ckpt/tiny", exitDone, "s3://ckpt/tiny: skipped: too_small\n"},
		{"s3://ckpt/tiny --any-version", exitTimeout, "nothing is on record"},
		{"s3://ckpt/warm warm small", exitDone, "s3://ckpt/warm: warm"},
		{"nobody dead warm", exitFailed, "dead-lettered as not_found: no such\\x1b key (2 of 3 are not warm)"},
		{"s3://ckpt/", exitUsage, "a whole bucket"},
		{"s3://Bad_/x", exitUsage, "bucket name"},
		{"file:///x", exitUsage, "s3://"},
		{"warm --timeout=0s", exitUsage, "--timeout"},
		{"warm --require=hope", exitUsage, "--require"},
		{"", exitUsage, "<target>"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			args := append([]string{"wait", "--timeout=10s"}, strings.Fields(tt.args)...)
			if tt.code == exitTimeout {
				args[1] = "--timeout=3s"
			}
			code, stdout, stderr := program(p.environ, args...)
			if code != tt.code {
				t.Errorf("exit %d, want %d: %q, %q", code, tt.code, stdout, stderr)
			}
			if tt.code == exitDone && (!strings.Contains(stdout, tt.want) || stderr != "") {
				t.Errorf("%q, %q", stdout, stderr)
			}
			if tt.code != exitDone {
				oneLine(t, stderr, tt.want)
			}
		})
	}
}

// TestWaitDeleted: what was filled and is deleted is not warm; a store that
// fails is asked again.
func TestWaitDeleted(t *testing.T) {
	p := newPost(t)
	p.record(t, "a", etag, outcome.Accepted, time.Now())
	p.status.Store(http.StatusNotFound)
	code, _, stderr := program(p.environ, "wait", "s3://ckpt/a", "--timeout=3s")
	if code != exitTimeout || !strings.Contains(stderr, "is deleted") || p.heads.Load() != 1 {
		t.Errorf("exit %d after %d requests: %s", code, p.heads.Load(), stderr)
	}
	p.status.Store(http.StatusForbidden)
	if code, _, stderr := program(p.environ, "wait", "s3://ckpt/a", "--timeout=20s"); code != exitFailed || !strings.Contains(stderr, "403") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	p.status.Store(http.StatusServiceUnavailable)
	p.recovers.Store(2)
	if code, _, stderr := program(p.environ, "wait", "s3://ckpt/a", "--timeout=20s"); code != exitDone {
		t.Errorf("exit %d after the store came back: %s", code, stderr)
	}
}

// TestWaitWithoutPolling has a thousand waiters wait for what comes only later,
// and counts all that they ask of NATS and of the store: each bucket is looked up
// once, and each waiter has one watch.
func TestWaitWithoutPolling(t *testing.T) {
	const events, objects = 500, 500
	p := newPost(t)
	args := []string{"wait", "--timeout=2m", "--output=json"}
	for i := range events {
		args = append(args, fmt.Sprintf("event-%d", i))
	}
	for i := range objects {
		args = append(args, fmt.Sprintf("s3://ckpt/key-%d", i))
	}
	var mu sync.Mutex
	asked := map[string]int{} // of NATS, by what it is
	nc := p.srv.Conn(t)
	if _, err := nc.Subscribe("$JS.API.>", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		asked[strings.Join(strings.SplitN(m.Subject, ".", 5)[2:4], ".")]++
	}); err != nil {
		t.Fatal(err)
	}
	all := func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(asked)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	var code int
	var stdout, stderr string
	var ended sync.WaitGroup
	ended.Go(func() { code, stdout, stderr = program(p.environ, args...) })

	watching := map[string]int{"STREAM.INFO": 2, "CONSUMER.CREATE": events + objects}
	// The server is busy with the waiters, who look once whether LOTA would keep it.
	for deadline := time.Now().Add(time.Minute); all()["CONSUMER.CREATE"] < events+objects || p.heads.Load() < objects; {
		if time.Now().After(deadline) {
			t.Fatalf("asked for: %v, and %d times of the store", all(), p.heads.Load())
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	if diff := cmp.Diff(watching, all()); diff != "" {
		t.Errorf("asked of NATS before anything happened (-want +got):\n%s", diff)
	}
	if n := p.heads.Load(); n != objects {
		t.Errorf("%d requests to the store, want one for each object", n)
	}
	for i := range events {
		p.receipt(t, fmt.Sprintf("event-%d", i), uint64(i+1), consumer.Receipt{Outcome: consumer.Warm, Verdict: outcome.Accepted}, "")
	}
	for i := range objects {
		p.record(t, fmt.Sprintf("key-%d", i), etag, outcome.Accepted, time.Now())
	}
	ended.Wait()
	if n := strings.Count(stdout, `"outcome":"warm"`); code != exitDone || n != events+objects || stderr != "" {
		t.Errorf("exit %d, %d are warm: %s", code, n, stderr)
	}
	if n := p.heads.Load(); n != objects {
		t.Errorf("%d requests to the store, want no other where the version is the one that was seen", n)
	}
	// A watch that has ended is deleted; the program may be gone before all are.
	after := all()
	delete(after, "CONSUMER.DELETE")
	if diff := cmp.Diff(watching, after); diff != "" {
		t.Errorf("asked of NATS in all (-want +got):\n%s", diff)
	}
}

// TestWaitBeforePrestage waits from before there is a bucket to wait in.
func TestWaitBeforePrestage(t *testing.T) {
	t.Parallel()
	p := &post{srv: natstest.Start(t)}
	js := p.srv.JetStream(t)
	type ended struct {
		code           int
		stdout, stderr string
	}
	begin := func(args ...string) <-chan ended {
		c := make(chan ended, 1)
		go func() {
			code, stdout, stderr := program([]string{"NATS_URL=" + p.srv.URL()}, append([]string{"wait", "--timeout=1m"}, args...)...)
			c <- ended{code, stdout, stderr}
		}()
		return c
	}
	waiters := []<-chan ended{begin("a"), begin("s3://ckpt/b", "--any-version")}
	looks := p.srv.Conn(t)
	asked := make(chan *nats.Msg, 64)
	if _, err := looks.ChanSubscribe("$JS.API.STREAM.INFO.>", asked); err != nil {
		t.Fatal(err)
	}
	for range 2 { // both have looked, and found none
		select {
		case <-asked:
		case <-time.After(time.Minute):
			t.Fatal("nobody looks for a bucket")
		}
	}
	var err error
	if p.receipts, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: app.ReceiptsBucket}); err == nil {
		p.objects, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: app.ObjectsBucket})
	}
	if err != nil {
		t.Fatal(err)
	}
	p.receipt(t, "a", 1, consumer.Receipt{Outcome: consumer.Warm, Verdict: outcome.Accepted}, "")
	p.record(t, "b", etag, outcome.Accepted, time.Now())
	for _, w := range waiters {
		if e := <-w; e.code != exitDone || !strings.Contains(e.stdout, ": warm (accepted)") || e.stderr != "" {
			t.Errorf("exit %d: %q, %q", e.code, e.stdout, e.stderr)
		}
	}
}

// slowBuckets has no bucket, and says so late but for the first time.
type slowBuckets struct {
	jetstream.JetStream
	asked *int
}

func (b slowBuckets) KeyValue(ctx context.Context, _ string) (jetstream.KeyValue, error) {
	if *b.asked++; *b.asked > 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, jetstream.ErrBucketNotFound
}

// TestAppearingAtTheEnd: time may be over while the bucket is asked for once more.
func TestAppearingAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var asked int
		if _, err := appearing(ctx, slowBuckets{asked: &asked}, "b"); err == nil || !strings.Contains(err.Error(), "does prestage run?") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWaitNeedsPrestage(t *testing.T) {
	t.Parallel()
	_, environ := stream(t)
	for _, target := range []string{"x", "s3://ckpt/x"} {
		code, _, stderr := program(environ, "wait", target, "--timeout=6s")
		if code != exitTimeout {
			t.Errorf("%s: exit %d", target, code)
		}
		oneLine(t, stderr, "does prestage run?")
	}
}

// TestWaitForNATS: who waits may have been started before NATS, or while it is down.
func TestWaitForNATS(t *testing.T) {
	t.Parallel()
	p := &post{srv: natstest.Start(t)}
	js := p.srv.JetStream(t)
	var err error
	if p.receipts, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: app.ReceiptsBucket}); err != nil {
		t.Fatal(err)
	}
	p.receipt(t, "a", 1, consumer.Receipt{Outcome: consumer.Warm, Verdict: outcome.Accepted}, "")
	p.srv.Stop()
	code, stdout, stderr := program([]string{"NATS_URL=" + p.srv.URL()}, "wait", "a", "--timeout=2s")
	lines := strings.SplitAfter(stderr, "\n")
	if code != exitTimeout || stdout != "" || len(lines) != 3 {
		t.Fatalf("exit %d: %q, %q", code, stdout, stderr)
	}
	oneLine(t, lines[0], "no connection yet, trying on until --timeout")
	oneLine(t, lines[1], "nothing is known after 2s: connect to nats: nats: no servers available for connection; is NATS_URL right?")

	said, says := io.Pipe()
	var out bytes.Buffer
	var ended sync.WaitGroup
	ended.Go(func() {
		code = run([]string{"wait", "a", "--timeout=1m"}, world{environ: []string{"NATS_URL=" + p.srv.URL()}, stdout: &out, stderr: says})
		_ = says.Close()
	})
	if _, err := said.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p.srv.Restart(t)
	if _, err := io.Copy(io.Discard, said); err != nil {
		t.Error(err)
	}
	ended.Wait()
	if code != exitDone || !strings.Contains(out.String(), "a: warm (accepted)") {
		t.Errorf("exit %d: %q", code, out.String())
	}
}

// TestWaitForNoRefusal: a server that refuses us is not waited for.
func TestWaitForNoRefusal(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(config, []byte("authorization {user: u, password: right}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := natstest.StartWith(t, natstest.Options{Config: config})
	code, _, stderr := program([]string{"NATS_URL=" + srv.URL(), "NATS_USER=u", "NATS_PASSWORD=wrong"}, "wait", "a", "--timeout=10s")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	oneLine(t, stderr, "NATS_PASSWORD")
}
