package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/doctor"
	"github.com/prestage/prestage/internal/natstest"
)

func TestDoctor(t *testing.T) {
	s := newShell(t)
	ns := natstest.Start(t)
	environ := []string{"NATS_URL=" + ns.URL()}
	code, stdout, stderr := s.run("", environ, "doctor", "--bucket", "ckpt")
	if code != exitDone || stderr != "" || strings.Contains(stdout, "warn") || !strings.Contains(stdout, "ok    bucket ckpt: answers\n") {
		t.Errorf("exit %d, %q, %s", code, stderr, stdout)
	}

	// The fifth mistake: the stream that is there has other subjects.
	_, err := ns.JetStream(t).CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"ml.>"}})
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = s.run("", environ, "doctor", "--uri", "s3://ckpt/run/", "--output", "json")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	oneLine(t, stderr, "doctor: 2 of ")
	var all []doctor.Finding
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("%v: %s", err, stdout)
	}
	failed := 0
	for _, f := range all {
		if f.Status == doctor.Fail && f.Name == "subjects" && strings.Contains(f.Remedy, "nats stream edit EVENTS") {
			failed++
		}
	}
	if failed != 2 {
		t.Errorf("%d lanes miss: %s", failed, stdout)
	}
	if strings.Contains(stdout, "hush") || s.ranged() != 0 {
		t.Errorf("a secret, or one of %d ranged HEADs: %s", s.ranged(), stdout)
	}
}

// A wrong setting is told as run tells it, before anything is looked at.
func TestDoctorRefusesSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args    []string
		environ []string
		want    string
	}{
		{nil, []string{"LOTA_ENDPOINT=http://10.0.0.7", "LOTA_TRUST_ENDPOINT=true"}, "name any host and set LOTA_DIAL to the address"},
		{nil, []string{"LOTA_ENDPOINT=https://cwobject.com"}, "use http://cwlota.com"},
		{[]string{"--bucket", "no_bucket"}, nil, "only a-z, 0-9 and - are legal"},
		{[]string{"--uri", "ckpt/a"}, nil, "not an object URI"},
		{[]string{"--uri", "s3://ckpt/a", "--bucket", "ckpt"}, nil, "--bucket"},
	} {
		code, stdout, stderr := program(tt.environ, append([]string{"doctor"}, tt.args...)...)
		if code != exitUsage || stdout != "" {
			t.Errorf("%v %v: exit %d, %q", tt.args, tt.environ, code, stdout)
		}
		oneLine(t, stderr, tt.want)
		if len(tt.args) == 0 {
			if _, _, run := program(tt.environ, "run"); run != stderr {
				t.Errorf("run says %q, doctor %q", run, stderr)
			}
		}
	}
}
