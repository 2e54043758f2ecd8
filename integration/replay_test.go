package integration_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/lotasim"
)

// replayEvents is how many TestReplayBesideLiveTraffic replays.
func replayEvents() int {
	if os.Getenv("INTEGRATION_LONG") == "1" {
		return 50_000
	}
	return 1000
}

// replayed is a line that prestage replay prints.
type replayed struct {
	Type        string    `json:"type"`
	Name        string    `json:"name"`
	First       uint64    `json:"first_seq"`
	Last        uint64    `json:"last_seq"`
	FirstTime   time.Time `json:"first_time"`
	Resumed     bool      `json:"resumed"`
	Events      int       `json:"events"`
	Warm        int       `json:"warm"`
	Skipped     int       `json:"skipped"`
	DeadLetters int       `json:"dead_lettered"`
	Objects     int       `json:"objects"`
	Filled      int       `json:"filled"`
	AlreadyWarm int       `json:"already_warm"`
	Gone        int       `json:"gone"`
	Bytes       int64     `json:"bytes"`
	Listed      int       `json:"listed"`
	TooLarge    bool      `json:"too_large"`
	Messages    int       `json:"messages"`
	Capped      bool      `json:"capped"`
	Cost        *float64  `json:"max_tier_cost_usd"`
	Estimate    *float64  `json:"estimated_seconds"`
	Failures    string    `json:"failures"`
}

// replay runs prestage replay to its end and returns its lines by their type.
func (w *world) replay(t *testing.T, code int, settings []string, args ...string) map[string]replayed {
	t.Helper()
	p := launch(t, raceBuild, w.environ(t, settings...), append([]string{"replay"}, args...)...)
	if got := p.waitFor(t, patience+time.Duration(replayEvents())*100*time.Millisecond); got != code {
		t.Fatalf("replay %q: exit code %d, want %d:\n%s", args, got, code, p.stderr.tail())
	}
	return replayLines(t, p)
}

func replayLines(t *testing.T, p *program) map[string]replayed {
	t.Helper()
	lines := map[string]replayed{}
	for text := range strings.Lines(p.stdout.String()) {
		var l replayed
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("line %q: %v", text, err)
		}
		lines[l.Type] = l
	}
	return lines
}

// history publishes n events of one object each, a tenth of them of an object
// that an earlier one named, and returns the keys, each once.
func (w *world) history(t *testing.T, n int) (keys []string) {
	t.Helper()
	var acks []jetstream.PubAckFuture
	for i := range n {
		if len(acks) == 1000 { // a quarter of what may be unacked
			w.acked(t, acks)
			acks = nil
		}
		key := fmt.Sprintf("history/%05d.pt", i-i%10/9) // the tenth is the ninth again
		if i%10 != 9 {
			keys = append(keys, key)
			w.put(key)
		}
		ack, err := w.js.PublishMsgAsync(checkpointEvent(t, fmt.Sprintf("history-%d", i), map[string]any{"uri": uri(key)}))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, ack)
	}
	w.acked(t, acks)
	return keys
}

func (w *world) acked(t *testing.T, acks []jetstream.PubAckFuture) {
	t.Helper()
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			t.Fatal(err)
		case <-time.After(patience):
			t.Fatal("no ack")
		}
	}
}

// TestReplayBesideLiveTraffic replays what was warm before, while new events come.
// What the emulator was asked is the measure.
func TestReplayBesideLiveTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.run(t)
	old := replayEvents()
	fresh := old / 10
	keys := w.history(t, old)
	for deadline := time.Now().Add(time.Duration(old) * 5 * time.Millisecond); time.Now().Before(deadline) && w.durable(t, checkpointDurable).AckFloor.Stream < uint64(old); { //nolint:gosec // positive
		time.Sleep(100 * time.Millisecond)
	}
	before := w.settled(t)

	dry := w.replay(t, 0, nil, "--dry-run", "--force")["dry_run"]
	w.lota.mustHaveAsked(t, once(keys...))
	if dry.Cost == nil || dry.Estimate == nil || *dry.Cost <= 0 {
		t.Errorf("cost %v, estimate %v", dry.Cost, dry.Estimate)
	}
	warm := w.replay(t, 0, nil, "--dry-run")["dry_run"]
	if warm.Filled != 0 || warm.AlreadyWarm != old || warm.Bytes != 0 {
		t.Errorf("of what is warm a dry run would fill: %+v", warm)
	}

	var live sync.WaitGroup
	live.Go(func() {
		for i := range fresh {
			w.put(fmt.Sprintf("fresh/%d.pt", i))
			w.object(t, fmt.Sprintf("fresh-%d", i), fmt.Sprintf("fresh/%d.pt", i))
		}
	})
	lines := w.replay(t, 0, nil, "--force", "--name", "night", "--to-seq", fmt.Sprint(old))
	live.Wait()
	done := lines["done"]
	counts := func(r replayed) [6]int { return [...]int{r.Events, r.Warm, r.Objects, r.Filled, r.AlreadyWarm, r.Gone} }
	if diff := cmp.Diff(counts(dry), counts(done)); diff != "" || dry.Bytes != done.Bytes {
		t.Errorf("%d bytes and %d, events, warm, objects, filled, already warm, gone (-dry run +run):\n%s", dry.Bytes, done.Bytes, diff)
	}
	if done.Events != old || done.Filled != len(keys) || done.Bytes != int64(len(keys))*large {
		t.Errorf("done: %+v", done)
	}
	after := w.settled(t)
	want := map[string]int{}
	for _, k := range keys {
		want[k] = 2
	}
	for i := range fresh {
		want[fmt.Sprintf("fresh/%d.pt", i)] = 1
	}
	w.lota.mustHaveAsked(t, want)
	if n := after.Delivered.Consumer - before.Delivered.Consumer; n != uint64(fresh) { //nolint:gosec // positive
		t.Errorf("the live durable delivered %d meanwhile, want %d", n, fresh)
	}
	named := 0
	for subject := range w.subjects(t, resultsStream) {
		if strings.HasSuffix(subject, ".night") {
			named++
		}
	}
	if named != old {
		t.Errorf("%d results of the replay, want %d", named, old)
	}
	if _, err := w.js.Consumer(t.Context(), "EVENTS", "prestage-default-replay-night"); err == nil {
		t.Error("the replay's durable is still there")
	}
	// Once more under its name: nothing is left to do.
	if again := w.replay(t, 0, nil, "--force", "--name", "night", "--to-seq", fmt.Sprint(old))["done"]; again.Events != old || again.Filled != 0 {
		t.Errorf("again: %+v", again)
	}
	w.lota.mustHaveAsked(t, want)
}

// TestReplayKilled kills a replay somewhere and goes on with it, until it ends.
func TestReplayKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.run(t).stop(t) // makes the stream
	keys := w.history(t, 1000)
	args := []string{"--name", "resumed", "--since", "1h", "--concurrency", "8"}
	settings := []string{"PRESTAGE_ACK_WAIT=5s"}
	kills := 0
	for at := rand.N(250) + 50; kills < 3; at += rand.N(250) + 50 {
		p := launch(t, raceBuild, w.environ(t, settings...), append([]string{"replay", "--rate", "400"}, args...)...)
		eventually(t, fmt.Sprintf("%d are filled", at), func() error {
			if n := len(w.lota.asked()); n < at {
				return fmt.Errorf("%d are", n)
			}
			return nil
		})
		p.kill(t)
		kills++
	}
	lines := w.replay(t, 0, settings, args...)
	if !lines["begin"].Resumed {
		t.Error("the last call does not say that it goes on with another")
	}
	repeated := 0
	asked := w.lota.asked()
	for _, k := range keys {
		if asked[k] == 0 {
			t.Errorf("%s was left out", k)
		}
		repeated += asked[k] - 1
	}
	if repeated > 8*kills { // what was under way when it was killed
		t.Errorf("%d fills were repeated after %d kills with 8 under way", repeated, kills)
	}
	// Other flags are another replay.
	p := launch(t, raceBuild, w.environ(t, settings...), "replay", "--name", "other", "--rate", "1")
	eventually(t, "it has begun", func() error {
		_, err := w.js.Consumer(t.Context(), "EVENTS", "prestage-default-replay-other")
		return err
	})
	p.kill(t)
	w.replay(t, 2, settings, "--name", "other", "--from-seq", "5")
}

// TestReplaySelects: what is asked for is replayed, and nothing else.
func TestReplaySelects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.run(t).stop(t)
	var seqs []uint64
	event := func(run string, step int) {
		key := fmt.Sprintf("%s/%d.pt", run, step)
		w.put(key)
		m := checkpointEvent(t, key, map[string]any{"uri": uri(key), "run": run, "step": step})
		m.Subject = checkpointSubject + "." + run
		seqs = append(seqs, w.publish(t, m))
	}
	for step := range 4 {
		event("run-1", step)
		event("run-2", step)
	}
	w.put("m/1.safetensors")
	w.publish(t, &nats.Msg{Subject: modelSubject, Data: []byte(`{"uri":"` + uri("m/1.safetensors") + `","model":"m"}`)})
	w.put("other/run-3/1.pt")
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"--run", "run-1", "--latest", "2"}, []string{"run-1/2.pt", "run-1/3.pt"}},
		{[]string{"--latest", "1"}, []string{"run-1/3.pt", "run-2/3.pt", "m/1.safetensors"}},
		{[]string{"--model", "m"}, []string{"m/1.safetensors"}},
		{[]string{"--subject", checkpointSubject + ".run-2", "--to-seq", "4"}, []string{"run-2/0.pt", "run-2/1.pt"}},
		{[]string{"--from-seq", "3", "--to-seq", "4"}, []string{"run-1/1.pt", "run-2/1.pt"}},
		{[]string{"--bucket", bucket, "--prefix", "run-2/3"}, []string{"run-2/3.pt"}},
		{[]string{"--since", "2000-01-01", "--until", w.storedAt(t, seqs[1]).Time.Format(time.RFC3339Nano)}, []string{"run-1/0.pt", "run-2/0.pt"}},
		{[]string{"--until", "2000-01-01"}, nil},
		{[]string{"--run", "nobody"}, nil},
	} {
		before := w.lota.asked()
		dry := w.replay(t, 0, nil, append([]string{"--force", "--dry-run"}, tt.args...)...)["dry_run"]
		done := w.replay(t, 0, nil, append([]string{"--force"}, tt.args...)...)["done"]
		got := w.lota.asked()
		for k, n := range before {
			if got[k] -= n; got[k] == 0 {
				delete(got, k)
			}
		}
		if diff := cmp.Diff(once(tt.want...), got); diff != "" {
			t.Errorf("%q asked for (-want +got):\n%s", tt.args, diff)
		}
		if done.Events != len(tt.want) || dry.Events != done.Events || dry.Filled != done.Filled || dry.Bytes != done.Bytes {
			t.Errorf("%q: dry run %+v\nrun %+v", tt.args, dry, done)
		}
	}
}

// TestReplayFailures: some events end as dead letters, which a file names.
func TestReplayFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.run(t).stop(t)
	w.put("good.pt")
	w.store.CreateBucket("elsewhere")
	w.store.Put("elsewhere", "bad.pt", large)
	good := w.object(t, "good", "good.pt")
	bad := w.checkpoint(t, "bad", map[string]any{"uri": "s3://elsewhere/bad.pt"})
	w.object(t, "gone", "deleted.pt")
	file := filepath.Join(t.TempDir(), "failed.jsonl")
	only := []string{"PRESTAGE_BUCKETS=" + bucket}

	done := w.replay(t, 4, only, "--name", "first", "--failures", file)["done"]
	if done.Events != 3 || done.Warm != 1 || done.DeadLetters != 1 || done.Gone != 1 || done.Failures != file {
		t.Errorf("done: %+v", done)
	}
	letters := map[string]uint64{bad.subject("dlq") + ".first": 1}
	if diff := cmp.Diff(letters, w.subjects(t, lettersStream)); diff != "" {
		t.Errorf("letters (-want +got):\n%s", diff)
	}
	if _, found := w.receipt(t, good); found {
		t.Error("the replay wrote a receipt of the live lane")
	}
	if code, stdout, _ := finish(t, raceBuild, w.environ(t), "status", "good"); code != 0 || !strings.Contains(stdout, "event good, by the replay first") {
		t.Errorf("status: exit code %d, %s", code, stdout)
	}
	w.replay(t, 4, only, "--name", "first", "--failures", file+"2") // nothing new, but not all is well
	w.replay(t, 2, nil, "--retry-failed", file, "--name", "first")

	again := w.replay(t, 0, []string{"PRESTAGE_BUCKETS=*"}, "--retry-failed", file)["done"]
	if again.Events != 1 || again.Filled != 1 {
		t.Errorf("the retry: %+v", again)
	}
	w.lota.mustHaveAsked(t, once("good.pt", "bad.pt", "deleted.pt"))

	// A stream that was made anew has other messages in these places.
	if err := w.js.DeleteStream(t.Context(), "EVENTS"); err != nil {
		t.Fatal(err)
	}
	w.run(t).stop(t)
	for i := range 3 {
		w.put(fmt.Sprint("new/", i))
		w.object(t, fmt.Sprint("new-", i), fmt.Sprint("new/", i))
	}
	lines := w.replay(t, 4, nil, "--retry-failed", file, "--name", "anew")
	if lines["history_lost"].Messages != 1 || lines["done"].Events != 0 {
		t.Errorf("of a stream made anew: %+v", lines)
	}
	w.lota.mustHaveAsked(t, once("good.pt", "bad.pt", "deleted.pt"))
}

// TestReplayTwice: of two of one name one goes on, and an interrupted one says
// what it did.
func TestReplayTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.run(t).stop(t)
	keys := w.history(t, 100)
	settings := []string{"PRESTAGE_ACK_WAIT=5s"}
	first := launch(t, raceBuild, w.environ(t, settings...), "replay", "--name", "night", "--rate", "5")
	eventually(t, "it fills", func() error {
		if n := len(w.lota.asked()); n < 2 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	if n, err := syscall.Getpriority(syscall.PRIO_PROCESS, first.cmd.Process.Pid); runtime.GOOS == "linux" && (n != 1 || err != nil) { // 20 less the nice value
		t.Errorf("its priority is %d, %v", 20-n, err)
	}
	code, stdout, stderr := finish(t, raceBuild, w.environ(t, settings...), "replay", "--name", "night")
	if code != 1 || !strings.Contains(stderr, "is running") || stdout != "" {
		t.Errorf("beside another: exit code %d, %q, %q", code, stdout, stderr)
	}
	first.signal(t, syscall.SIGINT)
	if code := first.wait(t); code != 1 || !strings.Contains(first.stderr.String(), "--name night") {
		t.Errorf("interrupted: exit code %d, %s", code, first.stderr.tail())
	}
	before := replayLines(t, first)["interrupted"]
	rest := w.replay(t, 0, settings, "--name", "night")["done"]
	if before.Filled == 0 || before.Filled+rest.Filled != len(keys) || before.Events+rest.Events != 100 {
		t.Errorf("interrupted: %+v\ngone on: %+v, want %d filled", before, rest, len(keys))
	}
	w.lota.mustHaveAsked(t, once(keys...))
}

// TestReplayLimits: caps, and history that is no longer there.
func TestReplayLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.run(t).stop(t)
	keys := w.history(t, 10)
	args := []string{"--name", "capped", "--max-bytes", fmt.Sprint(3 * large), "--concurrency", "1"}
	first := w.replay(t, 0, []string{"PRESTAGE_ACK_WAIT=5s"}, args...)["done"]
	if n := len(w.lota.asked()); !first.Capped || n != 3 {
		t.Errorf("with room for 3 of %d objects %d were asked for: %+v", len(keys), n, first)
	}
	rest := w.replay(t, 0, []string{"PRESTAGE_ACK_WAIT=5s"}, "--name", "capped")["done"]
	if rest.Capped {
		t.Errorf("without a cap: %+v", rest)
	}
	w.lota.mustHaveAsked(t, once(keys...))

	s, err := w.js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(6)); err != nil {
		t.Fatal(err)
	}
	kept := w.storedAt(t, 6)
	for _, args := range [][]string{{"--dry-run"}, {"--dry-run", "--since", "48h"}, {"--dry-run", "--from-seq", "2"}} {
		lines := w.replay(t, 0, nil, args...)
		if d, told := lines["history_dropped"]; !told || d.First != 6 || !d.FirstTime.Equal(kept.Time) || lines["dry_run"].Events != 5 {
			t.Errorf("%q: %+v", args, lines)
		}
	}
	if _, told := w.replay(t, 0, nil, "--dry-run", "--from-seq", "6")["history_dropped"]; told {
		t.Error("history is said to be dropped that nobody asked for")
	}
}

// TestReplayList backfills without events.
func TestReplayList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.run(t).stop(t)
	w.put("a b.pt", "run/1.pt", "run/2.pt")
	w.store.Put(bucket, "small.json", small)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	inventory := write("inventory.csv", fmt.Sprintf("%q,%q,%q\n%q,%q,%q\n%q,%q,%q\n",
		bucket, "a%20b.pt", fmt.Sprint(large), bucket, "small.json", fmt.Sprint(small), bucket, "no/such.pt", fmt.Sprint(large)))
	dry := w.replay(t, 0, nil, "--from-list", inventory, "--dry-run")["dry_run"]
	if n := w.lota.History(lotasim.Filter{Range: "bytes=0-0"}); len(n) > 0 {
		t.Errorf("a dry run sent %d ranged requests", len(n))
	}
	done := w.replay(t, 0, nil, "--from-list", inventory)["done"]
	if done.Filled != 1 || done.Gone != 1 || done.Objects != 3 || dry.Filled != 1 || dry.Gone != 1 || dry.Bytes != done.Bytes {
		t.Errorf("dry run %+v\nrun %+v", dry, done)
	}
	uris := write("uris", uri("a b.pt")+"\n\n"+uri("run/")+"\n")
	budget := []string{"PRESTAGE_BUDGET=1GB"}
	if done := w.replay(t, 0, budget, "--from-list", uris)["done"]; done.Filled != 2 || done.AlreadyWarm != 1 || done.Listed != 2 {
		t.Errorf("%+v", done)
	}
	if _, out, _ := finish(t, raceBuild, w.environ(t), "status", "--output", "json"); !strings.Contains(out, fmt.Sprintf(`"used_bytes":%d`, 2*large)) {
		t.Errorf("the budget's account has not what the list filled: %s", out)
	}
	w.put("cap/1", "cap/2", "cap/3")
	capped := write("capped", uri("cap/1")+"\n"+uri("cap/2")+"\n"+uri("cap/3")+"\n")
	if done := w.replay(t, 0, nil, "--from-list", capped, "--max-bytes", fmt.Sprint(2*large))["done"]; done.Filled != 2 || !done.Capped || done.Objects < 2 {
		t.Errorf("with room for two: %+v", done)
	}
	p := launchWith(t, strings.NewReader(uri("a b.pt")+"\n"), raceBuild, w.environ(t), "replay", "--from-list", "-")
	if code := p.wait(t); code != 0 || replayLines(t, p)["done"].AlreadyWarm != 1 {
		t.Errorf("from standard input: exit code %d, %s", code, p.stdout.String())
	}
	w.replay(t, 4, []string{"PRESTAGE_BUCKETS=elsewhere"}, "--from-list", write("refused", uri("a b.pt")))
	// More than the cache holds is told, or refused before anything is asked for.
	tight := []string{"PRESTAGE_CACHE_BYTES=" + fmt.Sprint(2*large)}
	if dry := w.replay(t, 0, tight, "--from-list", uris, "--dry-run", "--force")["dry_run"]; !dry.TooLarge {
		t.Errorf("too large: %+v", dry)
	}
	sized := write("sized.csv", fmt.Sprintf("%[1]s,run/1.pt,%[2]d\n%[1]s,run/2.pt,%[2]d\n%[1]s,a%%20b.pt,%[2]d\n", bucket, large))
	asked := w.lota.asked()
	w.replay(t, 1, tight, "--from-list", sized, "--force")
	w.lota.mustHaveAsked(t, asked)
	// What cannot be read is told before anything is asked for.
	before := w.lota.asked()
	w.put("good.pt")
	w.replay(t, 2, nil, "--from-list", write("bad", uri("good.pt")+"\nrun/1.pt\n"))
	w.lota.mustHaveAsked(t, before)
}
