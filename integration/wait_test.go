package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestWait waits for events and objects of a real daemon, most of them before
// there is anything to wait for.
func TestWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("run-7/a", "run-7/b", "last.ckpt")
	w.store.Put(bucket, "run-7/index.json", small)
	w.store.CreateBucket("elsewhere")
	w.store.Put("elsewhere", "x", large)
	daemon := w.run(t, "PRESTAGE_BUCKETS="+bucket)
	wait := func(args ...string) *program {
		return launch(t, raceBuild, w.environ(t), append([]string{"wait", "--timeout=50s"}, args...)...)
	}
	ends := func(p *program, code int, text string) {
		t.Helper()
		if got := p.wait(t); got != code || !strings.Contains(p.stdout.String()+p.stderr.String(), text) {
			t.Errorf("exit code %d, want %d and %q: %q, %q", got, code, text, p.stdout.String(), p.stderr.String())
		}
	}
	early := []*program{wait("step-1"), wait(uri("last.ckpt")), wait(uri("run-7/")), wait("dead"), wait(uri("run-8/"))}
	w.checkpoint(t, "step-1", map[string]any{"uri": uri("run-7/"), "complete": true})
	w.object(t, "last", "last.ckpt")
	w.checkpoint(t, "dead", map[string]any{"uri": "s3://elsewhere/x"})
	ends(early[0], 0, "step-1: warm (")
	ends(early[1], 0, uri("last.ckpt")+": warm (")
	ends(early[2], 0, uri("run-7/")+": warm (")
	ends(early[3], 1, "dead-lettered as bucket_not_allowed")

	// At once when it is there; not when it was overwritten or deleted.
	ends(wait("step-1", uri("last.ckpt"), uri("run-7/"), "last"), 0, "last: warm (")
	w.put("last.ckpt")
	ends(wait(uri("last.ckpt"), "--timeout=1s"), 3, "was overwritten since")
	ends(wait(uri("last.ckpt"), "--timeout=1s", "--any-version"), 0, "warm (")
	again := wait(uri("last.ckpt"))
	w.object(t, "last-2", "last.ckpt")
	ends(again, 0, "warm (")
	w.store.Delete(bucket, "last.ckpt")
	ends(wait(uri("last.ckpt"), "--timeout=1s"), 3, "is deleted")
	ends(wait(uri("run-8/"), "--timeout=1s"), 3, "nothing is below the prefix")
	w.put("run-8/a")
	w.object(t, "late", "run-8/a")
	ends(early[4], 0, uri("run-8/")+": warm (")
	if n := w.lota.Count(lotasim.Filter{Key: "run-7/index.json"}); n > 0 {
		t.Errorf("%d requests for an object that is too small", n)
	}
	ends(wait(uri("run-7/index.json")), 0, "skipped: too_small")

	// A dead letter that was redriven is open again.
	daemon.stop(t)
	if code, stdout, stderr := finish(t, raceBuild, w.environ(t), "dlq", "redrive", "dead"); code != 0 {
		t.Fatalf("redrive: exit code %d: %s, %s", code, stdout, stderr)
	}
	ends(wait("dead", "--timeout=1s"), 3, "no replica of cluster default has had the event yet")
	redriven := wait("dead")
	w.run(t)
	ends(redriven, 0, "dead: warm (")
}

// TestPause stops the lanes, and starts them again.
func TestPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt")
	w.run(t)
	if code, stdout, stderr := finish(t, raceBuild, w.environ(t), "pause"); code != 0 || strings.Count(stdout, "paused until") != 2 {
		t.Fatalf("exit code %d: %q, %q", code, stdout, stderr)
	}
	s := w.object(t, "paused", "last.ckpt")
	code, _, stderr := finish(t, raceBuild, w.environ(t), "wait", "paused", "--timeout=2s")
	if _, found := w.receipt(t, s); code != 3 || found {
		t.Errorf("while it is paused: exit code %d, a receipt: %t: %s", code, found, stderr)
	}
	if code, _, stderr := finish(t, raceBuild, w.environ(t), "resume", "checkpoint"); code != 0 {
		t.Fatalf("exit code %d: %q", code, stderr)
	}
	w.ends(t, s, "warm")
}

// TestStatus compares what the command and the admin listener tell.
func TestStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt")
	daemon := w.run(t, "PRESTAGE_BUCKETS="+bucket)
	w.ends(t, w.object(t, "good", "last.ckpt"), "warm")
	w.ends(t, w.checkpoint(t, "bad", map[string]any{"uri": "s3://elsewhere/x"}), "dead_lettered")
	w.settled(t)
	type told struct {
		Lanes []struct {
			Lane    string `json:"lane"`
			Waiting int    `json:"waiting"`
		} `json:"lanes"`
		DeadLetters struct {
			ByReason map[string]int `json:"by_reason"`
		} `json:"dead_letters"`
		Receipts []receipt `json:"receipts"`
	}
	check := func(from, text string) {
		t.Helper()
		var s told
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatalf("%s: %v in %q", from, err, text)
		}
		if len(s.Lanes) != 2 || s.DeadLetters.ByReason["bucket_not_allowed"] != 1 || len(s.Receipts) != 2 || s.Receipts[1].Outcome != "warm" {
			t.Errorf("%s: %+v", from, s)
		}
	}
	code, stdout, stderr := finish(t, raceBuild, w.environ(t), "status", "--output=json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	check("status", stdout)
	status, body, err := daemon.get(t, "/api/status")
	if err != nil || status != 200 {
		t.Fatalf("/api/status: %d, %v", status, err)
	}
	check("/api/status", body)
	if status, body, err := daemon.get(t, "/api/status?event=bad"); err != nil || status != 200 || !strings.Contains(body, "prestage.dlq.default.EVENTS.2") {
		t.Errorf("/api/status?event=bad: %d, %v, %s", status, err, body)
	}
}

// TestStatusOfAnEvent follows an event from the moment it is being filled.
func TestStatusOfAnEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, synchronous)
	w.put("run-7/a", "run-7/b")
	w.store.Put(bucket, "run-7/small", small)
	hold := w.lota.holdFills(t)
	daemon := w.run(t)
	s := w.checkpoint(t, "step-1", map[string]any{"uri": uri("run-7/"), "complete": true})
	w.lota.filling(t, 2)
	type story struct {
		Tasks []struct {
			Seq     uint64 `json:"stream_seq"`
			Objects struct {
				Skipped int `json:"skipped"`
			} `json:"objects"`
		} `json:"tasks"`
		Receipts []receipt `json:"receipts"`
		Messages []struct {
			Names   string `json:"names"`
			Objects []struct {
				URI     string `json:"uri"`
				State   string `json:"state"`
				Verdict string `json:"verdict"`
				Reason  string `json:"reason"`
			} `json:"objects"`
		} `json:"messages"`
	}
	tells := func(text string) (s story) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), &s); err != nil || len(s.Messages) != 1 || s.Messages[0].Names != uri("run-7/") || len(s.Messages[0].Objects) != 3 {
			t.Fatalf("%v in %s", err, text)
		}
		return s
	}
	states := func(s story) string {
		var all []string
		for _, o := range s.Messages[0].Objects {
			all = append(all, strings.TrimPrefix(o.URI, uri("run-7/"))+" "+o.State+" "+o.Verdict+o.Reason)
		}
		return strings.Join(all, ", ")
	}
	code, stdout, stderr := finish(t, raceBuild, w.environ(t), "status", "step-1", "--output=json")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	during := tells(stdout)
	if len(during.Tasks) != 1 || during.Tasks[0].Seq != s.seq || during.Tasks[0].Objects.Skipped != 1 || len(during.Receipts) != 0 {
		t.Errorf("while it is being filled: %s", stdout)
	}
	if got, want := states(during), "a not_on_record , b not_on_record , small skipped too_small"; got != want {
		t.Errorf("while it is being filled: %s, want %s", got, want)
	}
	watching := launch(t, raceBuild, w.environ(t), "status", "step-1", "--watch")
	says := func(parts ...string) {
		t.Helper()
		for _, part := range parts {
			eventually(t, "--watch says "+part, func() error {
				if !strings.Contains(watching.stdout.String(), part) {
					return errors.New(watching.stdout.tail())
				}
				return nil
			})
		}
	}
	says("EVENTS/1 is being filled on the checkpoint lane")
	hold.Release()
	w.ends(t, s, "warm")
	says("EVENTS/1 warm (accepted) event step-1", "  warm             "+uri("run-7/b"))
	watching.stop(t)
	status, body, err := daemon.get(t, "/api/status?event=step-1")
	if err != nil || status != 200 {
		t.Fatalf("%d, %v", status, err)
	}
	after := tells(body)
	if got, want := states(after), "a warm accepted, b warm accepted, small skipped too_small"; got != want || len(after.Tasks) != 0 || len(after.Receipts) != 1 {
		t.Errorf("at the end: %s, want %s", body, want)
	}
	if status, body, err := daemon.get(t, "/"); err != nil || status != 200 || !strings.Contains(body, `<a href="/?event=step-1">step-1</a>`) {
		t.Errorf("the page: %d, %v, %s", status, err, body)
	}
	w.lota.mustHaveAsked(t, once("run-7/a", "run-7/b"))
}

// TestWaitThroughARestart: what is waited for is told also by a server that was
// away meanwhile.
func TestWaitThroughARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt")
	w.run(t).stop(t)
	var waiting []*program
	for _, target := range []string{"step-1", uri("last.ckpt")} {
		waiting = append(waiting, launch(t, raceBuild, w.environ(t), "wait", "--timeout=100s", target))
	}
	eventually(t, "both watch", func() error {
		n := 0
		for _, bucket := range []string{"KV_prestage_receipts", "KV_prestage_objects"} {
			s, err := w.js.Stream(t.Context(), bucket)
			if err != nil {
				return err
			}
			n += s.CachedInfo().State.Consumers
		}
		if n < 2 {
			return fmt.Errorf("%d watches", n)
		}
		return nil
	})
	w.nats.Stop()
	time.Sleep(time.Second)
	w.nats.Restart(t)
	w.js = w.nats.JetStream(t)
	w.run(t)
	w.object(t, "step-1", "last.ckpt")
	for _, p := range waiting {
		if code := p.wait(t); code != 0 || !strings.Contains(p.stdout.String(), "warm (") {
			t.Errorf("exit code %d: %s, %s", code, p.stdout.String(), p.stderr.tail())
		}
	}
}
