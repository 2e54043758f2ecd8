package dedupe

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/persist"
)

// fakeKV answers by script, for what a real server does only rarely.
type fakeKV struct {
	jetstream.KeyValue
	get    func(ctx context.Context) (jetstream.KeyValueEntry, error)
	create func(ctx context.Context, value []byte) error
	update func(ctx context.Context, value []byte, revision uint64) error
}

func (f *fakeKV) Get(ctx context.Context, _ string) (jetstream.KeyValueEntry, error) {
	return f.get(ctx)
}

func (f *fakeKV) Create(ctx context.Context, _ string, value []byte, _ ...jetstream.KVCreateOpt) (uint64, error) {
	return 1, f.create(ctx, value)
}

func (f *fakeKV) Update(ctx context.Context, _ string, value []byte, revision uint64) (uint64, error) {
	return revision + 1, f.update(ctx, value, revision)
}

type fakeEntry struct {
	jetstream.KeyValueEntry
	value    []byte
	revision uint64
}

func (f fakeEntry) Key() string      { return "key" }
func (f fakeEntry) Value() []byte    { return f.value }
func (f fakeEntry) Revision() uint64 { return f.revision }

type fakeConn struct{ down atomic.Bool }

func (c *fakeConn) IsConnected() bool { return !c.down.Load() }

// What persist promises: the time of one try, and the longest wait between two.
const (
	tryTimeout = 5 * time.Second
	maxBackoff = 5 * time.Second
)

type tally struct{ n atomic.Int64 }

func (c *tally) Inc() { c.n.Add(1) }

func newFake(kv *fakeKV) (*KV, *strings.Builder, *tally) {
	var (
		log  strings.Builder
		lost tally
	)
	logger := slog.New(slog.NewTextHandler(&log, nil))
	return &KV{
		kv: kv, cluster: "c1", retry: persist.New(new(fakeConn), "ledger", logger),
		opts:  KVOptions{Logger: logger, GivenUp: &lost},
		slots: make(chan struct{}, MaxUnconfirmed),
	}, &log, &lost
}

func someEntry(etag string) Entry {
	return Entry{
		Attrs: object.Attrs{
			Ref:     object.Ref{Bucket: "ckpt", Key: "last.ckpt"},
			Version: object.Version{ETag: etag, LastModified: time.Unix(1e9, 0).UTC()},
		},
		Verdict: outcome.Accepted, At: time.Unix(1e9+60, 0),
	}
}

func await(k *KV, e Entry, prev uint64) error {
	done := make(chan error)
	k.Put(context.Background(), e, prev, func(err error) { done <- err })
	return <-done
}

// The answer to a write is lost: the second try conflicts with the first one's
// own record, which is no reason to write a third time.
func TestKVLostAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stored []byte
		writes := 0
		k, log, _ := newFake(&fakeKV{
			create: func(ctx context.Context, value []byte) error {
				writes++
				if stored != nil {
					return jetstream.ErrKeyExists
				}
				stored = value
				<-ctx.Done()
				return ctx.Err()
			},
			get: func(context.Context) (jetstream.KeyValueEntry, error) {
				return fakeEntry{value: stored, revision: 7}, nil
			},
		})
		start := time.Now()
		if err := await(k, someEntry("a"), 0); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d < tryTimeout || d > tryTimeout+time.Second {
			t.Errorf("done after %v, want a little more than %v", d, tryTimeout)
		}
		if writes != 2 {
			t.Errorf("%d writes, want 2", writes)
		}
		if got := strings.Count(log.String(), "\n"); got != 2 {
			t.Errorf("logged, want the outage and its end:\n%s", log)
		}
	})
}

// What is sent without a connection would pile up in the client.
func TestKVSendsNothingWithoutConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		k, log, _ := newFake(&fakeKV{create: func(context.Context, []byte) error { sent++; return nil }})
		conn := new(fakeConn)
		conn.down.Store(true)
		k.retry = persist.New(conn, "ledger", k.opts.Logger)
		done := make(chan error)
		k.Put(t.Context(), someEntry("a"), 0, func(err error) { done <- err })
		time.Sleep(time.Hour)
		synctest.Wait()
		if sent != 0 {
			t.Errorf("%d writes without a connection", sent)
		}
		conn.down.Store(false)
		start := time.Now()
		if err := <-done; err != nil || sent != 1 {
			t.Errorf("connected: %d writes, %v", sent, err)
		}
		if d := time.Since(start); d > 3*maxBackoff/2 {
			t.Errorf("written %v after the outage", d)
		}
		if got := strings.Count(log.String(), "\n"); got != 2 {
			t.Errorf("logged, want the outage and its end:\n%s", log)
		}
	})
}

// A failure that is older than another caller's success is no outage.
func TestKVLateFailureIsNoNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		k, log, _ := newFake(&fakeKV{
			create: func(ctx context.Context, _ []byte) error {
				if tries++; tries > 1 {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			},
			get: func(context.Context) (jetstream.KeyValueEntry, error) {
				return nil, jetstream.ErrKeyNotFound
			},
		})
		go func() {
			time.Sleep(time.Second)
			_, _ = k.Get(context.Background(), someEntry("a").Ref)
		}()
		if err := await(k, someEntry("a"), 0); err != nil {
			t.Error(err)
		}
		if log.String() != "" {
			t.Errorf("logged:\n%s", log)
		}
	})
}

// A replica of the stream may answer a read late: it goes on until the revision
// is the right one.
func TestKVStaleRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tried []uint64
		reads := uint64(0)
		theirs, err := marshal(someEntry("theirs"))
		if err != nil {
			t.Fatal(err)
		}
		k, log, _ := newFake(&fakeKV{
			update: func(_ context.Context, _ []byte, revision uint64) error {
				if tried = append(tried, revision); revision < 5 {
					return jetstream.ErrKeyRevisionMismatch
				}
				return nil
			},
			get: func(context.Context) (jetstream.KeyValueEntry, error) {
				reads++
				return fakeEntry{value: theirs, revision: 2 + reads}, nil
			},
		})
		if err := await(k, someEntry("ours"), 2); err != nil {
			t.Error(err)
		}
		if len(tried) != 4 || tried[3] != 5 {
			t.Errorf("revisions %v, want 2 3 4 5", tried)
		}
		if log.String() != "" {
			t.Errorf("a conflict is no outage:\n%s", log)
		}
	})
}

func apiError(code jetstream.ErrorCode) error { return &jetstream.APIError{Code: 503, ErrorCode: code} }

// What JetStream answers, and whether the record is given up for it.
func TestKVRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		errs  []error // of the tries, then success
		lost  int64
		tries int
	}{
		"store closed, then open":        {[]error{apiError(10077)}, 0, 2},
		"bucket full":                    {[]error{apiError(10077), apiError(10077)}, 1, 2},
		"account full":                   {[]error{apiError(10002), apiError(10002)}, 1, 2},
		"server full":                    {[]error{apiError(10023), apiError(10023)}, 1, 2},
		"too large":                      {[]error{apiError(10054)}, 1, 1},
		"replicas are not ready":         {[]error{apiError(10163), apiError(10163), apiError(10163)}, 0, 4},
		"no stream":                      {[]error{jetstream.ErrNoStreamResponse, jetstream.ErrStreamNotFound}, 0, 3},
		"conflict of a replicated store": {[]error{errors.Join(apiError(10164), jetstream.ErrKeyExists)}, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				k, _, lost := newFake(&fakeKV{
					create: func(context.Context, []byte) error {
						if tries++; tries <= len(tt.errs) {
							return tt.errs[tries-1]
						}
						return nil
					},
					get: func(context.Context) (jetstream.KeyValueEntry, error) { return nil, jetstream.ErrKeyNotFound },
				})
				if err := await(k, someEntry("a"), 0); err != nil {
					t.Error(err)
				}
				if tries != tt.tries || lost.n.Load() != tt.lost {
					t.Errorf("%d tries, %d given up; want %d, %d", tries, lost.n.Load(), tt.tries, tt.lost)
				}
			})
		})
	}
}

func TestKVWarnsOfAFullBucketOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, log, _ := newFake(&fakeKV{
			create: func(context.Context, []byte) error { return apiError(10077) },
		})
		start := time.Now()
		for time.Since(start) < 150*time.Second {
			if err := await(k, someEntry("a"), 0); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		if got := strings.Count(log.String(), "no room"); got != 3 {
			t.Errorf("%d warnings in 150 s, want 3", got)
		}
	})
}

func TestOnceEachIsBounded(t *testing.T) {
	t.Parallel()
	var o onceEach
	told := 0
	for range 2 {
		for i := range maxWarned + 10 {
			if o.first(strconv.Itoa(i)) {
				told++
			}
		}
	}
	if told != maxWarned || len(o.seen) != maxWarned {
		t.Errorf("told of %d keys, remembers %d; want %d", told, len(o.seen), maxWarned)
	}
}

func TestKVBoundsUnconfirmedWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var writing atomic.Int64
		release := make(chan struct{})
		k, _, _ := newFake(&fakeKV{
			create: func(context.Context, []byte) error {
				writing.Add(1)
				defer writing.Add(-1)
				<-release
				return nil
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		var returned, done, ended atomic.Int64
		for range MaxUnconfirmed + 10 {
			go func() {
				k.Put(ctx, someEntry("a"), 0, func(err error) {
					if err != nil {
						ended.Add(1)
					}
					done.Add(1)
				})
				returned.Add(1)
			}()
		}
		synctest.Wait()
		if w, r := writing.Load(), returned.Load(); w != MaxUnconfirmed || r != MaxUnconfirmed {
			t.Errorf("%d writes under way, %d Puts returned; want %d of both", w, r, MaxUnconfirmed)
		}
		cancel()
		synctest.Wait()
		if d, e, r := done.Load(), ended.Load(), returned.Load(); d != 10 || e != 10 || r != MaxUnconfirmed+10 {
			t.Errorf("ctx ended: %d done, %d with an error, %d returned; want those that waited for a turn", d, e, r)
		}
		close(release)
		synctest.Wait()
		if d := done.Load(); d != MaxUnconfirmed+10 {
			t.Errorf("%d done", d)
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	good, err := marshal(someEntry("a"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(good), "", "{}", "null", `{"uri":"s3://ckpt/last.ckpt","size":-1,"confirmed":"verified","at":"2026-11-20T10:00:00+23:59","sequencer":"00a"}`} {
		f.Add([]byte(seed))
	}
	ref := someEntry("").Ref
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := unmarshal(data, ref)
		if err != nil {
			return
		}
		again, err := marshal(e)
		if err != nil {
			t.Fatalf("read, but cannot be written: %v", err)
		}
		if _, err := unmarshal(again, ref); err != nil {
			t.Fatalf("read, written, but not read again: %v\n%s", err, again)
		}
	})
}
