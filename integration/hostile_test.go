package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
)

// maxRSS bounds the program's memory in bytes, however much one event lists.
const maxRSS = 200 << 20

// A pod of deployments/kubernetes has memoryLimit bytes, and collects garbage
// by memoryEnviron before it has used them up.
const (
	memoryLimit   = 512 << 20
	memoryEnviron = "GOMEMLIMIT=448MiB"
)

// largestPayload is what the server takes at most, and what the program reads.
const largestPayload = 8 << 20

// strangeKeys are legal names of objects.
var strangeKeys = []string{
	"line\n{\"time\":\"2026\",\"level\":\"ERROR\",\"msg\":\"forged\"}", "crlf\r\nPrestage-Reason: forged\r\n\r\n", "esc\x1b[2J\x07\x7f",
	"separator\u2028\u2029\u0085end", "../../../etc/passwd", "a/../../b", "%2e%2e%2f%00", "?X-Amz-Signature=1#fragment",
	"/leading", "//evil.example/k", "http://evil.example/k", "back\\slash\"quote'", "*.>", "$HOME`id`",
	strings.Repeat("k", 1024), "größe/模型/🙂", " ",
}

// strangeBuckets are no buckets of ours, and no part of the endpoint's domain.
var strangeBuckets = []string{
	"evil.example", "ckpt.cwlota.com.evil.example", "ckpt.cwobject.com", "a.b", "..", ".", "ckpt.", "UPPER", "under_score", "ckpt:80",
	"ckpt@evil.example", "ckpt#", "ckpt?x=", "ckpt%2eevil", "ckpt\r\nHost: evil.example", "ckpt\x00", "[::1]", "127.0.0.1",
	"169.254.169.254", "xn--ckpt", "cw-logs", "int", "ab", strings.Repeat("b", 64), "", " ckpt", "сkpt",
}

// strangePayloads are no events.
var strangePayloads = map[string]string{
	"the largest":        strings.Repeat("x", largestPayload),
	"the deepest list":   strings.Repeat("[", largestPayload),
	"the deepest object": strings.Repeat(`{"a":`, largestPayload/5),
	"empty lists":        "[" + strings.Repeat("[],", largestPayload/3-1) + "[]]",
	"empty objects":      `{"data":[` + strings.Repeat("{},", largestPayload/3-10) + "{}]}",
	"one long string":    `{"uri":"s3://ckpt/` + strings.Repeat("a", largestPayload-100) + `"}`,
	"one long number":    `{"uri":"s3://ckpt/k","total_bytes":` + strings.Repeat("9", largestPayload-100) + `}`,
	"too many objects":   `{"objects":[` + strings.Repeat(`{"uri":"s3://ckpt/k"},`, 100_000) + `{"uri":"s3://ckpt/k"}]}`,
	"nothing":            "",
	"null":               "null",
	"no UTF-8":           "{\"uri\":\"s3://ckpt/\xff\"}",
	"a lone surrogate":   `{"uri":"s3://ckpt/\ud800"}`,
	"a byte order mark":  "\ufeff{\"uri\":\"s3://ckpt/k\"}",
	"a member twice":     `{"uri":"s3://ckpt/k","uri":"s3://ckpt/l"}`,
	"two values":         `{"uri":"s3://ckpt/k"}{"uri":"s3://ckpt/l"}`,
	"lines of a log":     "\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\n",
}

// strangeURIs name no object that may be warmed.
var strangeURIs = []string{
	"s3://me:hunter2@ckpt/k", "s3://ckpt:9000/k", "http://ckpt.cwlota.com/k", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd",
	"//ckpt/k", "s3:///k", "s3:/ckpt/k", "s3:\\\\ckpt\\k", "gopher://evil.example/_GET", "s3://ckpt/nul\x00", "s3://ckpt/" + strings.Repeat("k", 1025),
}

// TestHostileEvents publishes what somebody who may publish could think of. Each
// event gets its one outcome, nothing is sent anywhere but to the bucket's host,
// and what is written about it is what we wrote.
func TestHostileEvents(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, natstest.Options{MaxPayload: largestPayload}, lotasim.Credential{AccessKeyID: accessKey, SecretAccessKey: secretKey}, nil)
	w.store.PutBytes(bucket, "elsewhere.json", []byte(`["s3://ckpt/plain","s3://other/k"]`))
	w.store.PutBytes(bucket, "outside.json", []byte(`[{"bucket":"evil.example","key":"k"}]`))
	w.store.PutBytes(bucket, "bomb.json", bytes.Repeat([]byte("["), 16<<20))
	w.store.PutBytes(bucket, "long.json", bytes.Repeat([]byte("["), 16<<20+1))
	w.put("plain")
	w.put(strangeKeys...)
	var astray atomic.Int32
	sentry := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { astray.Add(1) }))
	t.Cleanup(sentry.Close)
	p := launch(t, plainBuild, w.environ(t, "PRESTAGE_BUCKETS=ckpt", "LOG_LEVEL=debug", "PRESTAGE_MAX_ATTEMPTS=1",
		"HTTP_PROXY="+sentry.URL, "HTTPS_PROXY="+sentry.URL)).ready(t)

	want := make(map[uint64]end)
	send := func(e end, m *nats.Msg) { want[w.publish(t, m)] = e }
	event := func(e end, id string, data map[string]any) { send(e, checkpointEvent(t, id, data)) }
	malformed := end{"dead_lettered", "malformed"}
	for name, payload := range strangePayloads {
		m := nats.NewMsg(checkpointSubject)
		m.Header.Set("X-Name", name)
		m.Data = []byte(payload[:min(len(payload), largestPayload-512)]) // headers count
		send(malformed, m)
	}
	for i, key := range strangeKeys {
		event(warm, fmt.Sprint("key-", i), map[string]any{"bucket": bucket, "objects": []map[string]any{{"key": key}}})
	}
	for i, b := range strangeBuckets {
		event(malformed, fmt.Sprint("bucket-", i), map[string]any{"bucket": b, "objects": []map[string]any{{"key": "k"}}})
		event(malformed, fmt.Sprint("prefix-", i), map[string]any{"uri": "s3://" + b + "/p/"})
	}
	for i, u := range strangeURIs {
		event(malformed, fmt.Sprint("uri-", i), map[string]any{"uri": u})
		event(malformed, fmt.Sprint("manifest-", i), map[string]any{"manifest": u})
	}
	for id, e := range map[string]end{
		"*.>": warm, "a b.c": warm, "$KV.prestage_receipts.>": warm,
		"a\nb\r\n{\"msg\":\"forged\"}": malformed, "\x1b[2J": malformed, "\x00": malformed, strings.Repeat("i", 100<<10): malformed,
	} {
		event(e, id, map[string]any{"uri": uri("plain")})
	}
	event(end{"dead_lettered", "bucket_not_allowed"}, "other", map[string]any{"uri": "s3://127-0-0-1/k"})
	event(end{"dead_lettered", "bucket_not_allowed"}, "elsewhere", map[string]any{"manifest": uri("elsewhere.json")})
	event(end{"dead_lettered", "unsupported"}, "whole", map[string]any{"uri": "s3://ckpt/"})
	for _, m := range []string{"outside.json", "bomb.json", "long.json"} {
		event(malformed, m, map[string]any{"manifest": uri(m)})
	}

	w.settled(t)
	got := make(map[uint64]end)
	for _, r := range w.receipts(t) {
		if _, twice := got[r.StreamSeq]; twice {
			t.Errorf("message %d has two receipts", r.StreamSeq)
		}
		got[r.StreamSeq] = end{r.Outcome, r.Reason}
	}
	for seq, e := range want {
		if got[seq] != e {
			m := w.storedAt(t, seq)
			t.Errorf("message %d ended as %+v, want %+v: %v %.100q", seq, got[seq], e, m.Header, m.Data)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d receipts, want %d", len(got), len(want))
	}
	peak := p.peakMemory(t)
	t.Logf("%d events took %d MiB at most", len(want), peak>>20)
	if peak > memoryLimit {
		t.Errorf("peak memory is %d MiB, want at most %d MiB", peak>>20, memoryLimit>>20)
	}
	p.stop(t)

	for _, r := range w.lota.History(lotasim.Filter{}) {
		if r.Host != bucket+".cwlota.com" || r.Listener != lotasim.ListenerLOTA {
			t.Errorf("a request to another host: %+v", r)
		}
	}
	w.lota.mustHaveAsked(t, once(append([]string{"plain"}, strangeKeys...)...))
	if n := astray.Load(); n > 0 {
		t.Errorf("%d requests were sent through a proxy", n)
	}
	p.mustLogJSON(t)
	for subject := range w.subjects(t, lettersStream) {
		for name, values := range w.last(t, lettersStream, subject).Header {
			text := strings.Join(values, "")
			if strings.HasPrefix(name, "Prestage-") && (strings.ContainsFunc(text, unicode.IsControl) || len(text) > 4096) {
				t.Errorf("%s: header %s is %.200q", subject, name, text)
			}
		}
	}
}

// mustLogJSON wants each line on standard error to be one of ours.
func (p *program) mustLogJSON(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(p.stderr.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["time"] == nil || fields["level"] == nil || fields["msg"] == "forged" {
			t.Errorf("a line that is no log entry of ours: %.300q", line)
		}
	}
}

// TestHugeManifest has a manifest of 16 MiB, the most that is read: the program
// holds its text, not the 700,000 objects that it lists.
func TestHugeManifest(t *testing.T) {
	t.Parallel()
	text := []byte(`{"objects":[{"key":"last.ckpt"}`)
	listed := 1
	for ; len(text) < 16<<20-30; listed++ {
		text = fmt.Appendf(text, `,{"key":"%x","size":1}`, listed)
	}
	text = append(text, "]}"...)
	w := newWorld(t, nil)
	w.put("last.ckpt")
	w.store.PutBytes(bucket, "manifest.json", text)
	p := launch(t, plainBuild, w.environ(t)).ready(t)
	r := w.ends(t, w.checkpoint(t, "huge", map[string]any{"manifest": uri("manifest.json")}), "warm")
	if diff := cmp.Diff(counts{Total: listed, Filled: 1, Skipped: listed - 1}, r.Objects); diff != "" {
		t.Errorf("receipt's counts (-want +got):\n%s", diff)
	}
	peak := p.peakMemory(t)
	t.Logf("%d objects took %d MiB at most", listed, peak>>20)
	if peak > maxRSS {
		t.Errorf("peak memory is %d MiB, want at most %d MiB", peak>>20, maxRSS>>20)
	}
	w.lota.mustHaveAsked(t, once("last.ckpt"))
}

// TestManifestOfMany has one event name 100,000 objects by manifest, with
// INTEGRATION_LONG=1 a million, all of which are filled.
func TestManifestOfMany(t *testing.T) {
	t.Parallel()
	const each = 10_000 // objects of a bucket: so short are URIs of which a million fit
	listed := 10 * each
	if os.Getenv("INTEGRATION_LONG") == "1" {
		listed = 100 * each
	}
	w := newWorld(t, nil)
	text := []byte("[")
	for b := range listed / each {
		name := fmt.Sprintf("a%02d", b)
		w.store.CreateBucket(name)
		if err := w.store.AddRange(name, "%04d", each, large); err != nil {
			t.Fatal(err)
		}
		for i := range each {
			text = fmt.Appendf(text, `"s3://%s/%04d",`, name, i)
		}
	}
	text[len(text)-1] = ']'
	w.store.PutBytes(bucket, "manifest.json", text)
	p := launch(t, plainBuild, w.environ(t, "PRESTAGE_CONFIRM=response")).ready(t)
	s := w.checkpoint(t, "many", map[string]any{"manifest": uri("manifest.json")})
	w.progress(t, int64(listed))
	r := w.ends(t, s, "warm")
	if diff := cmp.Diff(counts{Total: listed, Filled: listed}, r.Objects); diff != "" {
		t.Errorf("receipt's counts (-want +got):\n%s", diff)
	}
	peak := p.peakMemory(t)
	t.Logf("%d objects took %d MiB at most and %.1f s", listed, peak>>20, r.Seconds)
	if peak > maxRSS {
		t.Errorf("peak memory is %d MiB, want at most %d MiB", peak>>20, maxRSS>>20)
	}
	// As many fills as requests: an object that is asked for again has none.
	fills := int64(listed)
	if len(text) > small { // the manifest was read, which fills it, too
		fills++
	}
	if c := w.lota.Counters(); c.RangeRequests != int64(listed) || c.FillsStarted != fills {
		t.Errorf("%d ranged HEADs, %d fills, want %d and %d", c.RangeRequests, c.FillsStarted, listed, fills)
	}
}

// TestLargePayloads has more events wait than a lane has slots, each as large as
// the program reads: it takes a few of them at a time.
func TestLargePayloads(t *testing.T) {
	t.Parallel()
	const events = 64
	w := newWorldWith(t, natstest.Options{MaxPayload: largestPayload}, lotasim.Credential{AccessKeyID: accessKey, SecretAccessKey: secretKey}, synchronous)
	p := launch(t, plainBuild, w.environ(t, memoryEnviron)).ready(t)
	hold := w.lota.holdFills(t)
	tail := strings.Repeat("k", 130)
	var sents []sent
	for i := range events {
		objects := make([]map[string]any, 49_999)
		for j := range objects {
			objects[j] = map[string]any{"key": fmt.Sprintf("%05d%s", j, tail), "size": 1}
		}
		key := fmt.Sprintf("event-%d.pt", i)
		w.put(key)
		sents = append(sents, w.checkpoint(t, key, map[string]any{"bucket": bucket, "objects": append(objects, map[string]any{"key": key})}))
	}
	w.lota.filling(t, 4)
	throughout(t, 3*time.Second, func() {
		if n := w.durable(t, checkpointDurable).NumAckPending; n != 4 { // of 32 MiB
			t.Errorf("%d events are in hand", n)
		}
	})
	hold.Release()
	for _, s := range sents {
		w.ends(t, s, "warm")
	}
	peak := p.peakMemory(t)
	t.Logf("%d events of %d bytes took %d MiB at most", events, len(w.storedAt(t, sents[0].seq).Data), peak>>20)
	if peak > memoryLimit {
		t.Errorf("peak memory is %d MiB, want at most %d MiB", peak>>20, memoryLimit>>20)
	}
}

// TestAnswerNobodyAskedFor has a server send a second answer after each. What
// net/http says of that is a line of the log like any other.
func TestAnswerNobodyAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		const answer = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 10000000\r\n\r\n"
		_, _ = c.Write([]byte(answer + "\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\n"))
		_, _ = c.Read(make([]byte, 1)) // until the client hangs up
	}))
	t.Cleanup(srv.Close)
	p := launch(t, raceBuild, w.environOf(t, srv.Listener.Addr().String())).ready(t)
	w.ends(t, w.object(t, "event", "last.ckpt"), "warm")
	p.says(t, "Unsolicited response")
	p.stop(t)
	p.mustLogJSON(t)
}
