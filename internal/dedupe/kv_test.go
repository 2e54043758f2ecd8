package dedupe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/dedupe/dedupetest"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/object"
)

// newBucket creates the ledger's bucket.
func newBucket(tb testing.TB, js jetstream.JetStream, cfg jetstream.KeyValueConfig) jetstream.KeyValue {
	tb.Helper()
	kv, err := js.CreateKeyValue(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return kv
}

// bench is one ledger of one server, with what it reports.
type bench struct {
	*dedupe.KV
	server *natstest.Server
	js     jetstream.JetStream
	bucket jetstream.KeyValue
	log    *logbook
	lost   counter
}

type counter struct{ n atomic.Int64 }

func (c *counter) Inc() { c.n.Add(1) }

func newBench(t *testing.T, change func(*jetstream.KeyValueConfig)) *bench {
	t.Helper()
	return newBenchOn(t, natstest.Start(t), change)
}

func newBenchOn(t *testing.T, server *natstest.Server, change func(*jetstream.KeyValueConfig)) *bench {
	t.Helper()
	cfg := dedupe.BucketConfig(ttl, 1)
	if change != nil {
		change(&cfg)
	}
	b := &bench{server: server, js: server.JetStream(t), log: newLogbook()}
	b.bucket = newBucket(t, b.js, cfg)
	b.KV = dedupe.NewKV(b.js, b.bucket, "c1", dedupe.KVOptions{Logger: b.log.logger(), GivenUp: &b.lost})
	return b
}

func TestKV(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	kv := newBucket(t, js, dedupe.BucketConfig(ttl, 1))
	var clusters atomic.Int64
	dedupetest.Run(t, func(*testing.T) dedupe.Ledger {
		// One bucket for all: a cluster must not see what another wrote.
		return dedupe.NewKV(js, kv, fmt.Sprintf("c_%d-x", clusters.Add(1)), dedupe.KVOptions{})
	})
}

func TestKVStoredForm(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	dedupetest.Put(t, b, dedupetest.Entry("last.ckpt"), 0)
	const key = "c1.ckpt.e6f69ff248c8b801cd7891db2e1307a1a6b3927309e5d17389f67b168e377ab0"
	lister, err := b.bucket.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for got := range lister.Keys() {
		if got != key {
			t.Errorf("key %q, want %q", got, key)
		}
		e, err := b.bucket.Get(t.Context(), got)
		if err != nil {
			t.Fatal(err)
		}
		const want = `{"uri":"s3://ckpt/last.ckpt","etag":"0cc175b9c0f1b6a831c399e269772661-3","last_modified":"2026-11-20T10:00:00Z",` +
			`"version_id":"3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo","size":5497558138880,` +
			`"sequencer":"55AED6DCD90281E5","sequencer_source":"aws:s3","confirmed":"synchronous",` +
			`"at":"2026-11-20T10:00:03.123456789Z","event_time":"2026-11-20T10:00:01.987654321Z"}`
		if diff := cmp.Diff(want, string(e.Value())); diff != "" {
			t.Errorf("value (-want +got):\n%s", diff)
		}
	}
}

func TestKVBucketConfig(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	s, err := b.js.Stream(t.Context(), "KV_prestage_objects")
	if err != nil {
		t.Fatal(err)
	}
	got := s.CachedInfo().Config
	want := jetstream.StreamConfig{
		MaxMsgsPerSubject: 1, MaxAge: ttl, MaxBytes: 1 << 30, MaxMsgSize: dedupe.MaxValueBytes,
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, Replicas: 1,
	}
	if diff := cmp.Diff(want, jetstream.StreamConfig{
		MaxMsgsPerSubject: got.MaxMsgsPerSubject, MaxAge: got.MaxAge, MaxBytes: got.MaxBytes, MaxMsgSize: got.MaxMsgSize,
		Storage: got.Storage, Discard: got.Discard, Replicas: got.Replicas,
	}); diff != "" {
		t.Errorf("stream (-want +got):\n%s", diff)
	}
	if got := dedupe.BucketConfig(time.Hour, 3); got.Replicas != 3 || got.TTL != time.Hour {
		t.Errorf("BucketConfig(1h, 3) = %+v", got)
	}
}

func TestKVClustersAreApart(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	other := dedupe.NewKV(b.js, b.bucket, "c2", dedupe.KVOptions{})
	e := dedupetest.Entry("last.ckpt")
	dedupetest.Put(t, b, e, 0)
	if _, err := other.Get(t.Context(), e.Ref); !errors.Is(err, dedupe.ErrNotFound) {
		t.Errorf("the other cluster: %v, want %v", err, dedupe.ErrNotFound)
	}
	theirs := e
	theirs.ETag = "theirs"
	dedupetest.Put(t, other, theirs, 0)
	dedupetest.Same(t, other, theirs)
	dedupetest.Same(t, b, e)
}

func (b *bench) update(t *testing.T, cfg jetstream.KeyValueConfig) {
	t.Helper()
	if _, err := b.js.UpdateKeyValue(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// onlyKey is the key of the one record in the bucket.
func onlyKey(t *testing.T, kv jetstream.KeyValue) string {
	t.Helper()
	keys, err := kv.Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v; want one", keys, err)
	}
	return keys[0]
}

func TestKVPutAfterRecordIsGone(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(t *testing.T, b *bench, key string){
		"deleted": func(t *testing.T, b *bench, key string) {
			if err := b.bucket.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		},
		"purged": func(t *testing.T, b *bench, key string) {
			if err := b.bucket.Purge(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		},
		"expired": func(t *testing.T, b *bench, _ string) {
			b.update(t, dedupe.BucketConfig(100*time.Millisecond, 1))
			for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				s, err := b.bucket.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if s.Values() == 0 {
					break
				}
				if time.Now().After(end) {
					t.Fatal("the record does not expire")
				}
			}
			b.update(t, dedupe.BucketConfig(ttl, 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			e := dedupetest.Entry("last.ckpt")
			for _, stale := range []bool{false, true} {
				dedupetest.Put(t, b, e, 0)
				was := dedupetest.Get(t, b, e.Ref)
				remove(t, b, onlyKey(t, b.bucket))
				r, err := b.Get(t.Context(), e.Ref)
				if !errors.Is(err, dedupe.ErrNotFound) {
					t.Fatalf("Get = %v, want %v", err, dedupe.ErrNotFound)
				}
				if stale {
					r.Revision = was.Revision
				}
				// Of an older version: nothing stands against it any more.
				e.LastModified = e.LastModified.Add(-time.Second)
				dedupetest.Put(t, b, e, r.Revision)
				dedupetest.Same(t, b, e)
				remove(t, b, onlyKey(t, b.bucket))
			}
		})
	}
}

func TestKVUnreadable(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(cfg *jetstream.KeyValueConfig) { cfg.MaxValueSize = -1 })
	entry := dedupetest.Entry("last.ckpt")
	dedupetest.Put(t, b, entry, 0)
	key := onlyKey(t, b.bucket)
	good, err := b.bucket.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	with := func(field string, v any) string {
		var m map[string]any
		if err := json.Unmarshal(good.Value(), &m); err != nil {
			t.Fatal(err)
		}
		m[field] = v
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	put := func(value string) uint64 {
		t.Helper()
		rev, err := b.bucket.PutString(t.Context(), key, value)
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}

	put(with("a_later_field", []int{1}))
	dedupetest.Same(t, b, entry)
	for name, value := range map[string]string{
		"empty":           "",
		"null":            "null",
		"no JSON":         "\x00",
		"cut":             string(good.Value()[:100]),
		"two":             string(good.Value()) + "{}",
		"deep":            strings.Repeat("[", 60_000),
		"another object":  with("uri", "s3://ckpt/first.ckpt"),
		"wrong type":      with("etag", 1),
		"wrong time":      with("at", "yesterday"),
		"no time":         with("at", "0001-01-01T00:00:00Z"),
		"wrong size":      with("size", -2),
		"too long":        string(good.Value()) + strings.Repeat(" ", dedupe.MaxValueBytes),
		"no verdict":      with("confirmed", ""),
		"wrong verdict":   with("confirmed", "cached"),
		"wrong sequencer": with("sequencer", "not hex"),
		"long sequencer":  with("sequencer", strings.Repeat("F", 65)),
	} {
		rev := put(value)
		r, err := b.Get(t.Context(), entry.Ref)
		if !errors.Is(err, dedupe.ErrNotFound) || r.Revision != rev {
			t.Errorf("%s: Get = revision %d, %v; want %d, %v", name, r.Revision, err, rev, dedupe.ErrNotFound)
		}
		dedupetest.Put(t, b, entry, r.Revision)
		dedupetest.Same(t, b, entry)

		put(value)
		dedupetest.Put(t, b, entry, 0) // by who has not read it
		dedupetest.Same(t, b, entry)
	}
	if got := b.log.count("cannot be read"); got != 1 {
		t.Errorf("%d warnings for one key, want 1", got)
	}
}

func TestKVFull(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(cfg *jetstream.KeyValueConfig) { cfg.MaxBytes = 4096 })
	for i := range 20 {
		dedupetest.Put(t, b, dedupetest.Entry(fmt.Sprintf("shard-%d", i)), 0)
	}
	if n := b.lost.n.Load(); n < 10 || n > 19 {
		t.Errorf("%d of 20 records given up in a bucket with room for about 5", n)
	}
	if got := b.log.count("no room"); got != 1 {
		t.Errorf("%d warnings within a minute, want 1", got)
	}
	dedupetest.Same(t, b, dedupetest.Entry("shard-0"))
}

func TestKVTooLarge(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		payload int32 // of the server
		value   int32 // of the bucket, -1: any
		etag    int
	}{
		"for us":         {value: -1, etag: dedupe.MaxValueBytes},
		"for the bucket": {value: 1000, etag: 1000},
		"for the server": {payload: 4096, value: -1, etag: 4096},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBenchOn(t, natstest.StartWith(t, natstest.Options{MaxPayload: tt.payload}), func(cfg *jetstream.KeyValueConfig) {
				cfg.MaxValueSize = tt.value
			})
			e := dedupetest.Entry("last.ckpt")
			e.ETag = strings.Repeat("e", tt.etag)
			dedupetest.Put(t, b, e, 0)
			if n := b.lost.n.Load(); n != 1 {
				t.Errorf("%d records given up, want 1", n)
			}
			if _, err := b.Get(t.Context(), e.Ref); !errors.Is(err, dedupe.ErrNotFound) {
				t.Errorf("Get = %v, want %v", err, dedupe.ErrNotFound)
			}
			if b.log.count("no room") != 1 {
				t.Error("no warning")
			}
		})
	}
}

// stop stops the server and waits until the client knows: what is sent before
// that is lost, and missed only after tryTimeout.
func (b *bench) stop(t *testing.T) {
	t.Helper()
	b.server.Stop()
	for end := time.Now().Add(30 * time.Second); b.js.Conn().IsConnected(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the client does not notice that the server is gone")
		}
	}
}

// pending is a Get and a Put under way.
type pending struct{ get, put chan error }

func start(ctx context.Context, b *bench, ref object.Ref, e dedupe.Entry) pending {
	p := pending{get: make(chan error, 1), put: make(chan error, 2)}
	go func() { _, err := b.Get(ctx, ref); p.get <- err }()
	b.Put(ctx, e, 0, func(err error) { p.put <- err })
	return p
}

func (p pending) want(t *testing.T, get, put error) {
	t.Helper()
	wantDone(t, "Get", p.get, get)
	wantDone(t, "Put", p.put, put)
}

func wantDone(t *testing.T, name string, got chan error, want error) {
	t.Helper()
	select {
	case err := <-got:
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: not done", name)
	}
}

func TestKVWaitsForTheServer(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	old := dedupetest.Entry("old")
	dedupetest.Put(t, b, old, 0)
	for range 2 {
		b.stop(t)
		var all []pending
		for i := range 10 {
			all = append(all, start(t.Context(), b, old.Ref, dedupetest.Entry(fmt.Sprintf("new-%d", i))))
		}
		b.log.wait(t, "does not answer")
		b.server.Restart(t)
		for _, p := range all {
			p.want(t, nil, nil)
		}
		b.log.wait(t, "answers again")
	}
	for i := range 10 {
		dedupetest.Same(t, b, dedupetest.Entry(fmt.Sprintf("new-%d", i)))
	}
	if b.log.count("does not answer") != 2 || b.log.count("answers again") != 2 {
		t.Errorf("two outages were logged as:\n%s", b.log)
	}
	if n := b.lost.n.Load(); n != 0 {
		t.Errorf("%d records given up", n)
	}
}

func TestKVWaitsForTheBucket(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	e := dedupetest.Entry("last.ckpt")
	if err := b.js.DeleteKeyValue(t.Context(), dedupe.Bucket); err != nil {
		t.Fatal(err)
	}
	p := start(t.Context(), b, object.Ref{Bucket: "ckpt", Key: "absent"}, e)
	b.log.wait(t, "does not answer")
	newBucket(t, b.js, dedupe.BucketConfig(ttl, 1))
	p.want(t, dedupe.ErrNotFound, nil)
	dedupetest.Same(t, b, e)
}

func TestKVContextEndsInAnOutage(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.stop(t)
	ctx, cancel := context.WithCancel(t.Context())
	all := make([]pending, 0, dedupe.MaxUnconfirmed+1)
	for i := range dedupe.MaxUnconfirmed {
		all = append(all, start(ctx, b, dedupetest.Entry("a").Ref, dedupetest.Entry(fmt.Sprint(i))))
	}
	b.log.wait(t, "does not answer")
	turn := make(chan error, 1)
	go b.Put(ctx, dedupetest.Entry("one more"), 0, func(err error) { turn <- err })
	cancel()
	for _, p := range all {
		p.want(t, context.Canceled, context.Canceled)
	}
	wantDone(t, "Put that waited for its turn", turn, context.Canceled)
}

func BenchmarkKV(b *testing.B) {
	const n = 10_000
	js := natstest.Start(b).JetStream(b)
	kv := newBucket(b, js, dedupe.BucketConfig(ttl, 1))
	ctx := b.Context()
	entries := make([]dedupe.Entry, n)
	for i := range entries {
		entries[i] = dedupetest.Entry(fmt.Sprintf("run-7/step-100/__%d_0.distcp", i))
	}
	var cluster int
	next := func() *dedupe.KV {
		cluster++
		return dedupe.NewKV(js, kv, fmt.Sprint(cluster), dedupe.KVOptions{})
	}
	put := func(b *testing.B, l *dedupe.KV) {
		b.Helper()
		done := make(chan error, n)
		for i := range entries {
			l.Put(ctx, entries[i], 0, func(err error) { done <- err })
		}
		for range entries {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("10000 Puts", func(b *testing.B) {
		for b.Loop() {
			put(b, next())
		}
	})
	b.Run("10000 Gets, one at a time", func(b *testing.B) {
		l := next()
		put(b, l)
		for b.Loop() {
			for i := range entries {
				if _, err := l.Get(ctx, entries[i].Ref); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
