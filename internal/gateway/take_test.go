package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/publish"
)

const (
	bearerHeader = "Authorization: Bearer " + token

	structured = `{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":"/train/run-7","id":"run-7-step-100","data":{"uri":"s3://ckpt/run-7/step-100/","run":"run-7"}}`
	s3Body     = `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"ckpt"},"object":{"key":"run+1/a%2Bb","size":5}}}]}`
	harborBody = `{"type":"PUSH_ARTIFACT","occur_at":1760000000,"operator":"admin","event_data":{"resources":[{"digest":"sha256:00","tag":"v3"}],"repository":{"repo_full_name":"models/llama"}}}`
	hubBody    = `{"event":{"action":"update","scope":"repo.content"},"repo":{"type":"model","name":"org/x"},"updatedRefs":[{"ref":"refs/heads/main","newSha":"a"}]}`
	imageBody  = `{"events":[{"id":"1","action":"push","target":{"mediaType":"application/octet-stream","digest":"sha256:00","size":1,"repository":"x"}}]}`
)

// signedMLflow are the headers of a delivery that is sent now.
func signedMLflow(id, body string) []string {
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	return []string{"X-MLflow-Delivery-Id: " + id, "X-MLflow-Timestamp: " + stamp, "X-MLflow-Signature: " + sign(id, stamp, body), "Content-Type: application/json"}
}

// TestRoutes sends what each route is for, and looks at what the stream has: the
// body as it came, and headers that make the consumer read what was meant.
func TestRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	type want struct {
		subject, id, source string // id "": <stream>/<seq>
		format              events.Format
		messageID           bool
	}
	for _, tt := range []struct {
		name, path, body string
		headers          []string
		want
	}{
		{
			"structured", "/v1/events", structured,
			[]string{bearerHeader, "Content-Type: application/cloudevents+json; charset=utf-8"},
			want{"events.checkpoint.written.run-7", "run-7-step-100", "/train/run-7", "cloudevents", true},
		},
		{
			"structured without its type", "/v1/events", strings.Replace(structured, "-100", "-101", 1),
			[]string{bearerHeader},
			want{"events.checkpoint.written.run-7", "run-7-step-101", "/train/run-7", "cloudevents", true},
		},
		{
			"binary", "/v1/events", `{"uri":"s3://models/llama/","model":"llama"}`,
			[]string{bearerHeader, "Content-Type: application/json", "CE-SpecVersion: 1.0", "ce-id: a%20b", "ce-source: /ci", "ce-type: ai.model.published.v1", "X-Other: kept out"},
			want{"events.model.published.llama", "a b", "/ci", "cloudevents", true},
		},
		{
			"native", "/v1/events", `{"uri":"s3://ckpt/last.ckpt","run":"run-7"}`,
			[]string{bearerHeader, "Content-Type: application/json"},
			want{"events.checkpoint.written.run-7", "", "", "native", false},
		},
		{
			"native model", "/v1/events", `{"uri":"s3://models/llama/","model":"llama"}`,
			[]string{bearerHeader},
			want{"events.model.published.llama", "", "", "native", false},
		},
		{
			"native with a name that is no token", "/v1/events", `{"uri":"s3://ckpt/last.ckpt","run":"run 7.>"}`,
			[]string{bearerHeader},
			want{"events.checkpoint.written", "", "", "native", false},
		},
		{
			"a store's record as a CloudEvent", "/v1/events", `{"specversion":"1.0","id":"i","source":"s","type":"com.amazonaws.s3.ObjectCreated:Put","data":` + strings.TrimSuffix(strings.TrimPrefix(s3Body, `{"Records":[`), `]}`) + `}`,
			[]string{bearerHeader},
			want{"events.object.created", "i", "s", "cloudevents", true},
		},
		{"S3", "/hooks/s3", s3Body, []string{bearerHeader}, want{"events.object.created", "", "", "s3", true}},
		{
			"SNS", "/hooks/s3", `{"Type":"Notification","MessageId":"m","TopicArn":"arn:t","Message":"{\"Event\":\"s3:TestEvent\"}"}`,
			[]string{"Authorization: Basic c25zOmEtdG9rZW4tZm9yLWV2ZW50cw=="},
			want{"events.object.created", "m", "arn:t", "s3", true},
		},
		{
			"SNS before it is confirmed", "/hooks/s3", `{"Type":"SubscriptionConfirmation","MessageId":"c","TopicArn":"arn:t","Message":"You have chosen"}`,
			[]string{bearerHeader},
			want{"events.object.created", "c", "arn:t", "sns", true},
		},
		{"MLflow", "/hooks/mlflow", mlflowBody, signedMLflow("d1", mlflowBody), want{"events.model.published.llama", "d1", "/hooks/mlflow", "mlflow", true}},
		{"W&B", "/hooks/wandb", wandbBody, []string{"X-Wandb-Signature: " + wandbSig, "Authorization: Bearer of-wandb"}, want{"events.model.published", "", "", "wandb", true}},
		{"Hugging Face", "/hooks/huggingface", hubBody, []string{"X-Webhook-Secret: " + secret}, want{"events.model.published", "", "", "huggingface", true}},
		{"Harbor", "/hooks/harbor", harborBody, []string{"Authorization: " + secret}, want{"events.model.published", "", "", "harbor", true}},
		{
			"distribution", "/hooks/distribution", imageBody,
			[]string{bearerHeader, "Content-Type: application/vnd.docker.distribution.events.v2+json"},
			want{"events.model.published", "", "", "distribution", true},
		},
	} {
		a := b.post(t, tt.path, tt.body, tt.headers...)
		s := a.sent(t)
		id := tt.id
		if id == "" {
			id = fmt.Sprintf("EVENTS/%d", s.Seq)
		}
		if diff := cmp.Diff(publish.Sent{ID: id, Source: tt.source, Subject: tt.subject, Stream: "EVENTS", Seq: s.Seq}, s); diff != "" {
			t.Errorf("%s: answer (-want +got):\n%s", tt.name, diff)
		}
		m := b.message(t, s.Seq)
		if string(m.Data) != tt.body || m.Subject != tt.subject {
			t.Errorf("%s: stored on %s: %s", tt.name, m.Subject, m.Data)
		}
		if has := m.Header.Get(nats.MsgIdHdr) != ""; has != tt.messageID {
			t.Errorf("%s: a message id: %v, want %v", tt.name, has, tt.messageID)
		}
		if leak := fmt.Sprint(m.Header); strings.Contains(leak, secret) || strings.Contains(leak, token) || strings.Contains(leak, "kept out") || strings.Contains(leak, "of-wandb") {
			t.Errorf("%s: headers that nobody needs, or secrets: %v", tt.name, leak)
		}
		ev, err := events.Decode(events.Message{Stream: "EVENTS", Seq: s.Seq, Time: m.Time, Subject: m.Subject, Header: m.Header, Data: m.Data})
		if ev.ID != s.ID || ev.Source != s.Source || ev.Format != tt.format || err != nil {
			t.Errorf("%s: read as %s, id %q, source %q, error %v", tt.name, ev.Format, ev.ID, ev.Source, err)
		}
		if loc := a.header.Get("Location"); !strings.HasPrefix(loc, "/v1/events?id=") {
			t.Errorf("%s: Location %q", tt.name, loc)
		}
	}
	for _, s := range []string{token, secret, wandbSig, "of-wandb"} {
		if strings.Contains(b.log.String(), s) {
			t.Errorf("the log tells %q", s)
		}
	}
}

// TestRefusals: what is refused is not in the stream, and whoever sent it learns
// what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	stale := strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		detail                   string // part of it
	}{
		{"no token", "POST", "/v1/events", structured, nil, 401, "PRESTAGE_GATEWAY_TOKENS"},
		{"another's token", "POST", "/v1/events", structured, []string{"Authorization: Bearer " + secret}, 401, "none of this route's"},
		{"a token in the query", "POST", "/v1/events?token=" + token, structured, nil, 401, "PRESTAGE_GATEWAY_TOKENS"},
		{"a token on a signed route", "POST", "/hooks/mlflow", mlflowBody, []string{bearerHeader}, 401, "X-MLflow-Signature"},
		{"an old MLflow delivery", "POST", "/hooks/mlflow", mlflowBody, []string{"X-MLflow-Delivery-Id: i", "X-MLflow-Timestamp: " + stale, "X-MLflow-Signature: " + sign("i", stale, mlflowBody)}, 401, "five minutes"},
		{"an MLflow delivery with a second id", "POST", "/hooks/mlflow", mlflowBody, append(signedMLflow("i", mlflowBody), "X-MLflow-Delivery-Id: j"), 401, "once each"},
		{"W&B, tampered", "POST", "/hooks/wandb", wandbBody + " ", []string{"X-Wandb-Signature: " + wandbSig}, 401, "X-Wandb-Signature"},
		{"not JSON", "POST", "/v1/events", "{", []string{bearerHeader}, 400, "ends too early"},
		{"not JSON to a hook", "POST", "/hooks/s3", "<xml/>", []string{bearerHeader}, 400, "not JSON"},
		{"nothing", "POST", "/v1/events", "", []string{bearerHeader}, 400, "empty"},
		{"an event without its target", "POST", "/v1/events", `{"run":"run-7"}`, []string{bearerHeader}, 400, `send {"uri"`},
		{"a whole bucket", "POST", "/v1/events", `{"uri":"s3://ckpt/"}`, []string{bearerHeader}, 422, "whole bucket"},
		{"a foreign type", "POST", "/v1/events", `{"specversion":"1.0","type":"x","source":"s","id":"i","data":{}}`, []string{bearerHeader}, 422, "ai.model.published.v1"},
		{"a hook's body as an event", "POST", "/v1/events", harborBody, []string{bearerHeader}, 400, `send {"uri"`},
		{"a batch that is none", "POST", "/v1/events", structured, []string{bearerHeader, "Content-Type: application/cloudevents-batch+json"}, 400, "a JSON list"},
		{"a batch that is null", "POST", "/v1/events", "null", []string{bearerHeader, "Content-Type: application/cloudevents-batch+json"}, 400, "a JSON list"},
		{"too large a batch", "POST", "/v1/events", "[" + strings.Repeat("1,", maxBatch) + "1]", []string{bearerHeader, "Content-Type: application/cloudevents-batch+json"}, 400, "at most 1000"},
		{"a batch with a bad event", "POST", "/v1/events", "[" + structured + `,{"uri":"s3://ckpt/a"}]`, []string{bearerHeader, "Content-Type: application/cloudevents-batch+json"}, 400, "event 1 of the batch"},
		{"compressed", "POST", "/v1/events", structured, []string{bearerHeader, "Content-Encoding: gzip"}, 415, "without Content-Encoding"},
		{"too large", "POST", "/v1/events", strings.Repeat(" ", 1<<20), []string{bearerHeader}, 413, "manifest"},
		{"another method", "PUT", "/hooks/s3", s3Body, []string{bearerHeader}, 405, "POST"},
		{"another path", "POST", "/hooks/jira", "{}", nil, 404, "/v1/events"},
		{"a receipt of nothing", "GET", "/v1/events", "", []string{bearerHeader}, 400, "id="},
		{"a receipt without a token", "GET", "/v1/events?id=x", "", nil, 401, "PRESTAGE_GATEWAY_TOKENS"},
		{"no receipts yet", "GET", "/v1/events?id=x", "", []string{bearerHeader}, 404, "none yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := b.do(t, tt.method, tt.path, strings.NewReader(tt.body), tt.headers...)
			if p := a.problem(t, tt.status); !strings.Contains(p.Detail, tt.detail) {
				t.Errorf("detail %q, want %q in it", p.Detail, tt.detail)
			}
			if challenge := a.header.Get("WWW-Authenticate"); tt.status == 401 && strings.HasPrefix(tt.path, "/v1") && challenge != `Bearer realm="prestage"` {
				t.Errorf("WWW-Authenticate: %s", challenge)
			}
		})
	}
	t.Cleanup(func() {
		if n := b.stored(t); n != 0 {
			t.Errorf("%d messages are stored, want none", n)
		}
		if log := b.log.String(); !strings.Contains(log, "refused") || strings.Contains(log, token) || strings.Contains(log, secret) {
			t.Errorf("the log tells no refusal, or a secret:\n%s", log)
		}
	})
}

// TestChallenge: SNS sends the password that its URL has only after an answer that
// asks for basic authentication and names a realm.
func TestChallenge(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	a := b.post(t, "/hooks/s3", s3Body)
	a.problem(t, 401)
	if got := a.header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != `Basic realm="prestage"` {
		t.Errorf("WWW-Authenticate: %q", got)
	}
}

// TestClosedRoutes: a route without a secret is closed, unless all such are open.
func TestClosedRoutes(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{
		"/v1/events": structured, "/hooks/mlflow": mlflowBody, "/hooks/wandb": wandbBody, "/hooks/huggingface": hubBody,
		"/hooks/s3": s3Body, "/hooks/harbor": harborBody, "/hooks/distribution": imageBody,
	}
	for _, insecure := range []bool{false, true} {
		b := setup(t, func(c *Config) {
			c.Keys, c.Insecure = map[events.Route]*Keyring{events.RouteHarbor: ring(t, secret)}, insecure
		})
		for path, body := range bodies {
			a := b.post(t, path, body)
			if insecure && path != "/hooks/harbor" { // which has a secret
				a.sent(t)
				continue
			}
			a.problem(t, 401)
		}
	}
}

// TestWithdrawnSecrets: a file that has lost its secrets closes its routes, also
// where those without any are open.
func TestWithdrawnSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(token)
	k, err := NewKeyring(nil, file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(c *Config) {
		c.Keys, c.Insecure = map[events.Route]*Keyring{events.RouteEvents: k}, true
	})
	b.post(t, "/v1/events", structured, bearerHeader).sent(t)
	b.post(t, "/v1/events", structured).problem(t, 401)
	write("")
	for deadline := time.Now().Add(time.Minute); len(k.Secrets(t.Context())) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the file is not read again")
		}
	}
	b.post(t, "/v1/events", structured, bearerHeader).problem(t, 401)
	b.post(t, "/v1/events", structured).problem(t, 401)
	b.post(t, "/hooks/harbor", harborBody).sent(t)
}

// TestDuplicates: what a sender sends twice is stored once.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	second := strings.Replace(mlflowBody, `"3"`, `"4"`, 1)
	for name, tt := range map[string]struct {
		path, body string
		headers    []string
		again      string // the body of the second request
		headers2   []string
		duplicate  bool
	}{
		"CloudEvent":                 {"/v1/events", structured, []string{bearerHeader}, strings.Replace(structured, "step-100/", "step-100/a", 1), []string{bearerHeader}, true},
		"plain native event":         {"/v1/events", `{"uri":"s3://ckpt/last.ckpt"}`, []string{bearerHeader}, `{"uri":"s3://ckpt/last.ckpt"}`, []string{bearerHeader}, false},
		"MLflow's retry":             {"/hooks/mlflow", mlflowBody, signedMLflow("d1", mlflowBody), mlflowBody, signedMLflow("d1", mlflowBody), true},
		"MLflow's next delivery":     {"/hooks/mlflow", mlflowBody, signedMLflow("d2", mlflowBody), mlflowBody, signedMLflow("d3", mlflowBody), false},
		"MLflow's id for other news": {"/hooks/mlflow", mlflowBody, signedMLflow("d4", mlflowBody), second, signedMLflow("d4", second), true},
		"W&B":                        {"/hooks/wandb", wandbBody, []string{"X-Wandb-Signature: " + wandbSig}, wandbBody, []string{"X-Wandb-Signature: " + wandbSig}, true},
		"S3":                         {"/hooks/s3", s3Body, []string{bearerHeader}, s3Body, []string{bearerHeader}, true},
		"another of S3":              {"/hooks/s3", strings.Replace(s3Body, "a%2Bb", "b", 1), []string{bearerHeader}, strings.Replace(s3Body, "a%2Bb", "c", 1), []string{bearerHeader}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := b.post(t, tt.path, tt.body, tt.headers...).sent(t)
			again := b.post(t, tt.path, tt.again, tt.headers2...).sent(t)
			if first.Duplicate || again.Duplicate != tt.duplicate || (again.Seq == first.Seq) != tt.duplicate {
				t.Errorf("first %+v, again %+v, want a duplicate: %v", first, again, tt.duplicate)
			}
		})
	}
}

// TestIdentitiesOfRoutes: whoever has a hook's secret chooses the identity of what
// it sends, and must not pass for the sender of another route's event.
func TestIdentitiesOfRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	const pushed = `{"specversion":"1.0","type":"harbor.artifact.pushed","source":"/train/run-7","id":"run-7-step-100","data":{"resources":[{"digest":"sha256:00"}],"repository":{"repo_full_name":"x"}}}`
	b.post(t, "/hooks/harbor", pushed, "Authorization: "+secret).sent(t)
	b.post(t, "/hooks/mlflow", mlflowBody, signedMLflow("run-7-step-101", mlflowBody)...).sent(t)
	sum := sha256.Sum256([]byte(wandbBody))
	b.post(t, "/hooks/wandb", wandbBody, "X-Wandb-Signature: "+wandbSig).sent(t)
	for _, tt := range []struct{ source, id string }{
		{"/train/run-7", "run-7-step-100"},
		{"/hooks/mlflow", "run-7-step-101"},
		{"#mlflow#/hooks/mlflow", "run-7-step-101"},
		{"/hooks/wandb", "sha256:" + hex.EncodeToString(sum[:])},
	} {
		body := fmt.Sprintf(`{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":%q,"id":%q,"data":{"uri":"s3://ckpt/a"}}`, tt.source, tt.id)
		if s := b.post(t, "/v1/events", body, bearerHeader).sent(t); s.Duplicate {
			t.Errorf("%s of %s is taken for a hook that was sent before", tt.id, tt.source)
		}
	}
	if s := b.post(t, "/hooks/harbor", pushed, "Authorization: "+secret).sent(t); !s.Duplicate {
		t.Error("the hook's own repetition is stored again")
	}
}

// TestHooksStoreWhatTheyCannotRead: nobody reads the answer to a webhook, so that
// what a later version may read, and an operator should see, is stored.
func TestHooksStoreWhatTheyCannotRead(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	const body = `{"event_type":"LINK_ARTIFACT","s3_uri":"${artifact_metadata.s3_uri}"}`
	s := b.post(t, "/hooks/wandb", body, "X-Wandb-Signature: "+base64HMAC(secret, []byte(body))).sent(t)
	if m := b.message(t, s.Seq); string(m.Data) != body {
		t.Errorf("stored %s", m.Data)
	}
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	kv, err := b.js.CreateKeyValue(t.Context(), kvConfig())
	if err != nil {
		t.Fatal(err)
	}
	id := "run 7/step//../%2F?a=b&c"
	body := fmt.Sprintf(`{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":"/s","id":%q,"data":{"uri":"s3://ckpt/a"}}`, id)
	a := b.post(t, "/v1/events", body, bearerHeader)
	s := a.sent(t)
	get := func() answer { return b.do(t, "GET", a.header.Get("Location"), nil, bearerHeader) }
	get().problem(t, 404)
	for _, seq := range []uint64{s.Seq + 1, s.Seq} {
		raw, err := json.Marshal(consumer.Receipt{EventID: id, StreamSeq: seq, Outcome: consumer.Warm})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), consumer.ReceiptKey("default", s.ID, s.Source, s.Stream, seq), raw); err != nil {
			t.Fatal(err)
		}
	}
	got := get()
	var r consumer.Receipt
	if err := json.Unmarshal([]byte(got.body), &r); err != nil || got.status != 200 {
		t.Fatalf("status %d, %v: %s", got.status, err, got.body)
	}
	if r.EventID != id || r.StreamSeq != s.Seq+1 {
		t.Errorf("receipt %+v, want that with the highest sequence", r)
	}
}
