package integration_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
)

// story is everything that can happen to events, in one world.
type story struct {
	*world
	side   side
	o      lotasim.Options // the emulator's, as side made them
	events []told
}

// uploads is a catalogue that takes PutObject and CreateBucket from anybody, so
// that what a producer writes passes LOTA on its way.
type uploads struct{ *lotasim.Catalogue }

func (u uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, _, _ := strings.Cut(r.Host, ".")
	key := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case r.Method != http.MethodPut:
		u.Catalogue.ServeHTTP(w, r)
	case key == "":
		u.CreateBucket(bucket)
	default:
		size, err := strconv.ParseInt(r.Header.Get(sizeHeader), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("ETag", strconv.Quote(u.Put(bucket, key, size)))
	}
}

// sizeHeader tells the size of a body, here of one that isn't there.
const sizeHeader = "X-Amz-Decoded-Content-Length"

// tell plays the story under one setting of the switches and checks its end.
func (s side) tell(t *testing.T) {
	t.Helper()
	stores, options := s.options()
	w := &world{nats: natstest.Start(t), store: lotasim.NewCatalogue(stores)}
	w.js = w.nats.JetStream(t)
	w.lota = newLOTA(t, lotasim.Backends{LOTA: uploads{w.store}, Primary: w.store, HasBucket: w.store.HasBucket},
		func(o *lotasim.Options) { *o = options })
	w.keepReceipts(t)
	st := &story{world: w, side: s, o: options}
	settings := append([]string{
		"PRESTAGE_BUCKETS=" + bucket + ",models,fresh,versions,nowhere", "PRESTAGE_MAX_ATTEMPTS=3",
		"PRESTAGE_GIVE_UP_AFTER=1m", "PRESTAGE_DRAIN_TIMEOUT=0s",
	}, s.settings...)
	p := w.runInside(t, settings...)
	st.fill(t)
	overwritten := st.publish(t)
	st.late(t)
	st.overwrite(t, overwritten)
	for _, e := range st.events {
		w.final(t, e.sent)
	}
	st.cached(t)

	st.restart(t, p, settings)
	st.rewarm(t)
	for _, e := range st.events {
		r := w.final(t, e.sent)
		if most := max(s.attempts, 1); e.end.outcome == "warm" && e.name != "late" && r.Attempts > most {
			t.Errorf("event %s took %d attempts, want %d at most", e.name, r.Attempts, most)
		}
	}
	w.checkInvariants(t, st.events, options.LOTADomain, 0)
}

// fill uploads what the events are about, but for what comes late.
func (st *story) fill(t *testing.T) {
	t.Helper()
	st.store.CreateBucket(bucket)
	st.store.CreateBucket("models")
	for _, u := range []string{
		uri("object.ckpt"), uri("last.ckpt"), uri("same.ckpt"), uri("archived.ckpt"), uri("mixed.ckpt"),
		uri("indexed/0.pt"), uri("indexed/1.pt"), "s3://models/model.safetensors",
	} {
		st.upload(t, u, large)
	}
	for i := range 6 {
		st.upload(t, uri(fmt.Sprintf("run-7/large-%d.pt", i)), large)
	}
	for i := range 4 {
		st.upload(t, uri(fmt.Sprintf("restart/%d.pt", i)), large)
	}
	st.upload(t, uri("run-7/small-0.pt"), small)
	st.upload(t, uri("run-7/small-1.pt"), 1)
	st.upload(t, uri("small.ckpt"), small)
	st.upload(t, uri("empty.ckpt"), 0)
	st.store.Archive(bucket, "archived.ckpt")
	st.store.EnableVersioning("versions")
	st.store.Put("versions", "model.ckpt", large)
	st.store.Put(forbiddenBucket, "last.ckpt", large)
	// The index is large enough to be cached, so that reading it may meet its fill.
	index := fmt.Sprintf(`["%s","%s"%s]`, uri("indexed/0.pt"), uri("indexed/1.pt"), strings.Repeat(" ", small))
	st.store.PutBytes(bucket, "index.json", []byte(index))
}

// upload writes an object through LOTA, again until that succeeds. An empty key
// makes a bucket.
func (st *story) upload(t *testing.T, uri string, size int64) {
	t.Helper()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	eventually(t, uri+" is written", func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+st.lota.server.LOTAAddr()+"/"+key, http.NoBody)
		if err != nil {
			return err
		}
		req.Host = bucket + "." + st.o.LOTADomain
		req.Header.Set(sizeHeader, strconv.FormatInt(size, 10))
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	})
}

// add notes an event that was published. A side may have it end otherwise than
// usual.
func (st *story) add(name string, s sent, usual end, asks ...string) told {
	e := told{sent: s, name: name, end: usual, asks: asks}
	if st.side.ends != nil {
		e.end = st.side.ends(name, usual)
	}
	if e.end.outcome == "dead_lettered" {
		e.asks = nil
	}
	st.events = append(st.events, e)
	return e
}

// The usual ends.
var (
	warm         = end{outcome: "warm"}
	skippedEmpty = end{"skipped", "empty"}
	skippedSmall = end{"skipped", "too_small"}
	malformed    = end{"dead_lettered", "malformed"}
	notAllowed   = end{"dead_lettered", "bucket_not_allowed"}
	notFound     = end{"dead_lettered", "not_found"}
	forbidden    = end{"dead_lettered", "forbidden"}
	badRequest   = end{"dead_lettered", "bad_request"}
)

// publish sends the events that need not wait for anything, and returns the one
// whose object will be overwritten.
func (st *story) publish(t *testing.T) told {
	t.Helper()
	one := func(name, u string, usual end, asks ...string) told {
		return st.add(name, st.checkpoint(t, name, map[string]any{"uri": u}), usual, asks...)
	}
	data := func(name string, data map[string]any, usual end, asks ...string) {
		st.add(name, st.checkpoint(t, name, data), usual, asks...)
	}
	overwritten := one("overwritten", uri("last.ckpt"), warm, uri("last.ckpt"))
	one("object", uri("object.ckpt"), warm, uri("object.ckpt"))
	one("index", uri("index.json"), warm, uri("index.json"))
	data("manifest", map[string]any{"manifest": uri("index.json")}, warm, uri("indexed/0.pt"), uri("indexed/1.pt"))
	var shards []string
	for i := range 6 {
		shards = append(shards, uri(fmt.Sprintf("run-7/large-%d.pt", i)))
	}
	data("prefix", map[string]any{"uri": uri("run-7/"), "complete": true, "total_objects": 8}, warm, shards...)
	for i := range 3 {
		same := []string{uri("same.ckpt")}
		one("same", uri("same.ckpt"), warm, same[min(i, 1):]...)
	}
	one("archived", uri("archived.ckpt"), warm, uri("archived.ckpt"))
	version := st.store.Versions("versions", "model.ckpt")[0].VersionID
	data("version", map[string]any{"objects": []map[string]any{{"uri": "s3://versions/model.ckpt", "version_id": version}}},
		warm, "s3://versions/model.ckpt")
	one("empty", uri("empty.ckpt"), skippedEmpty, uri("empty.ckpt"))
	data("small", map[string]any{"objects": []map[string]any{{"uri": uri("small.ckpt"), "size": small}}}, skippedSmall)
	one("malformed", "not a URI", malformed)
	data("mixed", map[string]any{"objects": []map[string]any{
		{"uri": uri("mixed.ckpt")}, {"uri": "s3://" + forbiddenBucket + "/last.ckpt"},
	}}, notAllowed)
	one("missing", uri("never.ckpt"), notFound)
	one("unknown bucket", "s3://nowhere/last.ckpt", notFound)
	model := st.world.publish(t, &nats.Msg{Subject: modelSubject, Data: []byte(`{"uri":"s3://models/model.safetensors"}`)})
	st.add("model", sent{cluster: "default", id: fmt.Sprintf("EVENTS/%d", model), seq: model}, warm, "s3://models/model.safetensors")

	st.upload(t, "s3://fresh/", 0) // by now, so that it isn't usable yet where that takes a while
	st.store.Put("fresh", "last.ckpt", large)
	one("new bucket", "s3://fresh/last.ckpt", warm, "s3://fresh/last.ckpt")
	return overwritten
}

// late uploads an object that was asked for in vain. Nothing comes in between:
// its event has few attempts.
func (st *story) late(t *testing.T) {
	t.Helper()
	e := st.add("late", st.object(t, "late", "late.ckpt"), warm, uri("late.ckpt"))
	eventually(t, "the late object was asked for, or held back", func() error {
		n := st.lota.Count(lotasim.Filter{Key: "late.ckpt"})
		if _, tried := st.receipt(t, e.sent); n == 0 && !tried {
			return fmt.Errorf("%d requests, no receipt", n)
		}
		return nil
	})
	st.upload(t, uri("late.ckpt"), large)
}

// overwrite writes an object anew whose event has ended.
func (st *story) overwrite(t *testing.T, before told) {
	t.Helper()
	st.final(t, before.sent)
	st.upload(t, uri("last.ckpt"), large)
	st.add("overwritten again", st.object(t, "overwritten again", "last.ckpt"), warm, uri("last.ckpt"))
}

// cached wants LOTA to have the latest version of each object of a warm event,
// unless the side says that it need not.
func (st *story) cached(t *testing.T) {
	t.Helper()
	if st.side.cold == "*" {
		return
	}
	for _, e := range st.events {
		for _, u := range e.asks {
			if bucket, key, _ := strings.Cut(strings.TrimPrefix(u, "s3://"), "/"); key != st.side.cold && e.end == warm {
				eventually(t, u+" is cached", func() error {
					if truth, want := st.lota.Truth(bucket, key), st.store.Versions(bucket, key)[0].ETag; !truth.Cached || truth.ETag != want {
						return fmt.Errorf("%+v, want the ETag %s", truth, want)
					}
					return nil
				})
			}
		}
	}
}

// restart stops the daemon in the middle of an event. Another one takes over,
// and knows what was filled before.
func (st *story) restart(t *testing.T, p *inside, settings []string) {
	t.Helper()
	hold, err := st.lota.Hold(lotasim.Match{Key: "restart/*", Ranged: true})
	if err != nil {
		t.Fatal(err)
	}
	var objects []map[string]any
	var uris []string
	for i := range 4 {
		uris = append(uris, uri(fmt.Sprintf("restart/%d.pt", i)))
		objects = append(objects, map[string]any{"uri": uris[i]})
	}
	e := st.add("restart", st.checkpoint(t, "restart", map[string]any{"objects": objects}), warm, uris...)
	if e.end.outcome == warm.outcome { // else the bucket's breaker is open
		arrived(t, hold)
	}
	p.stop(t)
	hold.Release()
	st.runInside(t, settings...)
	st.add("same after the restart", st.object(t, "same after the restart", "same.ckpt"), warm)
}

// rewarm loses what a node of the cache has, and asks for an object that is on
// record as filled.
func (st *story) rewarm(t *testing.T) {
	t.Helper()
	if _, err := st.lota.LoseNode(0); err != nil {
		t.Fatal(err)
	}
	s := st.checkpoint(t, "rewarm", map[string]any{"uri": uri("object.ckpt"), "rewarm_before": stamp(time.Now())})
	st.add("rewarm", s, warm, uri("object.ckpt"))
}
