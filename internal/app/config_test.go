package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseConfigDefaults(t *testing.T) {
	t.Parallel()
	want := Config{
		NATSURL:      []string{"nats://127.0.0.1:4222"},
		LOTAEndpoint: "http://cwlota.com",
		Cluster:      "default", Stream: "EVENTS",
		ModelSubjects:      []string{"events.model.published"},
		CheckpointSubjects: []string{"events.checkpoint.written", "events.object.created"},
		Provision:          true, Buckets: []string{"*"},
		Concurrency: 300, MinBytes: 4_000_000, Confirm: "auto",
		FillTimeout: 15 * time.Minute, AckWait: 30 * time.Second, DrainTimeout: 30 * time.Second,
		MaxAttempts: 8, GiveUpAfter: 24 * time.Hour, DedupeTTL: 24 * time.Hour,
		Supersede: true, HTTPAddr: "127.0.0.1:8080", GatewayAddr: ":8081",
	}
	if diff := cmp.Diff(want, parse(t)); diff != "" {
		t.Error(diff)
	}
	// An empty value is the default, as where a manifest leaves one out.
	var empty []string
	for _, s := range settings() {
		if widening[s.name] == "" {
			empty = append(empty, s.name+"=")
		}
	}
	if diff := cmp.Diff(want, parse(t, empty...)); diff != "" {
		t.Error(diff)
	}
	// What stands last counts, as for the C library; what is no setting does not.
	if c := parse(t, "PRESTAGE_CLUSTER=a", "PRESTAGE_CLUSTER=b", "=", "junk", "PRESTAGE_OTHER=x"); c.Cluster != "b" {
		t.Errorf("cluster %q", c.Cluster)
	}
}

func TestParseConfigValues(t *testing.T) {
	t.Parallel()
	files := natsFiles(t)
	got := parse(t, append(with(files, "", ""),
		"NATS_URL=nats://u:p@a:4222, tls://b:4222,ws://c,wss://d:443", "NATS_USER=u", "NATS_PASSWORD=p", "NATS_TOKEN=t",
		"LOTA_ENDPOINT=http://lota.test:9000", "LOTA_TRUST_ENDPOINT=true", "LOTA_DIAL=127.0.0.1:9000",
		"PRESTAGE_CLUSTER=us-east-04a_X", "PRESTAGE_STREAM=E-1_x",
		"PRESTAGE_MODEL_SUBJECTS=m.*.x, n", "PRESTAGE_CHECKPOINT_SUBJECTS=c.>",
		"PRESTAGE_PROVISION=false", "PRESTAGE_REPLICAS=5", "PRESTAGE_BUCKETS=ckpt-*, models",
		"PRESTAGE_CONCURRENCY=10000", "PRESTAGE_MIN_BYTES=0", "PRESTAGE_BUDGET=20TiB", "PRESTAGE_CACHE_BYTES=1099511627776", "PRESTAGE_CONFIRM=response",
		"PRESTAGE_FILL_TIMEOUT=1s", "PRESTAGE_ACK_WAIT=5s", "PRESTAGE_DRAIN_TIMEOUT=0s",
		"PRESTAGE_MAX_ATTEMPTS=1", "PRESTAGE_GIVE_UP_AFTER=0s", "PRESTAGE_DEDUPE_TTL=1s", "PRESTAGE_SUPERSEDE=false",
		"PRESTAGE_HTTP_ADDR=:0", "LOG_LEVEL=DEBUG", "LOG_FORMAT=json",
		"PRESTAGE_GATEWAY_ADDR=127.0.0.1:0", "PRESTAGE_GATEWAY_TOKENS=a,b", "PRESTAGE_GATEWAY_TOKENS_FILE="+files["NATS_CA"],
		"PRESTAGE_GATEWAY_MLFLOW_SECRETS=m", "PRESTAGE_GATEWAY_MLFLOW_SECRETS_FILE="+files["NATS_CA"],
		"PRESTAGE_GATEWAY_WANDB_SECRETS=w", "PRESTAGE_GATEWAY_WANDB_SECRETS_FILE="+files["NATS_CA"],
		"PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS=h", "PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS_FILE="+files["NATS_CA"],
		"PRESTAGE_GATEWAY_HARBOR_SECRETS=Basic x", "PRESTAGE_GATEWAY_HARBOR_SECRETS_FILE="+files["NATS_CA"], "PRESTAGE_GATEWAY_INSECURE=true",
		"PRESTAGE_GATEWAY_TLS_CERT="+files["NATS_CERT"], "PRESTAGE_GATEWAY_TLS_KEY="+files["NATS_KEY"],
	)...)
	want := Config{
		NATSURL:   []string{"nats://u:p@a:4222", "tls://b:4222", "ws://c", "wss://d:443"},
		NATSCreds: files["NATS_CREDS"], NATSNKey: files["NATS_NKEY"], NATSUser: "u", NATSPassword: "p", NATSToken: "t",
		NATSCA: files["NATS_CA"], NATSCert: files["NATS_CERT"], NATSKey: files["NATS_KEY"],
		LOTAEndpoint: "http://lota.test:9000", LOTATrustEndpoint: true, LOTADial: "127.0.0.1:9000",
		Cluster: "us-east-04a_X", Stream: "E-1_x",
		ModelSubjects: []string{"m.*.x", "n"}, CheckpointSubjects: []string{"c.>"},
		Replicas: 5, Buckets: []string{"ckpt-*", "models"},
		Concurrency: 10000, Budget: 20 << 40, CacheBytes: 1 << 40, Confirm: "response",
		FillTimeout: time.Second, AckWait: 5 * time.Second, MaxAttempts: 1, DedupeTTL: time.Second,
		HTTPAddr: ":0", LogLevel: slog.LevelDebug, LogFormat: "json",
		GatewayAddr: "127.0.0.1:0", GatewayTokens: []Secret{"a", "b"}, GatewayTokensFile: files["NATS_CA"],
		GatewayMLflowSecrets: []Secret{"m"}, GatewayMLflowSecretsFile: files["NATS_CA"],
		GatewayWandBSecrets: []Secret{"w"}, GatewayWandBSecretsFile: files["NATS_CA"],
		GatewayHuggingFaceSecrets: []Secret{"h"}, GatewayHuggingFaceSecretsFile: files["NATS_CA"],
		GatewayHarborSecrets: []Secret{"Basic x"}, GatewayHarborSecretsFile: files["NATS_CA"], GatewayInsecure: true,
		GatewayTLSCert: files["NATS_CERT"], GatewayTLSKey: files["NATS_KEY"],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	t.Parallel()
	const (
		natsURL  = ": want nats://host:port (or tls, ws, wss), comma-separated"
		duration = "want a duration with a unit, such as 30s, 15m or 24h"
		subjects = "want NATS subjects, comma-separated, such as events.model.published"
		token    = "want letters, digits, _ and - only, at most 128"
	)
	long := strings.Repeat("x", 129)
	for setting, want := range map[string]string{
		"NATS_URL=localhost:4222":                           `NATS_URL="localhost:4222"` + natsURL,
		"NATS_URL=http://u:hush@a":                          `NATS_URL="http://***@a"` + natsURL,
		"NATS_URL=nats://u:hush@a,":                         "NATS_URL" + natsURL,
		"NATS_URL=nats://u:hush@a:port":                     `NATS_URL="nats://***@a:***"` + natsURL,
		"NATS_URL=nats://hush:hu%sh@a:4222":                 `NATS_URL="nats://***@a:4222"` + natsURL,
		"NATS_URL=http://hush@a@b:1,nats://c":               `NATS_URL="http://***@b:1"` + natsURL,
		"NATS_URL=http://u:hush@[::1]:1":                    `NATS_URL="http://***@[::1]:1"` + natsURL,
		"NATS_URL=nats://u:hush":                            `NATS_URL="nats://u:***"` + natsURL,
		"NATS_URL=nats://a,u:hush@a":                        `NATS_URL="***@a"` + natsURL,
		"NATS_URL=nats://u:hu,sh@a":                         `NATS_URL="nats://u:***"` + natsURL,
		"NATS_CERT=config.go":                               `NATS_CERT="config.go": NATS_CERT and NATS_KEY go together`,
		"NATS_KEY=config.go":                                `NATS_CERT: NATS_CERT and NATS_KEY go together`,
		"PRESTAGE_BUDGET=0":                                 `PRESTAGE_BUDGET="0": ` + wantBytes,
		"PRESTAGE_BUDGET=-1":                                `PRESTAGE_BUDGET="-1": ` + wantBytes,
		"PRESTAGE_BUDGET=10 parsecs":                        `PRESTAGE_BUDGET="10 parsecs": ` + wantBytes,
		"PRESTAGE_CACHE_BYTES=2EiB":                         `PRESTAGE_CACHE_BYTES="2EiB": ` + wantBytes,
		"PRESTAGE_CACHE_BYTES=NaN":                          `PRESTAGE_CACHE_BYTES="NaN": ` + wantBytes,
		"LOTA_TRUST_ENDPOINT=yes":                           `LOTA_TRUST_ENDPOINT="yes": want true or false`,
		"LOTA_DIAL=127.0.0.1":                               `LOTA_DIAL="127.0.0.1": want host:port`,
		"LOTA_DIAL=a:http":                                  `LOTA_DIAL="a:http": want host:port`,
		"LOTA_DIAL=a:65536":                                 `LOTA_DIAL="a:65536": want host:port`,
		"LOTA_DIAL=a:0":                                     `LOTA_DIAL="a:0": want host:port`,
		"LOTA_ENDPOINT=http://cwlota.com:65536":             `LOTA_ENDPOINT="http://cwlota.com:65536": want a port of 1 to 65535, or none`,
		"LOTA_ENDPOINT=http://cwlota.com:0":                 `LOTA_ENDPOINT="http://cwlota.com:0": want a port of 1 to 65535, or none`,
		"NATS_URL=nats://a:65536":                           `NATS_URL="nats://a:65536"` + natsURL,
		"NATS_URL=nats://a:0":                               `NATS_URL="nats://a:0"` + natsURL,
		"PRESTAGE_CLUSTER=a.b":                              `PRESTAGE_CLUSTER="a.b": ` + token,
		"PRESTAGE_CLUSTER=*":                                `PRESTAGE_CLUSTER="*": ` + token,
		"PRESTAGE_CLUSTER=a\nb":                             `PRESTAGE_CLUSTER="a\nb": ` + token,
		"PRESTAGE_CLUSTER=a\n":                              `PRESTAGE_CLUSTER="a\n": ` + token,
		"PRESTAGE_CLUSTER=" + long:                          `PRESTAGE_CLUSTER="` + long + `": ` + token,
		"PRESTAGE_STREAM=PRESTAGE_RESULTS":                  `PRESTAGE_STREAM="PRESTAGE_RESULTS": want a stream of events, this one is for what prestage writes`,
		"PRESTAGE_STREAM=PRESTAGE_DLQ":                      `PRESTAGE_STREAM="PRESTAGE_DLQ": want a stream of events, this one is for what prestage writes`,
		"PRESTAGE_STREAM=KV_prestage_objects":               `PRESTAGE_STREAM="KV_prestage_objects": want a stream of events, this one is for what prestage writes`,
		"PRESTAGE_MODEL_SUBJECTS=prestage":                  `PRESTAGE_MODEL_SUBJECTS="prestage": prestage writes to prestage.warmed.> itself`,
		"PRESTAGE_MODEL_SUBJECTS=a,prestage.*.b":            `PRESTAGE_MODEL_SUBJECTS="prestage.*.b": prestage writes to prestage.warmed.> itself`,
		"PRESTAGE_CHECKPOINT_SUBJECTS=prestage.replay":      `PRESTAGE_CHECKPOINT_SUBJECTS="prestage.replay": prestage writes to prestage.replay.> itself`,
		"PRESTAGE_CHECKPOINT_SUBJECTS=prestage.status":      `PRESTAGE_CHECKPOINT_SUBJECTS="prestage.status": prestage writes to prestage.status.> itself`,
		"PRESTAGE_CHECKPOINT_SUBJECTS=prestage.dlq.default": `PRESTAGE_CHECKPOINT_SUBJECTS="prestage.dlq.default": prestage writes to prestage.dlq.> itself`,
		"PRESTAGE_STREAM=a b":                               `PRESTAGE_STREAM="a b": ` + token,
		"PRESTAGE_MODEL_SUBJECTS=a..b":                      `PRESTAGE_MODEL_SUBJECTS="a..b": ` + subjects,
		"PRESTAGE_MODEL_SUBJECTS=a,,b":                      `PRESTAGE_MODEL_SUBJECTS: ` + subjects,
		"PRESTAGE_MODEL_SUBJECTS=a,a.b.>":                   `PRESTAGE_MODEL_SUBJECTS="a,a.b.>": subjects must not overlap: a.> and a.b.> do`,
		"PRESTAGE_CHECKPOINT_SUBJECTS=$JS.API.>":            `PRESTAGE_CHECKPOINT_SUBJECTS="$JS.API.>": ` + subjects,
		"PRESTAGE_CHECKPOINT_SUBJECTS=events.*.*":           `PRESTAGE_MODEL_SUBJECTS="events.model.published": must not overlap with PRESTAGE_CHECKPOINT_SUBJECTS, an event would be delivered twice: events.model.published and events.*.* do`,
		"PRESTAGE_CHECKPOINT_SUBJECTS=a,a.b":                `PRESTAGE_CHECKPOINT_SUBJECTS="a,a.b": subjects must not overlap: a.> and a.b do`,
		"PRESTAGE_PROVISION=maybe":                          `PRESTAGE_PROVISION="maybe": want true or false`,
		"PRESTAGE_REPLICAS=three":                           `PRESTAGE_REPLICAS="three": want a whole number`,
		"PRESTAGE_REPLICAS=6":                               `PRESTAGE_REPLICAS="6": want 0 to 5`,
		"PRESTAGE_REPLICAS=-1":                              `PRESTAGE_REPLICAS="-1": want 0 to 5`,
		"PRESTAGE_BUCKETS=":                                 "PRESTAGE_BUCKETS: set but empty; want globs of the buckets that may be touched, such as ckpt-*,models, or * for all",
		"PRESTAGE_BUCKETS= \t":                              "PRESTAGE_BUCKETS: set but empty; want globs of the buckets that may be touched, such as ckpt-*,models, or * for all",
		"PRESTAGE_CLUSTER=":                                 "PRESTAGE_CLUSTER: set but empty; want the cluster's name; clusters with one name share each other's events, and each warms a part of them",
		"PRESTAGE_BUCKETS=a,s3://ckpt":                      `PRESTAGE_BUCKETS="a,s3://ckpt": bucket pattern "s3://ckpt" matches no bucket, a name has only a-z, 0-9 and -: want something like "ckpt-*", no URI`,
		"PRESTAGE_BUCKETS=ckpt/":                            `PRESTAGE_BUCKETS="ckpt/": bucket pattern "ckpt/" matches no bucket, a name has only a-z, 0-9 and -: want something like "ckpt-*", no URI`,
		"PRESTAGE_BUCKETS=a,[":                              `PRESTAGE_BUCKETS="a,[": bucket pattern "[" is not a glob: want something like "ckpt-*"`,
		"PRESTAGE_CONCURRENCY=0":                            `PRESTAGE_CONCURRENCY="0": want 1 to 10000`,
		"PRESTAGE_CONCURRENCY=10001":                        `PRESTAGE_CONCURRENCY="10001": want 1 to 10000`,
		"PRESTAGE_CONCURRENCY=1e3":                          `PRESTAGE_CONCURRENCY="1e3": want a whole number`,
		"PRESTAGE_MIN_BYTES=-1":                             `PRESTAGE_MIN_BYTES="-1": want 0 to 1125899906842624`,
		"PRESTAGE_MIN_BYTES=4MB":                            `PRESTAGE_MIN_BYTES="4MB": want a whole number`,
		"PRESTAGE_CONFIRM=hope":                             `PRESTAGE_CONFIRM="hope": want response, probe or auto`,
		"PRESTAGE_FILL_TIMEOUT=15":                          `PRESTAGE_FILL_TIMEOUT="15": ` + duration,
		"PRESTAGE_FILL_TIMEOUT=10ms":                        `PRESTAGE_FILL_TIMEOUT="10ms": want at least 1s`,
		"PRESTAGE_ACK_WAIT=4999ms":                          `PRESTAGE_ACK_WAIT="4999ms": want at least 5s`,
		"PRESTAGE_DRAIN_TIMEOUT=-1s":                        `PRESTAGE_DRAIN_TIMEOUT="-1s": want at least 0s`,
		"PRESTAGE_MAX_ATTEMPTS=0":                           `PRESTAGE_MAX_ATTEMPTS="0": want 1 to 1000`,
		"PRESTAGE_GIVE_UP_AFTER=1d":                         `PRESTAGE_GIVE_UP_AFTER="1d": ` + duration,
		"PRESTAGE_GIVE_UP_AFTER=-1h":                        `PRESTAGE_GIVE_UP_AFTER="-1h": want at least 0s`,
		"PRESTAGE_DEDUPE_TTL=0s":                            `PRESTAGE_DEDUPE_TTL="0s": want at least 1s`,
		"PRESTAGE_SUPERSEDE=2":                              `PRESTAGE_SUPERSEDE="2": want true or false`,
		"PRESTAGE_HTTP_ADDR=8080":                           `PRESTAGE_HTTP_ADDR="8080": want host:port`,
		"PRESTAGE_GATEWAY_ADDR=8081":                        `PRESTAGE_GATEWAY_ADDR="8081": want host:port`,
		"PRESTAGE_GATEWAY_TLS_CERT=config.go":               `PRESTAGE_GATEWAY_TLS_CERT="config.go": PRESTAGE_GATEWAY_TLS_CERT and PRESTAGE_GATEWAY_TLS_KEY go together`,
		"PRESTAGE_GATEWAY_TLS_KEY=config.go":                `PRESTAGE_GATEWAY_TLS_CERT: PRESTAGE_GATEWAY_TLS_CERT and PRESTAGE_GATEWAY_TLS_KEY go together`,
		"PRESTAGE_GATEWAY_INSECURE=yes":                     `PRESTAGE_GATEWAY_INSECURE="yes": want true or false`,
		"LOG_LEVEL=loud":                                    `LOG_LEVEL="loud": want debug, info, warn or error`,
		"LOG_FORMAT=xml":                                    `LOG_FORMAT="xml": want text or json`,
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			_, err := ParseConfig([]string{setting})
			refused(t, err, want)
		})
	}
}

// refused checks the one line that a wrong setting stops the program with.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if _, ok := errors.AsType[*SettingError](err); !ok {
		t.Fatalf("got %T: %v, want a SettingError", err, err)
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hush") {
		t.Errorf("more than a line, or a secret: %q", err)
	}
}

func TestLOTAEndpoint(t *testing.T) {
	t.Parallel()
	const (
		form    = "want http://cwlota.com"
		bare    = "want scheme and host only, no credentials, path or query"
		primary = "the primary endpoint answers the ranged HEAD but never fills the cache; use http://cwlota.com"
		plain   = "LOTA speaks plain HTTP only; use http://cwlota.com"
		unknown = "not known to be LOTA, want http://cwlota.com; LOTA_TRUST_ENDPOINT=true accepts another host (the emulator, a test)"
		address = "want a host name, an S3 client would send path-style requests to an address; name any host and set LOTA_DIAL to the address"
	)
	tests := []struct {
		endpoint string
		trust    bool
		want     string // the URL, or why not
	}{
		{"http://cwlota.com", false, "http://cwlota.com"},
		{"http://cwlota.com/", false, "http://cwlota.com"},
		{"http://CWLOTA.com:80", false, "http://CWLOTA.com:80"},
		{"http://lota.test:9000", true, "http://lota.test:9000"},
		{"https://lota.test", true, "https://lota.test"},
		{"cwlota.com", true, form},
		{"cwlota.com:80", true, form},
		{"http://", true, form},
		{"http://:80", true, form},
		{"ftp://cwlota.com", true, form},
		{"http://cwlota.com:x", true, form},
		{"http://cwlota.com/bucket", true, bare},
		{"http://cwlota.com?x=1", true, bare},
		{"http://cwlota.com/#f", true, bare},
		{"http://u:hush@cwlota.com", true, bare},
		{"http://cwobject.com", true, primary},
		{"https://cwobject.com", true, primary},
		{"https://cwobject.com.", true, primary},
		{"https://BUCKET.cwObject.com:443", true, primary},
		{"https://cwlota.com", true, plain},
		{"https://cwlota.com.", false, plain},
		{"http://s3.amazonaws.com", false, unknown},
		{"http://evilcwlota.com", false, unknown},
		{"http://cwlota.com.evil.test", false, unknown},
		{"http://notcwobject.com", false, unknown},
		{"http://127.0.0.1:9000", false, unknown},
		{"http://127.0.0.1:9000", true, address},
		{"http://127.0.0.1.:9000", true, address},
		{"http://[::1]:9000", true, address},
		{"http://[fe80::1%25eth0]:9000", true, address},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s trust=%v", tt.endpoint, tt.trust), func(t *testing.T) {
			t.Parallel()
			c, err := ParseConfig([]string{"LOTA_ENDPOINT=" + tt.endpoint, fmt.Sprintf("LOTA_TRUST_ENDPOINT=%v", tt.trust)})
			if strings.HasPrefix(tt.want, "http") {
				u, err2 := c.lotaURL()
				if err != nil || err2 != nil || u.String() != tt.want {
					t.Errorf("got %v, %v, %v", u, err, err2)
				}
				return
			}
			want := fmt.Sprintf("LOTA_ENDPOINT=%q: %s", tt.endpoint, tt.want)
			if strings.Contains(tt.endpoint, "@") {
				want = "LOTA_ENDPOINT: " + tt.want
			}
			refused(t, err, want)
		})
	}
}

// contract is every variable that users may know; value is one that is not the
// default.
var contract = []struct{ name, value string }{
	{"NATS_URL", "nats://b"},
	{"NATS_CREDS", "a file"},
	{"NATS_NKEY", "a file"},
	{"NATS_USER", "u"},
	{"NATS_PASSWORD", "hush"},
	{"NATS_TOKEN", "hush"},
	{"NATS_CA", "a file"},
	{"NATS_CERT", ""},
	{"NATS_KEY", ""},
	{"LOTA_ENDPOINT", "http://cwlota.com:80"},
	{"LOTA_TRUST_ENDPOINT", "true"},
	{"LOTA_DIAL", "a:1"},
	{"PRESTAGE_CLUSTER", "x"},
	{"PRESTAGE_STREAM", "x"},
	{"PRESTAGE_MODEL_SUBJECTS", "x"},
	{"PRESTAGE_CHECKPOINT_SUBJECTS", "x"},
	{"PRESTAGE_PROVISION", "false"},
	{"PRESTAGE_REPLICAS", "1"},
	{"PRESTAGE_BUCKETS", "x"},
	{"PRESTAGE_CONCURRENCY", "1"},
	{"PRESTAGE_BUDGET", "20TiB"},
	{"PRESTAGE_CACHE_BYTES", "1TiB"},
	{"PRESTAGE_MIN_BYTES", "1"},
	{"PRESTAGE_CONFIRM", "probe"},
	{"PRESTAGE_FILL_TIMEOUT", "1m"},
	{"PRESTAGE_ACK_WAIT", "1m"},
	{"PRESTAGE_DRAIN_TIMEOUT", "1m"},
	{"PRESTAGE_MAX_ATTEMPTS", "1"},
	{"PRESTAGE_GIVE_UP_AFTER", "1m"},
	{"PRESTAGE_DEDUPE_TTL", "1m"},
	{"PRESTAGE_SUPERSEDE", "false"},
	{"PRESTAGE_DRY_RUN", "true"},
	{"PRESTAGE_HTTP_ADDR", "127.0.0.1:1"},
	{"PRESTAGE_GATEWAY_ADDR", ":1"},
	{"PRESTAGE_GATEWAY_TLS_CERT", ""},
	{"PRESTAGE_GATEWAY_TLS_KEY", ""},
	{"PRESTAGE_GATEWAY_TOKENS", "hush"},
	{"PRESTAGE_GATEWAY_TOKENS_FILE", "config.go"},
	{"PRESTAGE_GATEWAY_MLFLOW_SECRETS", "hush"},
	{"PRESTAGE_GATEWAY_MLFLOW_SECRETS_FILE", "config.go"},
	{"PRESTAGE_GATEWAY_WANDB_SECRETS", "hush"},
	{"PRESTAGE_GATEWAY_WANDB_SECRETS_FILE", "config.go"},
	{"PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS", "hush"},
	{"PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS_FILE", "config.go"},
	{"PRESTAGE_GATEWAY_HARBOR_SECRETS", "hush"},
	{"PRESTAGE_GATEWAY_HARBOR_SECRETS_FILE", "config.go"},
	{"PRESTAGE_GATEWAY_INSECURE", "true"},
	{"MLFLOW_TRACKING_URI", "http://mlflow:5000"},
	{"MLFLOW_TRACKING_TOKEN", "hush"},
	{"MLFLOW_TRACKING_TOKEN_FILE", "config.go"},
	{"MLFLOW_TRACKING_USERNAME", "u"},
	{"MLFLOW_TRACKING_PASSWORD", "hush"},
	{"MLFLOW_ARTIFACTS_DESTINATION", "s3://mlflow/root"},
	{"PRESTAGE_RULES", "rules.yaml"},
	{"LOG_LEVEL", "warn"},
	{"LOG_FORMAT", "text"},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"},
}

// TestContractVariables: a variable that users may know is read. What says where
// traces go is read by internal/tracing, and tolerated here.
func TestContractVariables(t *testing.T) {
	t.Parallel()
	fields := map[string]bool{}
	for _, s := range settings() {
		fields[s.name] = true
	}
	for _, v := range contract {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if others := strings.HasPrefix(v.name, "OTEL_"); fields[v.name] == others {
				t.Fatalf("a setting: %v, not ours: %v", fields[v.name], others)
			}
			if v.value == "" { // only with another one
				return
			}
			if v.value == "a file" {
				v.value = natsFiles(t)[v.name]
			}
			environ := []string{v.name + "=" + v.value}
			c, err := ParseConfig(environ)
			switch {
			case err != nil:
				t.Error(err)
			case fields[v.name] == cmp.Equal(c, parse(t)):
				t.Errorf("it changes something: %v", !fields[v.name])
			}
		})
	}
	for name := range fields {
		if !slices.ContainsFunc(contract, func(v struct{ name, value string }) bool { return v.name == name }) {
			t.Errorf("%s is no variable that users know", name)
		}
	}
}

func TestFalseIsFalse(t *testing.T) {
	t.Parallel()
	for _, off := range []string{"", "0", "f", "F", "FALSE", "False", "false"} {
		if c := parse(t, "PRESTAGE_DRY_RUN="+off); c.DryRun {
			t.Errorf("%q is a dry run", off)
		}
	}
}

func TestSecretStaysSecret(t *testing.T) {
	t.Parallel()
	c := parse(t, "NATS_USER=u", "NATS_PASSWORD=hush", "NATS_TOKEN=hush", "PRESTAGE_GATEWAY_TOKENS=hush,hush", "MLFLOW_TRACKING_TOKEN=hush", "MLFLOW_TRACKING_PASSWORD=hush")
	if c.NATSPassword != "hush" || c.NATSToken != "hush" || len(c.GatewayTokens) != 2 {
		t.Fatal("the secrets are not read")
	}
	show := map[string]func() string{
		"json": func() string {
			b, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		},
		"error": func() string {
			return fmt.Errorf("with %v and %w", c, &SettingError{"X", c.NATSToken.String(), "y"}).Error()
		},
		"concatenate": func() string { return fmt.Sprint("a", c.NATSPassword, &c.NATSToken) },
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		show[verb] = func() string { return fmt.Sprintf(verb+verb+verb, c, &c, c.NATSPassword) }
	}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		show[name] = func() string {
			var b bytes.Buffer
			slog.New(handler(&b)).LogAttrs(t.Context(), slog.LevelInfo, "config",
				slog.Any("all", c), slog.Any("pointer", &c), slog.Any("one", c.NATSToken), slog.Any("list", []Secret{c.NATSToken}))
			return b.String()
		}
	}
	for name, f := range show {
		out := f()
		for _, secret := range []string{"hush", "68757368"} { // plain, hex
			if strings.Contains(out, secret) {
				t.Errorf("%s: %s", name, out)
			}
		}
	}
}

// setting is one row of the table in the README.
type setting struct{ name, preset, doc string }

func settings() []setting {
	var out []setting
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		out = append(out, setting{f.Tag.Get("env"), f.Tag.Get("envDefault"), f.Tag.Get("doc")})
	}
	return out
}

// TestConfigTable compares the README's table with the code; with -update it
// writes it.
func TestConfigTable(t *testing.T) {
	t.Parallel()
	const readme, begin, end = "../../README.md", "<!-- config:begin -->\n", "<!-- config:end -->"
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, s := range settings() {
		if s.name == "" || s.doc == "" {
			t.Fatalf("a setting without a name or a meaning: %+v", s)
		}
		preset := "–"
		if s.preset != "" {
			preset = "`" + s.preset + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.name, preset, strings.ReplaceAll(s.doc, "|", `\|`))
	}
	b.WriteString("| `OTEL_EXPORTER_OTLP_ENDPOINT` `OTEL_…` | – | where traces of events go, OTLP over HTTP; nothing is exported without; see docs/settings.md for this one and the other standard variables |\n")
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	have, tail, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		t.Fatalf("%s has no lines %q and %q", readme, begin, end)
	}
	if *update {
		if err := os.WriteFile(readme, []byte(head+begin+b.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(have, b.String()); diff != "" {
		t.Errorf("the README's table is not that of the code; go test ./internal/app -run TestConfigTable -update writes it:\n%s", diff)
	}
}
