package events_test

import (
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

func decode(t *testing.T, data string) (events.Event, error) {
	t.Helper()
	return events.Decode(newMessage("events.checkpoint.written", []byte(data)))
}

// A key must come out as it is in the store, whatever it looks like and however
// the producer writes it.
func TestKeysSurviveEveryEncoding(t *testing.T) {
	t.Parallel()
	keys := []string{
		"plain.ckpt", "a b", "a+b", "a%2Bb", "a%20b", "a%252Bb", "%", "100%", "%zz", "a&b=c;d",
		"run+1/step 1/.metadata", "..", "../../etc/passwd", "a//b", "/a", " ", "?x=1#y", "é/模型/🚀",
		`back\slash "quoted"`, "line\nbreak", strings.Repeat("+", object.MaxKeyBytes),
	}
	record := func(key string) string {
		return fmt.Sprintf(`[{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":"ckpt"},"object":{"key":%s}}}]`, quoteJSON(t, key))
	}
	encodings := map[string]func(key string) string{
		"aws": func(key string) string {
			return `{"Records":` + record(strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")) + `}`
		},
		"aws with spaces as %20": func(key string) string {
			return `{"Records":` + record(strings.ReplaceAll(url.QueryEscape(key), "+", "%20")) + `}`
		},
		"minio escaped": func(key string) string {
			return fmt.Sprintf(`{"Key":%s,"Records":%s}`, quoteJSON(t, "ckpt/"+key), record(url.QueryEscape(key)))
		},
		"minio plain": func(key string) string {
			return fmt.Sprintf(`{"Key":%s,"Records":%s}`, quoteJSON(t, "ckpt/"+key), record(key))
		},
		"ceph": func(key string) string {
			return `{"Records":` + strings.Replace(record(key), `{`, `{"eventSource":"ceph:s3",`, 1) + `}`
		},
		"ceph's script": func(key string) string {
			return `{"Records":` + strings.Trim(strings.Replace(record(key), `{`, `{"eventSource":"ceph:s3",`, 1), "[]") + `}`
		},
		"cloudevents adapter": func(key string) string {
			return `{"specversion":"1.0","id":"1","source":"s","type":"com.amazonaws.s3.ObjectCreated:Put","data":` +
				strings.Trim(record(url.QueryEscape(key)), "[]") + `}`
		},
		"eventbridge": func(key string) string {
			return fmt.Sprintf(`{"detail-type":"Object Created","source":"aws.s3","detail":{"bucket":{"name":"ckpt"},"object":{"key":%s}}}`, quoteJSON(t, key))
		},
		"sns": func(key string) string {
			return fmt.Sprintf(`{"Type":"Notification","TopicArn":"t","Message":%s}`, quoteJSON(t, `{"Records":`+record(url.QueryEscape(key))+`}`))
		},
		"native uri": func(key string) string {
			return fmt.Sprintf(`{"uri":%s}`, quoteJSON(t, "s3://ckpt/"+key))
		},
		"native key": func(key string) string {
			return fmt.Sprintf(`{"bucket":"ckpt","objects":[{"key":%s}]}`, quoteJSON(t, key))
		},
	}
	for name, encode := range encodings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, key := range keys {
				ev, err := decode(t, encode(key))
				if err != nil {
					t.Errorf("key %q: %v", key, err)
					continue
				}
				want := []object.Attrs{{Ref: object.Ref{Bucket: "ckpt", Key: key}, Size: object.UnknownSize}}
				if diff := cmp.Diff(want, ev.Objects); diff != "" {
					t.Errorf("key %q (-want +got):\n%s", key, diff)
				}
			}
		})
	}
}

// The receipt's key is made of the identity, so a refused event has one too.
func TestIdentityOfRefusedEvents(t *testing.T) {
	t.Parallel()
	const fallback = "EVENTS/42 from "
	tests := []struct {
		name, header, body, want string
	}{
		{"no json", "", "hello", fallback},
		{"plain json", "", `{"uri":1}`, fallback},
		{"data wrong", "", `{"specversion":"1.0","id":"i","source":"s","type":"ai.model.published.v1","data":1}`, "i from s"},
		{"type unknown", "", `{"specversion":"1.0","id":"i","source":"s","type":"x"}`, "i from s"},
		{"type of a wrong type", "", `{"specversion":"1.0","id":"i","source":"s","type":{}}`, "i from s"},
		{"specversion unknown", "", `{"specversion":"2.0","id":"i","source":"s"}`, "i from s"},
		{"source missing", "", `{"specversion":"1.0","id":"i"}`, fallback},
		{"id missing", "", `{"specversion":"1.0","source":"s"}`, fallback},
		{"id too long", "", `{"specversion":"1.0","source":"s","id":"` + strings.Repeat("i", 1025) + `"}`, fallback},
		{"id a template", "", `{"specversion":"1.0","source":"s","id":"${ID}"}`, fallback},
		{"cut off after the id", "", `{"specversion":"1.0","id":"i","source":"s",`, fallback},
		{"eventbridge without object", "", `{"detail-type":"Object Created","source":"aws.s3","id":"i"}`, "i from aws.s3"},
		{"eventbridge with a wrong id", "", `{"detail-type":"Object Created","source":"aws.s3","id":[]}`, fallback},
		{"sns with a text", "", `{"Type":"Notification","TopicArn":"t","MessageId":"m","Message":"hello"}`, "m from t"},
		{"sns of another type", "", `{"Type":"x","TopicArn":"t","MessageId":"m","Message":"hello"}`, "m from t"},
		{"sns with a wrong id", "", `{"Type":"Notification","TopicArn":"t","MessageId":"\n","Message":"hello"}`, fallback},
		{"sns with a wrong topic", "", `{"Type":"Notification","TopicArn":{},"MessageId":"m","Message":"hello"}`, fallback},
		{"sns with a refused cloudevent", "", `{"Type":"Notification","TopicArn":"t","MessageId":"m","Message":"{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"type\":\"x\"}"}`, "i from s"},
		{"sns with a cloudevent without source", "", `{"Type":"Notification","TopicArn":"t","MessageId":"m","Message":"{\"specversion\":\"1.0\",\"id\":\"i\"}"}`, "m from t"},
		{"binary without payload", "ce-specversion: 1.0\nCE-ID: i\nCe-Source: s\nce-type: ai.model.published.v1\n", "", "i from s"},
		{"binary without type", "ce-specversion: 1.0\nce-id: i\nce-source: s\n", "{}", "i from s"},
		{"binary with two ids", "ce-specversion: 1.0\nce-id: i\nCe-Id: j\nce-source: s\n", "{}", fallback},
		{"binary beyond the size", "ce-specversion: 1.0\nce-id: i\nce-source: s\nce-type: ai.model.published.v1\n", strings.Repeat(" ", 8<<20) + "{}", "i from s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMessage("events.checkpoint.written", []byte(tt.body))
			m.Header = parseHeader(tt.header)
			ev, err := events.Decode(m)
			if err == nil {
				t.Fatal("Decode succeeded, want an error")
			}
			if got := ev.ID + " from " + ev.Source; got != tt.want {
				t.Errorf("identity %q, want %q", got, tt.want)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	list := func(item string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `{"key":"%d"},`, i)
		}
		return `{"bucket":"ckpt","objects":[` + strings.TrimSuffix(b.String(), ",") + `]}`
	}
	const maxPayload, maxValues = 8 << 20, 301_000
	const good = `{"uri":"s3://ckpt/a"}`
	tests := []struct {
		name, body, want string // want "" is success
	}{
		{"empty payload", "", "malformed: the payload is empty"},
		{"largest payload", good + strings.Repeat(" ", maxPayload-len(good)), ""},
		{"payload too large", good + strings.Repeat(" ", maxPayload-len(good)+1), "malformed: payload of 8388609 bytes"},
		{"deepest", `{"uri":"s3://ckpt/a","x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + "}", ""},
		{"too deep", `{"uri":"s3://ckpt/a","x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}", "malformed: byte 57: nested deeper than 32 levels"},
		{"deep beyond any stack", strings.Repeat(`{"a":[`, 1<<20), "nested deeper than 32 levels"},
		{"most values", `{"uri":"s3://ckpt/a","x":` + list("0", maxValues-3) + "}", ""},
		{"too many values", `{"uri":"s3://ckpt/a","x":` + list("0", maxValues-2) + "}", "more than 301000 JSON values (name the objects in a manifest"},
		{"most objects", keys(50_000), ""},
		{"too many objects", keys(50_001), "malformed: objects: 50001 entries: one event may name 50000 objects (name the objects in a manifest"},
		{"too many records", `{"Records":` + list("{}", 50_001) + "}", "malformed: Records: 50001 entries"},
		{"longest text", `{"uri":"s3://ckpt/a","run":"` + strings.Repeat("r", 4096) + `"}`, ""},
		{"text too long", `{"uri":"s3://ckpt/a","run":"` + strings.Repeat("r", 4097) + `"}`, "malformed: run: string of 4097 bytes: at most 4096 are read"},
		{"long text that is not read", `{"uri":"s3://ckpt/a","x":"` + strings.Repeat("r", 1<<20) + `"}`, ""},
		{"longest key", `{"uri":"s3://ckpt/` + strings.Repeat("k", 1024) + `"}`, ""},
		{"key too long", `{"uri":"s3://ckpt/` + strings.Repeat("k", 1025) + `"}`, "malformed: uri: key of 1025 bytes"},
		{"invalid UTF-8", "{\"uri\":\"s3://ckpt/\xff\"}", "malformed: byte 18: invalid UTF-8"},
		{"NUL in a name", `{"uri":"s3://ckpt/a","x\u0000":1}`, "malformed: byte 30: NUL"},
		{"same name twice, escaped", `{"uri":"s3://ckpt/a","\u0075ri":"s3://ckpt/b"}`, `has the member "uri" twice`},
		{"same name twice, deep below", `{"uri":"s3://ckpt/a","x":[{"y":1,"z":2,"y":3}]}`, `malformed: byte 45: the object that ends here has the member "y" twice`},
		{"many names", `{"uri":"s3://ckpt/a","b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0,"q":0,"B":0}`, ""},
		{"same name twice among many", `{"uri":"s3://ckpt/a","b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0,"q":0,"b":0}`, `has the member "b" twice`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(t, tt.body)
			if tt.want == "" {
				if err != nil {
					t.Fatalf("Decode: %v", err)
				}
				return
			}
			if !strings.HasPrefix(tt.want, "malformed: ") {
				tt.want = "malformed: " + tt.want
			}
			checkError(t, err, tt.want)
		})
	}
}

// Payloads within the size that would be much larger once parsed. It runs
// alone, for it counts what the process allocates.
func TestMemoryIsBounded(t *testing.T) {
	fill := func(before, item, after string) []byte {
		n := ((8 << 20) - len(before) - len(after)) / len(item)
		return []byte(before + strings.Repeat(item, n) + after)
	}
	var members strings.Builder
	for i := 0; members.Len() < 7<<20; i++ {
		fmt.Fprintf(&members, `"%x":0,`, i)
	}
	const limit = 160 << 20
	for name, data := range map[string][]byte{
		"lists":    fill("[", "[],", "0]"),
		"objects":  fill("[", "{},", "0]"),
		"members":  fill("[", `{"":0},`, "0]"),
		"strings":  fill("[", `"",`, "0]"),
		"numbers":  fill("[", "0,", "0]"),
		"names":    []byte("{" + members.String() + `"x":0}`),
		"text":     fill(`{"uri":"s3://ckpt/`, "a", `"}`),
		"enclosed": fill(`{"Type":"Notification","TopicArn":"t","Message":"[`, "[],", `0]"}`),
		"escapes":  fill(`{"uri":"s3://ckpt/`, `\u00e9`, `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := events.Decode(newMessage("events.checkpoint.written", data))
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("Decode succeeded, want an error")
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > limit {
				t.Errorf("allocated %d MiB, want at most %d", got>>20, limit>>20)
			}
		})
	}
}

// A credential in a URI must not reach a log or a dead letter.
func TestErrorsRepeatNoCredentials(t *testing.T) {
	t.Parallel()
	const secret = "wJalrXUtnFEMI"
	for _, uri := range []string{
		"s3://AKID:" + secret + "@ckpt/a",
		"https://ckpt.example.com/a?X-Amz-Signature=" + secret,
		"s3://" + secret + "@ckpt",
	} {
		for _, body := range []string{
			fmt.Sprintf(`{"uri":%q}`, uri),
			fmt.Sprintf(`{"manifest":%q}`, uri),
			fmt.Sprintf(`{"objects":[{"uri":%q}]}`, uri),
		} {
			_, err := decode(t, body)
			if err == nil {
				t.Fatalf("%s: Decode succeeded, want an error", body)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error repeats the secret: %v", err)
			}
		}
	}
}

func TestPlainJSONTakesItsKindFromTheLane(t *testing.T) {
	t.Parallel()
	for _, kind := range []events.Kind{events.KindModel, events.KindCheckpoint} {
		m := newMessage("any.subject", []byte(`{"uri":"s3://ckpt/a"}`))
		m.Kind = kind
		ev, err := events.Decode(m)
		if err != nil || ev.Kind != kind {
			t.Errorf("kind %q, error %v; want %q", ev.Kind, err, kind)
		}
	}
}

// What an event of a foreign type names is given back as what to send instead,
// unless that could hold a secret.
func TestForeignCloudEventsAdvise(t *testing.T) {
	t.Parallel()
	const generic = "send a native event that names the object by its s3:// URI; "
	tests := []struct {
		name, source, subject, want string
	}{
		{"uri in subject", "/acme", "s3://ckpt/run 7/a", `send a native event with the data {"uri":"s3://ckpt/run 7/a"}; `},
		{"uri in source", "cw://ckpt/run-7/", "step", `send a native event with the data {"uri":"s3://ckpt/run-7/"}; `},
		{"subject before source", "s3://ckpt/a", "s3://ckpt/b", `send a native event with the data {"uri":"s3://ckpt/b"}; `},
		{"longest", "/acme", "s3://ckpt/" + strings.Repeat("a", 246), `send a native event with the data {"uri":"s3://ckpt/` + strings.Repeat("a", 246) + `"}; `},
		{"too long", "/acme", "s3://ckpt/" + strings.Repeat("a", 247), generic},
		{"no uri", "/acme", "objects/a", generic},
		{"google", "//storage.googleapis.com/projects/_/buckets/ckpt", "objects/a", generic},
		{"no subject", "/acme", "", generic},
		{"whole bucket", "s3://ckpt/", "s3://ckpt", generic},
		{"credentials", "s3://AKID:hush@ckpt/a", "s3://hush@ckpt/a", generic},
		{"query", "/acme", "s3://ckpt/a?X-Amz-Signature=hush", generic},
		{"template", "/acme", "s3://ckpt/${STEP}", generic},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(t, fmt.Sprintf(`{"specversion":"1.0","id":"i","type":"acme.saved","source":%s,"subject":%s}`,
				quoteJSON(t, tt.source), quoteJSON(t, tt.subject)))
			checkError(t, err, `unsupported: type: "acme.saved" is not known`)
			want := tt.want + "the accepted types are ai.checkpoint.written.v1 and ai.model.published.v1"
			if diff := cmp.Diff(want, outcome.As(err).Hint); diff != "" {
				t.Errorf("hint (-want +got):\n%s", diff)
			}
		})
	}
}

// A refused event in an envelope brings the advice of its own dialect.
func TestEnclosedEventsAdvise(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		`{"Records":[{}]}`:     "send the store's notification unchanged",
		`{"uri":"s3://ckpt/"}`: `only "prestage warm --whole-bucket", or a rule with whole_bucket, warms a whole bucket; name a prefix`,
		`{"specversion":"1.0","id":"i","source":"s","type":"com.amazonaws.s3.ObjectCreated:Put","data":{}}`: "send the store's notification unchanged",
		`{"Type":"Notification","TopicArn":"t","Message":"{}"}`:                                             "send what is accepted without an envelope as the text of an SNS message",
	} {
		_, err := decode(t, fmt.Sprintf(`{"Type":"Notification","TopicArn":"t","Message":%s}`, quoteJSON(t, message)))
		if diff := cmp.Diff(want, outcome.As(err).Hint); diff != "" {
			t.Errorf("%s: hint (-want +got):\n%s", message, diff)
		}
	}
}

// The Format of a refused event is its own where it has one.
func TestFormatOfRefusedEnclosedEvents(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]events.Format{
		"hello":            events.FormatSNS,
		`{"a":1}`:          events.FormatSNS,
		`{"uri":1}`:        events.FormatNative,
		`{"Records":[{}]}`: events.FormatS3,
	} {
		ev, err := decode(t, fmt.Sprintf(`{"Type":"Notification","TopicArn":"t","Message":%s}`, quoteJSON(t, message)))
		if err == nil || ev.Format != want {
			t.Errorf("%s: format %q, error %v; want %q and an error", message, ev.Format, err, want)
		}
	}
}

// Whoever has a confirmation's token can confirm the subscription.
func TestConfirmationsRepeatNoToken(t *testing.T) {
	t.Parallel()
	const secret = "2336412f37fb"
	for _, typ := range []string{`"SubscriptionConfirmation"`, `"UnsubscribeConfirmation"`, `"SomethingElse"`, `7`} {
		ev, err := decode(t, fmt.Sprintf(`{"Type":%s,"MessageId":"m","TopicArn":"arn:aws:sns:us-east-1:1:%s","Token":%q,"Message":"visit %s","SubscribeURL":"https://sns.example.com/?Token=%s"}`,
			typ, "checkpoints", secret, secret, secret))
		if text := fmt.Sprintf("%+v %v", ev, err); strings.Contains(text, secret) {
			t.Errorf("%s: the answer repeats the token: %s", typ, text)
		}
		if err == nil && !strings.Contains(ev.Note, `"arn:aws:sns:us-east-1:1:checkpoints"`) {
			t.Errorf("%s: the note does not name the topic: %q", typ, ev.Note)
		}
	}
}

// Each manifest that a message names is read, so that there is a bound to them.
func TestImagesAreBounded(t *testing.T) {
	t.Parallel()
	push := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%d","repository":"x"}}`, i))
		}
		return `{"events":[` + strings.Join(list, ",") + `]}`
	}
	if ev, err := decode(t, push(64)); err != nil || len(ev.Others) != 63 {
		t.Errorf("of 64 manifests %d were noted besides the first, %v", len(ev.Others), err)
	}
	if _, err := decode(t, push(65)); err == nil || outcome.As(err).Reason != outcome.Unsupported {
		t.Errorf("65 manifests: %v", err)
	}
}
