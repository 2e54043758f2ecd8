package integration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestWrongUsage starts the program with settings and commands that it must
// refuse, before it connects to anything.
func TestWrongUsage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: this runs the whole program")
	}
	for name, tt := range map[string]struct {
		args []string
		env  []string
		want []string // all in the one line
	}{
		"a duration that is too short": {env: []string{"PRESTAGE_ACK_WAIT=1s"}, want: []string{"PRESTAGE_ACK_WAIT", "1s", "at least 5s"}},
		"a duration without a unit":    {env: []string{"PRESTAGE_FILL_TIMEOUT=15"}, want: []string{"PRESTAGE_FILL_TIMEOUT", "15", "15m"}},
		"no number":                    {env: []string{"PRESTAGE_CONCURRENCY=lots"}, want: []string{"PRESTAGE_CONCURRENCY", "lots", "number"}},
		"a number out of range":        {env: []string{"PRESTAGE_CONCURRENCY=0"}, want: []string{"PRESTAGE_CONCURRENCY", "0", "1 to"}},
		"no boolean":                   {env: []string{"PRESTAGE_PROVISION=perhaps"}, want: []string{"PRESTAGE_PROVISION", "perhaps", "true or false"}},
		"a name that is no token":      {env: []string{"PRESTAGE_CLUSTER=US-EAST.04A"}, want: []string{"PRESTAGE_CLUSTER", "US-EAST.04A", "letters"}},
		"a broken glob":                {env: []string{"PRESTAGE_BUCKETS=ckpt-["}, want: []string{"PRESTAGE_BUCKETS", "ckpt-[", "glob"}},
		"lanes that overlap":           {env: []string{"PRESTAGE_CHECKPOINT_SUBJECTS=events.>"}, want: []string{"PRESTAGE_CHECKPOINT_SUBJECTS", "events.>", "overlap"}},
		"the primary endpoint":         {env: []string{"LOTA_ENDPOINT=https://cwobject.com"}, want: []string{"LOTA_ENDPOINT", "https://cwobject.com", "never fills", "http://cwlota.com"}},
		"the primary endpoint, trusted": {
			env:  []string{"LOTA_ENDPOINT=http://cwobject.com", "LOTA_TRUST_ENDPOINT=true"},
			want: []string{"LOTA_ENDPOINT", "http://cwobject.com", "never fills"},
		},
		"an endpoint that nobody trusts": {env: []string{"LOTA_ENDPOINT=http://minio.example:9000"}, want: []string{"LOTA_ENDPOINT", "http://minio.example:9000", "http://cwlota.com", "LOTA_TRUST_ENDPOINT"}},
		"an address as the endpoint": {
			env:  []string{"LOTA_ENDPOINT=http://127.0.0.1:9000", "LOTA_TRUST_ENDPOINT=true"},
			want: []string{"LOTA_ENDPOINT", "http://127.0.0.1:9000", "host name", "LOTA_DIAL"},
		},
		"a dry run, perhaps":       {env: []string{"PRESTAGE_DRY_RUN=yes"}, want: []string{"PRESTAGE_DRY_RUN", "yes", "true or false"}},
		"confirming by hope":       {env: []string{"PRESTAGE_CONFIRM=hope"}, want: []string{"PRESTAGE_CONFIRM", "hope", "response", "probe", "auto"}},
		"an unknown command":       {args: []string{"frobnicate"}, want: []string{"frobnicate"}},
		"publish without a target": {args: []string{"publish"}, want: []string{"publish", "URI", "--manifest"}},
		"a URI that is none":       {args: []string{"publish", "last.ckpt"}, want: []string{"uri", "s3://bucket/key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secrets := []string{"NATS_PASSWORD=hunter2-password", "NATS_TOKEN=hunter2-natstoken", "NATS_URL=nats://me:hunter2-userinfo@127.0.0.1:1"}
			code, stdout, stderr := finish(t, raceBuild, append(secrets, tt.env...), tt.args...)
			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			if stdout != "" {
				t.Errorf("standard output has %q", stdout)
			}
			if strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n") {
				t.Errorf("standard error has not exactly one line:\n%s", stderr)
			}
			for _, part := range tt.want {
				if !strings.Contains(stderr, part) {
					t.Errorf("standard error does not say %q: %s", part, stderr)
				}
			}
			if strings.Contains(stderr, "hunter2") {
				t.Errorf("standard error shows a secret: %s", stderr)
			}
		})
	}
}

// TestDurableThatBreaksThePromises has somebody else have made the durable.
func TestDurableThatBreaksThePromises(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*jetstream.ConsumerConfig)
		want   string
	}{
		"MaxDeliver": {func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 5 }, "MaxDeliver is 5"},
		"BackOff": {func(c *jetstream.ConsumerConfig) {
			c.BackOff = []time.Duration{10 * time.Second, 20 * time.Second}
		}, "BackOff"},
		"AckNone":     {func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckNonePolicy }, "ack policy"},
		"AckAll":      {func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckAllPolicy }, "ack policy"},
		"AckWait":     {func(c *jetstream.ConsumerConfig) { c.AckWait = time.Second }, "AckWait is 1s"},
		"none of all": {func(*jetstream.ConsumerConfig) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			_, err := w.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}})
			if err != nil {
				t.Fatal(err)
			}
			config := jetstream.ConsumerConfig{
				Durable: checkpointDurable, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second,
				MaxDeliver: -1, FilterSubject: checkpointSubject,
			}
			tt.change(&config)
			if _, err := w.js.CreateConsumer(t.Context(), "EVENTS", config); err != nil {
				t.Fatal(err)
			}
			if tt.want == "" { // the same durable with nothing wrong
				w.put("last.ckpt")
				w.run(t)
				w.ends(t, w.object(t, "event-1", "last.ckpt"), "warm")
				return
			}
			code, _, stderr := finish(t, raceBuild, w.environ(t))
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, checkpointDurable) || !strings.Contains(last, tt.want) {
				t.Errorf("the last line is %q, want it to name %s and %q", last, checkpointDurable, tt.want)
			}
		})
	}
}
