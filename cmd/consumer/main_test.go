package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/logging"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/outcome"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("os/signal.loop"), // once started, it stays
	)
}

// program runs the program in this process.
func program(environ []string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, world{environ: environ, stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

// oneLine checks that stderr is one line for people.
func oneLine(t *testing.T, stderr, want string) {
	t.Helper()
	if !strings.HasPrefix(stderr, "prestage: ") || strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n") {
		t.Errorf("not one line: %q", stderr)
	}
	if !strings.Contains(stderr, want) {
		t.Errorf("%q does not say %q", stderr, want)
	}
	if strings.Contains(stderr, "hush") {
		t.Errorf("a secret: %q", stderr)
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"publish", "--help"}, {"run", "--help"}, {"--version"}} {
		code, stdout, stderr := program(nil, args...)
		if code != exitDone || stderr != "" || strings.TrimSpace(stdout) == "" {
			t.Errorf("%q: %d, %q, %q", args, code, stdout, stderr)
		}
	}
	if _, stdout, _ := program(nil, "--version"); strings.TrimSpace(stdout) != build().String() || strings.Count(stdout, "\n") != 1 {
		t.Errorf("--version: %q", stdout)
	}
	_, stdout, _ := program(nil, "--help")
	for _, command := range []string{"run", "dev", "replay", "warm", "plan", "publish", "wait", "status", "pause", "resume", "reconcile", "dlq", "doctor", "lotasim"} {
		if !strings.Contains(stdout, "\n  "+command) {
			t.Errorf("--help does not name %s:\n%s", command, stdout)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args    []string
		environ []string
		want    string
	}{
		{[]string{"nonsense"}, nil, "nonsense"},
		{[]string{"--nonsense"}, nil, "--nonsense"},
		{[]string{"two\nlines"}, nil, "two lines"},
		{[]string{"run", "--nonsense"}, nil, "--nonsense"},
		{[]string{"publish", "s3://ckpt/a", "--kind", "x"}, nil, "--kind"},
		{[]string{"publish", "s3://ckpt/a", "--timeout", "soon"}, nil, "soon"},
		{[]string{"publish", "s3://ckpt/a", "--output", "yaml"}, nil, "--output"},
		{[]string{"publish", "s3://ckpt/a", "s3://ckpt/b"}, nil, "s3://ckpt/b"},
		{[]string{"publish"}, nil, "name a URI or a --manifest"},
		{[]string{"publish", "s3://ckpt/a", "--manifest", "s3://ckpt/m"}, nil, "name a URI or a --manifest"},
		{[]string{"publish", "/tmp/a"}, nil, "not an object URI"},
		{[]string{"publish", "s3://id:hush@ckpt/a"}, nil, "credentials"},
		{[]string{"publish", "s3://b/k"}, nil, "prestage: publish: data.uri: bucket name of 1 characters: 3 to 63 are legal\n"},
		{[]string{"publish", "s3://ckpt/"}, nil, "bucket"},
		{[]string{"publish", "s3://ckpt/a", "--subject", "a b"}, nil, "cannot be published to"},
		{[]string{"publish", "s3://ckpt/a"}, []string{"PRESTAGE_CHECKPOINT_SUBJECTS=a.*"}, "--subject"},
		{[]string{"publish", "s3://ckpt/a"}, []string{"NATS_URL=nats://u:hush@"}, `NATS_URL="nats://***@": want`},
		{[]string{"run"}, []string{"LOTA_ENDPOINT=https://cwobject.com"}, `LOTA_ENDPOINT="https://cwobject.com": the primary endpoint`},
		{nil, []string{"LOTA_ENDPOINT=http://s3.test"}, `LOTA_ENDPOINT="http://s3.test": not known to be LOTA`},
		{nil, []string{"PRESTAGE_DRY_RUN=yes"}, `PRESTAGE_DRY_RUN="yes": want true or false`},
		{nil, []string{"PRESTAGE_RULES=/no/such"}, "PRESTAGE_RULES: /no/such: no such file or directory"},
		{[]string{"warm", "s3://ckpt/a"}, []string{"PRESTAGE_RULES=/no/such"}, "PRESTAGE_RULES: /no/such: no such file"},
		{[]string{"plan", "s3://ckpt/a"}, []string{"PRESTAGE_RULES=/dev/null"}, "PRESTAGE_RULES: /dev/null: this is no regular file"},
		{[]string{"dev", "--rules", "/no/such"}, nil, "/no/such"},
		{[]string{"publish", "s3://ckpt/a"}, []string{"NATS_CA=/no/such"}, `NATS_CA="/no/such": want`},
		{[]string{"doctor"}, []string{"NATS_CREDS=/dev/null"}, `NATS_CREDS="/dev/null": want`},
		{nil, []string{"PRESTAGE_BUCKETS="}, "PRESTAGE_BUCKETS: set but empty"},
		{[]string{"warm"}, nil, "uri"},
		{[]string{"plan"}, nil, "uri"},
		{[]string{"warm", "s3://ckpt/a", "--output", "yaml"}, nil, "--output"},
		{[]string{"plan", "s3://ckpt/a", "--output", "yaml"}, nil, "--output"},
		{[]string{"doctor", "--output", "yaml"}, nil, "--output"},
		{[]string{"doctor", "--bucket", "ckpt", "--uri", "s3://ckpt/a"}, nil, "--bucket"},
		{[]string{"doctor", "--bucket", "NoBucket"}, nil, "NoBucket"},
		{[]string{"doctor", "--uri", "ckpt"}, nil, "not an object URI"},
		{[]string{"dev", "more"}, nil, "more"},
		{[]string{"dev", "--nats-port", "70000"}, nil, "--nats-port"},
		{[]string{"dev", "--sim-port", "-1"}, nil, "--sim-port"},
		{[]string{"dev", "--gateway-port", "70000"}, nil, "dev: --gateway-port=70000"},
		{[]string{"lotasim", "--nodes", "0"}, nil, "0 nodes"},
		{[]string{"lotasim", "--drop", "2"}, nil, "drop"},
		{[]string{"lotasim", "--get-during-fill", "x"}, nil, "--get-during-fill"},
		{[]string{"lotasim", "--lota-addr", "9000"}, nil, "--lota-addr"},
		{[]string{"lotasim", "--admin-addr", "127.0.0.1:x"}, nil, "--admin-addr"},
		{[]string{"lotasim", "--second-lota-addr", "x"}, nil, "--second-lota-addr"},
		{[]string{"lotasim", "--bucket", "A_B"}, nil, "A_B"},
		{[]string{"lotasim", "--access-key", ""}, nil, "--access-key"},
		{[]string{"lotasim", "more"}, nil, "more"},
		{[]string{"lotasim"}, []string{"LOG_FORMAT=xml"}, `LOG_FORMAT="xml": want text or json`},
		{[]string{"dev"}, []string{"LOG_LEVEL=loud"}, `LOG_LEVEL="loud": want`},
		{[]string{"gateway", "more"}, nil, "more"},
		{[]string{"gateway"}, []string{"PRESTAGE_GATEWAY_ADDR=8081"}, `PRESTAGE_GATEWAY_ADDR="8081": want host:port`},
		{[]string{"gateway"}, []string{"PRESTAGE_GATEWAY_ADDR=127.0.0.1:0", "PRESTAGE_GATEWAY_TOKENS_FILE=/no/such"}, `PRESTAGE_GATEWAY_TOKENS_FILE="/no/such"`},
		{nil, []string{"PRESTAGE_CONCURRENCY=many"}, `PRESTAGE_CONCURRENCY="many": want a whole number`},
	} {
		t.Run(strings.Join(slices.Concat(tt.environ, tt.args), " "), func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := program(tt.environ, tt.args...)
			if code != exitUsage || stdout != "" {
				t.Errorf("exit %d, %q", code, stdout)
			}
			if tt.want == "malformed" { // the decoder's own words
				tt.want = "s3://"
			}
			oneLine(t, stderr, tt.want)
		})
	}
}

func TestBusyPort(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	code, _, stderr := program([]string{"PRESTAGE_HTTP_ADDR=" + l.Addr().String()}, "run")
	if code != exitUsage {
		t.Errorf("exit %d", code)
	}
	oneLine(t, stderr, "PRESTAGE_HTTP_ADDR=")
}

func TestExit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{errors.New("x"), exitFailed},
		{fmt.Errorf("wrapped: %w", &app.SettingError{Name: "X", Want: "y"}), exitUsage},
		{fmt.Errorf("wrapped: %w", &exitError{exitTimeout, errors.New("late")}), exitTimeout},
		{fmt.Errorf("stream EVENTS: %w", nats.ErrNoResponders), exitFailed},
	} {
		var errs bytes.Buffer
		if got := (world{stderr: &errs}).exit(tt.err); got != tt.want {
			t.Errorf("%v: exit %d", tt.err, got)
		}
		if tt.err != nil {
			oneLine(t, errs.String(), tt.err.Error())
		}
	}
	if cause := errors.New("x"); !errors.Is(&exitError{1, cause}, cause) {
		t.Error("the cause is lost")
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"": `{"time":`, "json": `{"time":`, "text": "time="} {
		var errs bytes.Buffer
		log := (world{stderr: &errs}).logger(app.Config{LogFormat: format})
		log.Debug("quiet")
		log.Info("loud")
		if got := errs.String(); !strings.HasPrefix(got, want) || strings.Contains(got, "quiet") {
			t.Errorf("%q: %q", format, got)
		}
		errs.Reset()
		quiet := (world{stderr: &errs, environ: []string{"LOG_FORMAT=" + format, "PRESTAGE_CLUSTER="}}).quietLogger()
		quiet.Info("quiet")
		quiet.Warn("loud")
		if got := errs.String(); !strings.HasPrefix(got, want) || strings.Contains(got, "quiet") {
			t.Errorf("of a command, %q: %q", format, got)
		}
	}
}

// stream is a server with the stream EVENTS.
func stream(t *testing.T) (jetstream.JetStream, []string) {
	t.Helper()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	newEvents(t, js)
	return js, []string{"NATS_URL=" + srv.URL()}
}

func newEvents(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}}); err != nil {
		t.Fatal(err)
	}
}

// TestSDKLogs has the AWS SDK say something, as when it looks for credentials.
func TestSDKLogs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c, err := loadAWS(t.Context(), slog.New(slog.NewJSONHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c.Logger.Logf(logging.Debug, "nobody asked")
	c.Logger.Logf(logging.Warn, "falling back to %s", "IMDSv1")
	var line struct{ Level, Msg, Text string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, &out)
	}
	if line.Level != "WARN" || line.Msg != "aws sdk" || line.Text != "falling back to IMDSv1" {
		t.Errorf("said %q", &out)
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	js, environ := stream(t)
	for i, tt := range []struct {
		args          []string
		subject, body string
	}{
		{[]string{"s3://ckpt/a"}, "events.checkpoint.written", `"source":"/prestage/publish"`},
		{[]string{"s3://ckpt/run-7/", "--run", "run-7", "--step", "0", "--complete"}, "events.checkpoint.written.run-7", `"step":0,"complete":true`},
		{[]string{"s3://models/m/", "--model", "llama", "--model-version", "3"}, "events.model.published.llama", `"type":"ai.model.published.v1"`},
		{[]string{"s3://models/m/", "--kind", "model"}, "events.model.published", `"type":"ai.model.published.v1"`},
		{[]string{"--manifest", "s3://ckpt/list.json", "--subject", "events.other"}, "events.other", `"manifest":"s3://ckpt/list.json"`},
		{[]string{"s3://ckpt/a", "--id", "mine", "--source", "/me"}, "events.checkpoint.written", `"source":"/me","id":"mine"`},
	} {
		code, stdout, stderr := program(environ, append([]string{"publish"}, tt.args...)...)
		seq := uint64(i + 1)
		if code != exitDone || stderr != "" || !strings.HasPrefix(stdout, "stored ") || !strings.HasSuffix(stdout, fmt.Sprintf(" as EVENTS/%d\n", seq)) {
			t.Errorf("%q: exit %d, %q, %q", tt.args, code, stdout, stderr)
			continue
		}
		s, err := js.Stream(t.Context(), "EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil || m.Subject != tt.subject || !strings.Contains(string(m.Data), tt.body) {
			t.Errorf("%q: on %s: %s, %v", tt.args, m.Subject, m.Data, err)
		}
	}
	code, stdout, _ := program(environ, "publish", "s3://ckpt/a", "--id", "mine", "--source", "/me", "--output", "json")
	var sent struct {
		ID        string `json:"event_id"`
		Seq       uint64 `json:"stream_seq"`
		Duplicate bool   `json:"duplicate"`
	}
	if err := json.Unmarshal([]byte(stdout), &sent); err != nil || code != exitDone || sent.ID != "mine" || sent.Seq != 6 || !sent.Duplicate {
		t.Errorf("again: exit %d, %s, %v", code, stdout, err)
	}
	code, stdout, _ = program(environ, "publish", "s3://ckpt/a", "--id", "mine", "--source", "/me")
	if code != exitDone || stdout != "already in the stream: mine is EVENTS/6\n" {
		t.Errorf("again: exit %d, %q", code, stdout)
	}
	// What is the daemon's, or everybody's, is no business of publish.
	others := append([]string{"PRESTAGE_RULES=r", "MLFLOW_TRACKING_URI=http://mlflow", "OTEL_EXPORTER_OTLP_ENDPOINT=http://otel"}, environ...)
	if code, _, stderr := program(others, "publish", "s3://ckpt/a"); code != exitDone || stderr != "" {
		t.Errorf("others' settings: exit %d, %q", code, stderr)
	}
	// A list with spaces, as people write it.
	if code, stdout, stderr := program(append(environ, "PRESTAGE_CHECKPOINT_SUBJECTS= events.x , events.y"), "publish", "s3://ckpt/a"); code != exitDone {
		t.Errorf("spaces: exit %d, %q, %q", code, stdout, stderr)
	}
}

func TestPublishFails(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	environ := []string{"NATS_URL=" + strings.Replace(srv.URL(), "nats://", "nats://u:hush@", 1)}
	code, stdout, stderr := program(environ, "publish", "s3://ckpt/a")
	if code != exitFailed || stdout != "" {
		t.Errorf("no stream: exit %d, %q", code, stdout)
	}
	oneLine(t, stderr, `no stream takes the subject "events.checkpoint.written"`)

	js := srv.JetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"events.>"}}); err != nil {
		t.Fatal(err)
	}
	code, _, stderr = program(environ, "publish", "s3://ckpt/a")
	if code != exitFailed {
		t.Errorf("another stream: exit %d", code)
	}
	oneLine(t, stderr, "belongs to the stream OTHER")

	code, _, stderr = program(append(environ, "PRESTAGE_STREAM=OTHER"), "publish", "s3://ckpt/a", "--wait")
	if code != exitFailed {
		t.Errorf("nobody writes receipts: exit %d", code)
	}
	oneLine(t, stderr, "there are no receipts to wait for")

	srv.Stop()
	code, stdout, stderr = program(environ, "publish", "s3://ckpt/a")
	if code != exitFailed || stdout != "" {
		t.Errorf("no server: exit %d, %q", code, stdout)
	}
	oneLine(t, stderr, "is NATS_URL right?")
}

func TestPublishWaits(t *testing.T) {
	t.Parallel()
	js, environ := stream(t)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: app.ReceiptsBucket})
	if err != nil {
		t.Fatal(err)
	}
	receipt := func(id string, seq uint64, r consumer.Receipt) {
		value, err := json.Marshal(r)
		if err != nil {
			t.Error(err)
		}
		if _, err := kv.Put(context.Background(), consumer.ReceiptKey("default", id, "/s", "EVENTS", seq), value); err != nil {
			t.Error(err)
		}
	}
	for i, tt := range []struct {
		name           string
		receipt        consumer.Receipt
		code           int
		stdout, stderr string
	}{
		{"warm", consumer.Receipt{StreamTime: time.Now(), Outcome: consumer.Warm, Verdict: outcome.Accepted, Bytes: 9}, exitDone, "warm (accepted): ", ""},
		{"skipped", consumer.Receipt{StreamTime: time.Now(), Outcome: consumer.Skipped, Reason: outcome.TooSmall}, exitDone, "skipped: too_small\n", ""},
		{"gone", consumer.Receipt{StreamTime: time.Now(), Outcome: consumer.Skipped, Reason: outcome.Gone}, exitFailed, "", "skipped: gone, so that nothing was made warm"},
		{"dead", consumer.Receipt{StreamTime: time.Now(), Outcome: consumer.DeadLettered, Reason: outcome.NotFound, Error: "no such key"}, exitFailed, "", "dead-lettered as not_found: no such key"},
		{"pending", consumer.Receipt{StreamTime: time.Now(), Outcome: consumer.Pending, Error: "no luck yet"}, exitTimeout, "", `not warm after 2s; last error: "no luck yet"`},
		{"busy", consumer.Receipt{StreamTime: time.Now(), Outcome: consumer.Pending}, exitTimeout, "", `not warm after 2s; it is being worked on`},
		{"none", consumer.Receipt{}, exitTimeout, "", `stored none as EVENTS/7, not warm after 2s; it has no receipt yet: does prestage run for the cluster "default"`},
	} {
		if tt.receipt.Outcome != "" {
			receipt(tt.name, uint64(i+1), tt.receipt) // it is there already, which a fast daemon does too
		}
		timeout := "20s"
		if tt.code == exitTimeout {
			timeout = "2s"
		}
		begun := time.Now()
		code, stdout, stderr := program(environ, "publish", "s3://ckpt/a", "--id", tt.name, "--source", "/s", "--wait", "--timeout", timeout)
		if code != tt.code || !strings.HasPrefix(stdout, tt.stdout) || (tt.stdout == "") != (stdout == "") || time.Since(begun) > 15*time.Second {
			t.Errorf("%s: exit %d, %q", tt.name, code, stdout)
		}
		if tt.stderr == "" {
			if stderr != "" {
				t.Errorf("%s: %q", tt.name, stderr)
			}
			continue
		}
		oneLine(t, stderr, tt.stderr)
	}
}

// TestExitIsVisible: what an error quotes may come from anybody.
func TestExitIsVisible(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	code := world{stderr: &errs}.exit(errors.New("key a\x1b[2Jb:\nno such"))
	if got, want := errs.String(), "prestage: key a\\x1b[2Jb: no such\n"; code != exitFailed || got != want {
		t.Errorf("exit %d, %q, want %q", code, got, want)
	}
}
