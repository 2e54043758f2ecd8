package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/publish"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	now     = time.Date(2025, 11, 25, 12, 0, 0, 123456789, time.UTC)
	written = time.Date(2025, 11, 20, 10, 0, 0, 0, time.UTC)
)

// fakes are everything that a pass talks to.
type fakes struct {
	asked    prestage.Request
	items    []prestage.Item
	problems []*outcome.Error
	walkErr  error

	mu      sync.Mutex
	records map[string]dedupe.Entry // by key
	fates   map[string]consumer.Receipt
	down    error // of every lookup
	sent    []publish.Event
	taken   map[string]bool // ids in the stream's window
	sendErr error
}

func (f *fakes) Walk(_ context.Context, req prestage.Request, yield func(prestage.Item) error) (prestage.Summary, error) {
	f.asked = req
	for _, i := range f.items {
		if err := yield(i); err != nil {
			return prestage.Summary{}, err
		}
	}
	return prestage.Summary{Problems: f.problems}, f.walkErr
}

func (f *fakes) Get(_ context.Context, ref object.Ref) (dedupe.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.records[ref.Key]
	switch {
	case f.down != nil:
		return dedupe.Record{}, f.down
	case !ok:
		return dedupe.Record{Revision: 7}, dedupe.ErrNotFound
	}
	return dedupe.Record{Entry: e}, nil
}

func (f *fakes) Fate(_ context.Context, id string) (consumer.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fates[id], nil
}

func (f *fakes) Send(_ context.Context, e publish.Event) (publish.Sent, error) {
	if _, err := publish.Message(e, "events.x"); err != nil {
		return publish.Sent{}, err
	}
	if f.sendErr != nil {
		return publish.Sent{}, f.sendErr
	}
	s := publish.Sent{Stream: "EVENTS", Seq: uint64(len(f.sent) + 1), Duplicate: f.taken[e.ID]}
	if !s.Duplicate {
		f.sent = append(f.sent, e)
		f.taken[e.ID] = true
	}
	return s, nil
}

// item is an object of a listing.
func item(key string) prestage.Item {
	return prestage.Item{
		Attrs:   object.Attrs{Ref: object.Ref{Bucket: "ckpt", Key: key}, Version: object.Version{ETag: "e-" + key, LastModified: written}, Size: 10},
		Current: true, Listed: true,
	}
}

// record is of the version of item, filled at.
func record(key string, at time.Time) dedupe.Entry {
	return dedupe.Entry{Attrs: item(key).Attrs, At: at, Verdict: outcome.Accepted}
}

func newFakes(items ...prestage.Item) *fakes {
	return &fakes{items: items, records: map[string]dedupe.Entry{}, fates: map[string]consumer.Receipt{}, taken: map[string]bool{}}
}

// pass is a pass over f. What it tells is in the list.
func (f *fakes) pass(change func(*Config)) (*Pass, *[]Finding) {
	var told []Finding
	c := Config{
		Plans: f, Records: f, Stream: f, Type: publish.CheckpointWritten, TTL: 24 * time.Hour, MaxEvents: 1000,
		Tell: func(x Finding) error { told = append(told, x); return nil },
	}
	if change != nil {
		change(&c)
	}
	p := New(c)
	p.now = func() time.Time { return now }
	if c.OlderThan > 0 {
		p.rewarmBefore = now.Add(-c.OlderThan)
	}
	return p, &told
}

func TestMissing(t *testing.T) {
	t.Parallel()
	other := record("overwritten", now)
	other.ETag = "before"
	for _, tt := range []struct {
		key    string
		record dedupe.Entry // none when its time is zero
		older  time.Duration
		want   State
		why    string
	}{
		{"untold", dedupe.Entry{}, 0, Published, "nothing is on record"},
		{"warm", record("warm", now.Add(-time.Hour)), 0, Warm, ""},
		{"expired", record("expired", now.Add(-25*time.Hour)), 0, Published, "filled too long ago, at 2025-11-24T11:00:00Z"},
		{"overwritten", other, 0, Published, "overwritten since it was filled at 2025-11-25T12:00:00Z"},
		{"young", record("young", now.Add(-time.Hour)), 2 * time.Hour, Warm, ""},
		{"old", record("old", now.Add(-time.Hour)), time.Minute, Published, "filled too long ago, at 2025-11-25T11:00:00Z"},
	} {
		t.Run(tt.key, func(t *testing.T) {
			t.Parallel()
			f := newFakes(item(tt.key))
			if !tt.record.At.IsZero() {
				f.records[tt.key] = tt.record
			}
			p, told := f.pass(func(c *Config) { c.OlderThan = tt.older })
			if more, err := p.Target(t.Context(), prestage.Request{}); err != nil || !more {
				t.Fatal(more, err)
			}
			if diff := cmp.Diff(map[State]int64{tt.want: 1}, p.Report().Objects); diff != "" {
				t.Error(diff)
			}
			if tt.want == Warm {
				if len(*told)+len(f.sent) != 0 {
					t.Errorf("told %+v, sent %+v", *told, f.sent)
				}
				return
			}
			if len(*told) != 1 || (*told)[0].Why != tt.why || (*told)[0].Seq != 1 || len(f.sent) != 1 {
				t.Fatalf("told %+v, sent %+v", *told, f.sent)
			}
			want := publish.Data{Bucket: "ckpt", Objects: []publish.Object{{Key: tt.key, Size: 10, ETag: "e-" + tt.key}}}
			if tt.older > 0 {
				want.RewarmBefore = now.Add(-tt.older)
			}
			if diff := cmp.Diff(want, f.sent[0].Data); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFates: an event of an earlier pass keeps the next one from publishing it
// again, unless what became of it is no longer so.
func TestFates(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		receipt consumer.Receipt
		want    State
	}{
		{consumer.Receipt{Outcome: consumer.Pending, Error: "no luck"}, Pending},
		{consumer.Receipt{Outcome: consumer.DeadLettered, Reason: outcome.Forbidden, Error: "403"}, DeadLettered},
		{consumer.Receipt{Outcome: consumer.Skipped, Reason: outcome.TooSmall}, Skipped},
		{consumer.Receipt{Outcome: consumer.Skipped, Reason: outcome.Gone}, Published}, // it is back
		{consumer.Receipt{Outcome: consumer.Warm}, Published},                          // the ledger has lost it
	} {
		f := newFakes(item("a"))
		f.fates[eventID(item("a"), dedupe.Entry{})] = tt.receipt
		p, told := f.pass(nil)
		if _, err := p.Target(t.Context(), prestage.Request{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[State]int64{tt.want: 1}, p.Report().Objects); diff != "" || (len(f.sent) == 1) != (tt.want == Published) {
			t.Errorf("%+v: sent %d, %s", tt.receipt, len(f.sent), diff)
		}
		for _, x := range *told {
			if tt.receipt.Error != "" && (x.Why != tt.receipt.Error || x.Reason != tt.receipt.Reason) {
				t.Errorf("told %+v", x)
			}
		}
	}
}

// TestTwoPasses: the second finds the events of the first, wherever they are.
func TestTwoPasses(t *testing.T) {
	t.Parallel()
	var items []prestage.Item
	for n := range 3*atOnce + 1 {
		items = append(items, item(fmt.Sprintf("%04d", n)))
	}
	f := newFakes(items...)
	for n, want := range []State{Published, InStream} {
		p, told := f.pass(func(c *Config) { c.OlderThan = time.Duration(n+1) * time.Hour }) // no cutoff is in the id
		if more, err := p.Target(t.Context(), prestage.Request{}); err != nil || !more {
			t.Fatal(more, err)
		}
		if diff := cmp.Diff(map[State]int64{want: int64(len(items))}, p.Report().Objects); diff != "" || len(*told) != len(items) {
			t.Error(n, len(*told), diff)
		}
		if !slices.IsSortedFunc(*told, func(a, b Finding) int { return strings.Compare(a.URI, b.URI) }) {
			t.Error("not in the order of the listing")
		}
	}
	if len(f.sent) != len(items) {
		t.Errorf("%d events for %d objects", len(f.sent), len(items))
	}
}

func TestEventID(t *testing.T) {
	t.Parallel()
	a := item("a")
	ids := map[string]string{"plain": eventID(a, dedupe.Entry{})}
	for name, change := range map[string]func(*prestage.Item, *dedupe.Entry){
		"key":    func(i *prestage.Item, _ *dedupe.Entry) { i.Key = "b" },
		"bucket": func(i *prestage.Item, _ *dedupe.Entry) { i.Bucket = "other" },
		"etag":   func(i *prestage.Item, _ *dedupe.Entry) { i.ETag = "x" },
		"time":   func(i *prestage.Item, _ *dedupe.Entry) { i.LastModified = i.LastModified.Add(time.Second) },
		"record": func(_ *prestage.Item, e *dedupe.Entry) { e.At = now },
		"later":  func(_ *prestage.Item, e *dedupe.Entry) { e.At = now.Add(1) },
	} {
		i, e := a, dedupe.Entry{}
		change(&i, &e)
		id := eventID(i, e)
		for other, is := range ids {
			if is == id {
				t.Errorf("%s and %s have the same id", name, other)
			}
		}
		ids[name] = id
	}
	// What a listing and a HEAD tell differently is not in it, nor is the zone.
	same := a
	same.ID, same.Size, same.Listed = "v1", object.UnknownSize, false
	same.LastModified = same.LastModified.In(time.FixedZone("x", 3600))
	if got := eventID(same, dedupe.Entry{}); got != ids["plain"] {
		t.Errorf("%s, want %s", got, ids["plain"])
	}
}

func TestMaxEvents(t *testing.T) {
	t.Parallel()
	for _, dry := range []bool{false, true} {
		f := newFakes(item("a"), item("b"), item("c"), item("d"))
		f.taken[eventID(item("a"), dedupe.Entry{})] = true
		f.walkErr = errors.New("not reached")
		p, told := f.pass(func(c *Config) { c.MaxEvents, c.DryRun = 2, dry })
		more, err := p.Target(t.Context(), prestage.Request{})
		if more || err != nil || !p.Report().Stopped {
			t.Errorf("%t, %v, %+v", more, err, p.Report())
		}
		want := []State{InStream, Published, Published} // what is there already counts for nothing
		if dry {
			want = []State{Missing, Missing}
		}
		var got []State
		for _, x := range *told {
			got = append(got, x.State)
		}
		if diff := cmp.Diff(want, got); diff != "" || (dry && len(f.sent) > 0) || p.Report().Bytes != 20 {
			t.Error(p.Report(), diff)
		}
	}
	// Exactly as many as there are is no reason to stop.
	f := newFakes(item("a"), item("b"))
	p, _ := f.pass(func(c *Config) { c.MaxEvents = 2 })
	if more, err := p.Target(t.Context(), prestage.Request{}); !more || err != nil || p.Report().Stopped {
		t.Errorf("%t, %v, %+v", more, err, p.Report())
	}
}

// TestProblems: what is wrong with one target or object does not end the pass.
func TestProblems(t *testing.T) {
	t.Parallel()
	ref := object.Ref{Bucket: "ckpt", Key: "run/"}
	unknown := item("failed")
	unknown.Current = false
	small := item("small")
	small.Skip = outcome.TooSmall
	unsized := item("unsized")
	unsized.Size = object.UnknownSize
	f := newFakes(item("${RUN}"), item("good"), unknown, small, unsized)
	f.problems = []*outcome.Error{
		{Op: "plan", Ref: ref, Class: outcome.Failed, Reason: outcome.Incomplete, Err: errors.New("1 file is missing")},
		{Op: "head", Ref: unknown.Ref, Class: outcome.Refused, Reason: outcome.Forbidden, Err: errors.New("403")},
	}
	p, told := f.pass(nil)
	if more, err := p.Target(t.Context(), prestage.Request{}); err != nil || !more {
		t.Fatal(more, err)
	}
	want := map[State]int64{Failed: 2, Published: 2, Skipped: 1, Incomplete: 1}
	if diff := cmp.Diff(want, p.Report().Objects); diff != "" || p.Report().Unsized != 1 || p.Report().Bytes != 10 {
		t.Error(p.Report(), diff)
	}
	if (*told)[0].Reason != outcome.Malformed || f.sent[1].Data.Objects[0].Size != 0 {
		t.Errorf("%+v, %+v", (*told)[0], f.sent[1].Data)
	}
	for _, x := range *told {
		if x.State == Incomplete && (!x.Newest.Equal(written) || x.URI != ref.String()) {
			t.Errorf("%+v", x)
		}
	}

	// A listing that fails half-way: what it told counts.
	f = newFakes(item("a"))
	f.walkErr = &outcome.Error{Op: "list", Ref: ref, Class: outcome.Refused, Reason: outcome.Forbidden, Err: errors.New("403")}
	p, _ = f.pass(nil)
	if more, err := p.Target(t.Context(), prestage.Request{}); err != nil || !more || p.Report().Objects[Failed] != 1 || len(f.sent) != 1 {
		t.Errorf("%t, %v, %+v", more, err, p.Report())
	}
	if err := p.Fail("list:3", "no URI"); err != nil || p.Report().Objects[Failed] != 2 {
		t.Errorf("%v, %+v", err, p.Report())
	}
}

// TestEnds: what the pass cannot do without ends it.
func TestEnds(t *testing.T) {
	t.Parallel()
	cause := errors.New("no server")
	full := errors.New("broken pipe")
	for name, tt := range map[string]struct {
		fakes  func(*fakes)
		config func(*Config)
		want   error
	}{
		"no ledger": {func(f *fakes) { f.down = cause }, nil, cause},
		"no stream": {func(f *fakes) { f.sendErr = cause }, nil, cause},
		"no output": {nil, func(c *Config) { c.Tell = func(Finding) error { return full } }, full},
	} {
		f := newFakes(item("a"))
		if tt.fakes != nil {
			tt.fakes(f)
		}
		p, _ := f.pass(tt.config)
		if more, err := p.Target(t.Context(), prestage.Request{}); more || !errors.Is(err, tt.want) {
			t.Errorf("%s: %t, %v", name, more, err)
		}
	}
	f := newFakes(item("a"))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	p, _ := f.pass(nil)
	if more, err := p.Target(ctx, prestage.Request{}); more || !errors.Is(err, cause) || len(f.sent) > 0 {
		t.Errorf("after its end: %t, %v", more, err)
	}
}

// TestFindingJSON keeps the names that scripts read.
func TestFindingJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(Finding{URI: "s3://a/b", State: InStream, Size: 1, EventID: "e", Stream: "EVENTS", Seq: 2})
	want := `{"uri":"s3://a/b","state":"in_stream","size":1,"reason":"","why":"","event_id":"e","stream":"EVENTS","stream_seq":2}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
