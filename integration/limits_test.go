package integration_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/lotasim"
)

// model publishes a native model event of one object, which has the id key.
func (w *world) model(t *testing.T, key string) sent {
	t.Helper()
	m := nats.NewMsg(modelSubject)
	m.Data = fmt.Appendf(nil, `{"specversion":"1.0","type":"ai.model.published.v1","source":%q,"id":%q,"data":{"uri":%q}}`, source, "model-"+key, uri(key))
	m.Header.Set("Content-Type", "application/cloudevents+json")
	return sent{cluster: "default", id: "model-" + key, source: source, seq: w.publish(t, m)}
}

// TestModelBehindCheckpoints has a model come behind 2,000 fills that take 50
// times as long as its own.
func TestModelBehindCheckpoints(t *testing.T) {
	t.Parallel()
	const own = 2 * time.Second
	w := newWorld(t, func(o *lotasim.Options) {
		synchronous(o)
		o.Timing.FillRate = large * int64(time.Second) / int64(own)
	})
	w.put("alone", "behind")
	for i := range 2000 {
		w.store.Put(bucket, fmt.Sprintf("run/%d/%d", i/100, i%100), 50*large)
	}
	p := w.run(t, "PRESTAGE_CONFIRM=response", "PRESTAGE_DRAIN_TIMEOUT=0s")
	alone := w.ends(t, w.model(t, "alone"), "warm").Seconds
	for i := range 20 {
		w.checkpoint(t, fmt.Sprint("step-", i), map[string]any{"uri": uri(fmt.Sprintf("run/%d/", i)), "complete": true})
	}
	eventually(t, "checkpoints have all permits that they may have", func() error {
		if n, limit := p.metric(t, "prestage_fills_in_flight"), p.metric(t, "prestage_concurrency_limit"); limit < 300 || n < limit*7/8-1 {
			return fmt.Errorf("%v fills of %v", n, limit)
		}
		return nil
	})
	behind := w.ends(t, w.model(t, "behind"), "warm").Seconds
	t.Logf("warm after %.2f s alone, %.2f s behind 2,000 fills", alone, behind)
	if behind > 2*alone {
		t.Errorf("warm after %.2f s behind 2,000 fills, %.2f s alone", behind, alone)
	}
	if c := w.lota.Counters(); c.FillsStarted-c.FillsDone < 200 {
		t.Errorf("%d fills are under way, they were to be slow", c.FillsStarted-c.FillsDone)
	}
	p.kill(t)
}

// TestBudget spends an hour's budget, and has one checkpoint wait across a
// restart and a crash, until a model wants the same object.
func TestBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("first/a", "first/b", "first/c", "second", "other")
	settings := []string{"PRESTAGE_BUDGET=35MB", "PRESTAGE_ACK_WAIT=5s"}
	p := w.run(t, settings...)
	w.ends(t, w.checkpoint(t, "first", map[string]any{"uri": uri("first/"), "complete": true}), "warm")
	asked := once("first/a", "first/b", "first/c")
	second := w.object(t, "second", "second")
	waits := func(p *program) {
		t.Helper()
		eventually(t, "the checkpoint waits", func() error {
			if n := p.metric(t, "prestage_budget_waiting_fills"); n != 1 {
				return fmt.Errorf("%v fills wait", n)
			}
			return nil
		})
		p.says(t, "PRESTAGE_BUDGET is used up")
		w.lota.mustHaveAsked(t, asked)
	}
	waits(p)
	code, out, _ := finish(t, raceBuild, w.environ(t, settings...), "status", "--output", "json")
	var told struct {
		Budget struct {
			Bytes, Used int64
			WaitsUntil  time.Time `json:"waits_until"`
		}
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != 0 || told.Budget.Bytes != 35_000_000 || told.Budget.WaitsUntil.Before(time.Now()) {
		t.Errorf("status: exit %d, %v: %s", code, err, out)
	}
	if _, out, _ = finish(t, raceBuild, w.environ(t), "status"); !strings.Contains(out, "routine fills WAIT until") {
		t.Errorf("status: %s", out)
	}
	eventually(t, "its receipt says so", func() error {
		if r, ok := w.receipt(t, second); !ok || r.Outcome != "pending" || !strings.Contains(r.Error, "PRESTAGE_BUDGET") {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	if _, page, err := p.get(t, "/"); err != nil || !strings.Contains(page, "of 35000000 bytes filled in the last hour") || !strings.Contains(page, "routine fills wait until") {
		t.Errorf("the page says nothing of the budget: %s", page)
	}
	w.ends(t, w.model(t, "other"), "warm") // does not wait
	asked["other"] = 1

	delivered := w.durable(t, checkpointDurable).Delivered.Consumer
	throughout(t, 12*time.Second, func() { // more than two AckWaits
		if info := w.durable(t, checkpointDurable); info.Delivered.Consumer != delivered || info.NumAckPending != 1 {
			t.Fatalf("%d deliveries, %d in hand", info.Delivered.Consumer, info.NumAckPending)
		}
	})
	if used := p.metric(t, "prestage_budget_used_bytes"); used != 40_000_000 {
		t.Errorf("%v bytes used, those of the model counted", used)
	}
	p.stop(t)
	p = w.run(t, settings...)
	waits(p)
	p.kill(t)
	p = w.run(t, settings...)
	waits(p)

	w.ends(t, w.model(t, "second"), "warm")
	r := w.ends(t, second, "warm")
	if asked["second"] = 1; r.Attempts != 1 {
		t.Errorf("waiting cost attempts: %d", r.Attempts)
	}
	w.settled(t)
	w.lota.mustHaveAsked(t, asked)
}

// TestLargerThanTheCache refuses what does not fit before it asks for anything.
func TestLargerThanTheCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("three/a", "three/b", "three/c", "two/a", "two/b")
	w.store.Put(bucket, "one", 30_000_000)
	w.run(t, "PRESTAGE_CACHE_BYTES=25MB")
	for id, key := range map[string]string{"a prefix": "three/", "an object": "one"} {
		s := w.object(t, id, key)
		r := w.ends(t, s, "dead_lettered")
		if r.Reason != "unsupported" || !strings.Contains(r.Error, "have 30000000 bytes, it holds 25000000") || r.Attempts != 1 {
			t.Errorf("%s: %+v", id, r)
		}
		w.letter(t, s)
	}
	w.ends(t, w.checkpoint(t, "fits", map[string]any{"uri": uri("two/"), "complete": true}), "warm")
	w.settled(t)
	w.lota.mustHaveAsked(t, once("two/a", "two/b"))
}
