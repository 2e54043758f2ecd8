// Package dedupetest is the conformance suite of dedupe.Ledger: what every
// implementation must do alike.
package dedupetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// patience is how long the suite waits for what must happen.
const patience = 30 * time.Second

// Run runs the suite over the ledgers that newLedger gives, each of them empty.
func Run(t *testing.T, newLedger func(t *testing.T) dedupe.Ledger) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, dedupe.Ledger){
		"not found":             testNotFound,
		"round trip":            testRoundTrip,
		"keys are exact":        testKeysAreExact,
		"replace by revision":   testReplace,
		"conflict":              testConflict,
		"many writers, one key": testOneKey,
		"many keys":             testManyKeys,
		"done may put":          testDoneMayPut,
		"ended context":         testEndedContext,
		"illegal names":         testIllegalNames,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newLedger(t))
		})
	}
}

// Entry is a record of key with every field set.
func Entry(key string) dedupe.Entry {
	return dedupe.Entry{
		Attrs: object.Attrs{
			Ref: object.Ref{Bucket: "ckpt", Key: key},
			Version: object.Version{
				ETag:         `0cc175b9c0f1b6a831c399e269772661-3`,
				ID:           "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo",
				LastModified: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC),
				Sequencer:    object.Sequencer{Source: "aws:s3", Value: "55AED6DCD90281E5"},
			},
			Size: 5 << 40,
		},
		Verdict:   outcome.Synchronous,
		At:        time.Date(2026, 11, 20, 10, 0, 3, 123456789, time.UTC),
		EventTime: time.Date(2026, 11, 20, 10, 0, 1, 987654321, time.UTC),
	}
}

// Put stores e and waits until that is done.
func Put(t *testing.T, l dedupe.Ledger, e dedupe.Entry, prev uint64) {
	t.Helper()
	if err := put(t, l, e, prev); err != nil {
		t.Fatalf("Put %q: %v", e.Ref, err)
	}
}

// put returns what done was called with. The channel has no buffer, so that a
// ledger which calls done before Put returns never comes back.
func put(t *testing.T, l dedupe.Ledger, e dedupe.Entry, prev uint64) error {
	t.Helper()
	done := make(chan error)
	l.Put(t.Context(), e, prev, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("Put %q: not done after %v", e.Ref, patience)
		return nil
	}
}

// Get returns what is on record for ref.
func Get(t *testing.T, l dedupe.Ledger, ref object.Ref) dedupe.Record {
	t.Helper()
	r, err := l.Get(t.Context(), ref)
	if err != nil {
		t.Fatalf("Get %q: %v", ref, err)
	}
	return r
}

// Same fails the test unless e is on record.
func Same(t *testing.T, l dedupe.Ledger, e dedupe.Entry) {
	t.Helper()
	if diff := cmp.Diff(e, Get(t, l, e.Ref).Entry); diff != "" {
		t.Errorf("record of %q (-want +got):\n%s", e.Ref, diff)
	}
}

func testNotFound(t *testing.T, l dedupe.Ledger) {
	r, err := l.Get(t.Context(), object.Ref{Bucket: "ckpt", Key: "absent"})
	if !errors.Is(err, dedupe.ErrNotFound) || r.Revision != 0 {
		t.Errorf("Get = revision %d, %v; want 0, %v", r.Revision, err, dedupe.ErrNotFound)
	}
}

func testRoundTrip(t *testing.T, l dedupe.Ledger) {
	for _, key := range []string{
		"run-7/step-100/__0_0.distcp", "a", " ", ".", "..", "a/../b", "//", "a*>b", "a.b.>", "?x=1#y",
		"line\nbreak\r\t", "%2F", "%", "+ +", `"\`, "<&>\u2028", "\x01\x1f\x7f", "модель/模型/🤖", "e\u0301", "\ufffd",
		strings.Repeat("k", object.MaxKeyBytes), strings.Repeat("\x02", object.MaxKeyBytes), strings.Repeat("é", object.MaxKeyBytes/2),
	} {
		Put(t, l, Entry(key), 0)
		Same(t, l, Entry(key))
	}
	least := dedupe.Entry{
		Attrs:   object.Attrs{Ref: object.Ref{Bucket: "ckpt", Key: "least"}, Size: object.UnknownSize},
		Verdict: outcome.Accepted, At: time.Unix(1, 0),
	}
	Put(t, l, least, 0)
	Same(t, l, least)
}

func testKeysAreExact(t *testing.T, l dedupe.Ledger) {
	refs := []object.Ref{
		{Bucket: "ckpt", Key: "a"},
		{Bucket: "ckpt", Key: "A"},
		{Bucket: "ckpt", Key: "a/"},
		{Bucket: "ckpt", Key: "./a"},
		{Bucket: "ckpt", Key: "%61"},
		{Bucket: "ckpt", Key: "é"},
		{Bucket: "ckpt", Key: "e\u0301"},
		{Bucket: "ckpt-2", Key: "a"},
	}
	entry := func(i int) dedupe.Entry {
		e := Entry("")
		e.Ref, e.Size = refs[i], int64(i)
		return e
	}
	for i := range refs {
		Put(t, l, entry(i), 0)
	}
	for i := range refs {
		Same(t, l, entry(i))
	}
}

func testReplace(t *testing.T, l dedupe.Ledger) {
	e := Entry("last.ckpt")
	Put(t, l, e, 0)
	first := Get(t, l, e.Ref)
	if first.Revision == 0 {
		t.Fatal("a record of revision 0")
	}
	// An object may go back in time: by a copy, or when its last version is
	// deleted. Nobody else wrote, so it is replaced.
	e.ETag, e.LastModified = "b", e.LastModified.Add(-time.Hour)
	Put(t, l, e, first.Revision)
	Same(t, l, e)
	if again := Get(t, l, e.Ref); again.Revision == first.Revision {
		t.Errorf("revision %d is that of the replaced record", again.Revision)
	}
}

func testConflict(t *testing.T, l dedupe.Ledger) {
	modified := Entry("").LastModified
	for name, tt := range map[string]struct {
		theirs, ours time.Time // Last-Modified
		replaced     bool
	}{
		"theirs is later":      {modified.Add(time.Second), modified, false},
		"ours is later":        {modified, modified.Add(time.Second), true},
		"neither":              {modified, modified, true},
		"theirs is not known":  {time.Time{}, modified, true},
		"ours is not known":    {modified, time.Time{}, false},
		"neither of the known": {time.Time{}, time.Time{}, true},
	} {
		for _, known := range []bool{false, true} {
			base := Entry(fmt.Sprintf("%s %v", name, known))
			var prev uint64
			if known {
				Put(t, l, base, 0)
				prev = Get(t, l, base.Ref).Revision
			}
			theirs, ours := base, base
			theirs.ETag, theirs.LastModified = "theirs", tt.theirs
			ours.ETag, ours.LastModified = "ours", tt.ours
			Put(t, l, theirs, prev)
			Put(t, l, ours, prev)
			if tt.replaced {
				Same(t, l, ours)
			} else {
				Same(t, l, theirs)
			}
		}
	}
}

// testOneKey has many replicas fill ever newer versions of one object; the
// newest must be on record, whoever came last.
func testOneKey(t *testing.T, l dedupe.Ledger) {
	const writers = 32
	version := func(i int) dedupe.Entry {
		e := Entry("last.ckpt")
		e.ETag, e.LastModified = fmt.Sprint(i), e.LastModified.Add(time.Duration(i)*time.Second)
		return e
	}
	var all calls
	for i := range writers {
		all.put(t.Context(), l, version(i*7%writers), 0)
	}
	all.wait(t)
	Same(t, l, version(writers-1))
}

func testManyKeys(t *testing.T, l dedupe.Ledger) {
	const writers, each = 4, dedupe.MaxUnconfirmed
	entry := func(w, i int) dedupe.Entry { return Entry(fmt.Sprintf("run-%d/shard-%d", w, i)) }
	var (
		wg  sync.WaitGroup
		all calls
	)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				all.put(t.Context(), l, entry(w, i), 0)
			}
		})
	}
	wg.Wait()
	all.wait(t)
	for w := range writers {
		for i := range each {
			Same(t, l, entry(w, i))
		}
	}
}

// testDoneMayPut has every done wait for a Put that needs a turn of its own.
func testDoneMayPut(t *testing.T, l dedupe.Ledger) {
	var wg sync.WaitGroup
	for i := range dedupe.MaxUnconfirmed + 1 {
		wg.Add(2)
		l.Put(t.Context(), Entry(fmt.Sprintf("first-%d", i)), 0, func(error) {
			l.Put(t.Context(), Entry(fmt.Sprintf("second-%d", i)), 0, func(error) { wg.Done() })
			wg.Done()
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatalf("not done after %v", patience)
	}
}

func testEndedContext(t *testing.T, l dedupe.Ledger) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := Entry("a")
	if _, err := l.Get(ctx, e.Ref); !errors.Is(err, context.Canceled) {
		t.Errorf("Get = %v, want %v", err, context.Canceled)
	}
	done := make(chan error)
	l.Put(ctx, e, 0, func(err error) { done <- err })
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Put: done(%v), want %v", err, context.Canceled)
	}
}

func testIllegalNames(t *testing.T, l dedupe.Ledger) {
	for _, ref := range []object.Ref{
		{},
		{Bucket: "ckpt"},
		{Bucket: "*", Key: "a"},
		{Bucket: "a.b.>", Key: "a"},
		{Bucket: "ckpt", Key: "\xff"},
		{Bucket: "ckpt", Key: "a\x00b"},
		{Bucket: "ckpt", Key: strings.Repeat("k", object.MaxKeyBytes+1)},
	} {
		if _, err := l.Get(t.Context(), ref); err == nil || errors.Is(err, dedupe.ErrNotFound) {
			t.Errorf("Get %q = %v, want what is wrong with the name", ref, err)
		}
		e := Entry("")
		e.Ref = ref
		if err := put(t, l, e, 0); err == nil {
			t.Errorf("Put %q: done without an error", ref)
		}
	}
}

// calls are Puts of which each done must be called once.
type calls struct {
	mu   sync.Mutex
	open sync.WaitGroup
	errs []error
	bad  int // calls of a done that was called before
}

func (c *calls) put(ctx context.Context, l dedupe.Ledger, e dedupe.Entry, prev uint64) {
	c.open.Add(1)
	var called bool
	l.Put(ctx, e, prev, func(err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if called {
			c.bad++
			return
		}
		called = true
		c.errs = append(c.errs, err)
		c.open.Done()
	})
}

// wait waits for all of them.
func (c *calls) wait(t *testing.T) {
	t.Helper()
	ended := make(chan struct{})
	go func() { c.open.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatalf("not all done after %v", patience)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(c.errs...); err != nil {
		t.Errorf("done: %v", err)
	}
	if c.bad > 0 {
		t.Errorf("done was called again %d times", c.bad)
	}
}
