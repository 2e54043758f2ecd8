package integration_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/lotasim"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("run-7/last.ckpt")
	w.run(t, "PRESTAGE_BUCKETS="+bucket)
	for _, tt := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // parts of them
	}{
		{"without waiting", []string{"s3://ckpt/run-7/last.ckpt", "--id=first", "--run=run-7"}, 0, "first as EVENTS/1", ""},
		{"until it is warm", []string{"s3://ckpt/run-7/", "--complete", "--wait"}, 0, "warm (accepted)", ""},
		{"until it is refused", []string{"s3://elsewhere/last.ckpt", "--wait"}, 1, "", "bucket_not_allowed"},
		{"on a subject of no stream", []string{"s3://ckpt/run-7/last.ckpt", "--subject=events.nowhere"}, 1, "", `"events.nowhere"`},
		{"a model on the other lane", []string{"s3://ckpt/run-7/last.ckpt", "--model=m", "--wait"}, 0, "1 already warm", ""},
	} {
		t.Run(tt.name, func(t *testing.T) { // one after the other: they build on each other
			code, stdout, stderr := finish(t, raceBuild, w.environ(t), append([]string{"publish"}, tt.args...)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if (tt.stdout == "") != (stdout == "") || !strings.Contains(stdout, tt.stdout) {
				t.Errorf("standard output is %q, want %q in it", stdout, tt.stdout)
			}
			if (tt.stderr == "") != (stderr == "") || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("standard error is %q, want %q in it", stderr, tt.stderr)
			}
		})
	}
}

// TestPublishTimesOut waits for an object that is not warm in time.
func TestPublishTimesOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt")
	hold, err := w.lota.Hold(lotasim.Match{Ranged: true})
	if err != nil {
		t.Fatal(err)
	}
	w.run(t)
	begun := time.Now()
	code, stdout, stderr := finish(t, raceBuild, w.environ(t), "publish", "s3://ckpt/last.ckpt", "--wait", "--timeout=2s", "--id=slow")
	if code != 3 || stdout != "" || !strings.Contains(stderr, "not warm after 2s") {
		t.Errorf("exit code %d, standard output %q, standard error %q, want 3, nothing and the reason", code, stdout, stderr)
	}
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("it took %s, want at least the time-out", took)
	}
	hold.Release()

	// The event is the same one, so what it prints is the end of the first.
	code, stdout, stderr = finish(t, raceBuild, w.environ(t), "publish", "s3://ckpt/last.ckpt", "--wait", "--id=slow", "--output=json")
	var r receipt
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 {
		t.Fatalf("exit code %d, standard output %q (%v), standard error %q", code, stdout, err, stderr)
	}
	if r.EventID != "slow" || r.Outcome != "warm" || r.StreamSeq != 1 || r.Objects.Filled != 1 {
		t.Errorf("receipt is %+v", r)
	}
}
