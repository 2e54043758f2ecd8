package integration_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/lotasim"
)

// clockSlack is how far apart two notes of one moment may be: the emulator's, the
// program's and the server's, all by this host's clock.
const clockSlack = 20 * time.Millisecond

// recordSlack is how long after a record's writing a replica may still send a
// request that it had decided on before: it may have been frozen or cut off
// meanwhile, for longer than any fault here lasts.
const recordSlack = 15 * time.Second

// chaosRow is what one run came to.
type chaosRow struct {
	seed     uint64
	replicas int
	took     time.Duration

	events, faults int
	kinds          map[string]int
	outcomes       map[string]int
	lost           int // accepted events without one right end
	early          int // acks before the fills of their event
	requests       int // ranged HEADs that succeeded
	versions       int // of objects that were asked for
	repeated       int // successful ones beyond one for each version
	onRecord       int // of them, those for what was on record
	recovery       []time.Duration
}

func (r chaosRow) String() string {
	return fmt.Sprintf("seed %d: %d events, %d faults of %d kinds, %d replicas, %s; outcomes %v; lost %d, early acks %d, "+
		"%d fills of %d versions, %d repeated, %d of them on record; recovery p50 %s p99 %s",
		r.seed, r.events, r.faults, len(r.kinds), r.replicas, r.took.Round(time.Second), r.outcomes, r.lost, r.early,
		r.requests, r.versions, r.repeated, r.onRecord,
		quantile(r.recovery, 0.5).Round(time.Millisecond), quantile(r.recovery, 0.99).Round(time.Millisecond))
}

// check compares what the program left behind with what really happened.
func (c *chaos) check() chaosRow {
	row := chaosRow{faults: len(c.faults), kinds: make(map[string]int), outcomes: make(map[string]int)}
	for _, f := range c.faults {
		row.kinds[f.kind]++
		if d, ok := c.finals.after(f.ended); ok {
			row.recovery = append(row.recovery, d)
		}
	}
	receipts := make(map[uint64][]receipt)
	for _, r := range c.receipts(c.t) {
		receipts[r.StreamSeq] = append(receipts[r.StreamSeq], r)
	}
	results, letters := c.subjects(c.t, resultsStream), c.subjects(c.t, lettersStream)
	fills := c.fillsByKey()
	for _, e := range c.plan {
		for _, seq := range e.seqs {
			row.events++
			if problem := c.checkEvent(e, seq, receipts[seq], results, letters, fills); problem != "" {
				row.lost++
				c.t.Errorf("event %q, message %d: %s", e.id, seq, problem)
			}
			if rs := receipts[seq]; len(rs) == 1 {
				row.outcomes[rs[0].Outcome]++
			}
			if at, ok := c.acks.first(seq); ok && e.outcome == "warm" {
				if key := c.unfilledAt(e, fills, at); key != "" {
					row.early++
					c.t.Errorf("event %q, message %d: acked before %s was filled", e.id, seq, key)
				}
			}
		}
	}
	c.checkRequests(&row, fills)
	return row
}

// checkEvent says what is wrong with the end of one message, "" when nothing is.
func (c *chaos) checkEvent(e *chaosEvent, seq uint64, receipts []receipt, results, letters map[string]uint64, fills map[string][]lotasim.Request) string {
	if len(receipts) != 1 {
		return fmt.Sprintf("%d receipts, want 1", len(receipts))
	}
	r := receipts[0]
	s := sent{cluster: "default", seq: seq}
	warmed, failed, letter := results[s.subject("warmed")], results[s.subject("failed")], letters[s.subject("dlq")]
	want := map[string][3]uint64{"warm": {1, 0, 0}, "dead_lettered": {0, 1, 1}}[r.Outcome]
	switch {
	case r.Outcome != e.outcome || r.Reason != e.reason:
		return fmt.Sprintf("ended %s %s (%s), want %s %s", r.Outcome, r.Reason, r.Error, e.outcome, e.reason)
	case want != [3]uint64{warmed, failed, letter}:
		return fmt.Sprintf("receipt says %s, but %d warmed and %d failed results and %d letters are there", r.Outcome, warmed, failed, letter)
	case r.Outcome != "warm":
		return ""
	}
	if key := c.unfilledAt(e, fills, r.WarmAt); key != "" {
		return fmt.Sprintf("warm at %s, but %s was not filled by then", r.WarmAt, key)
	}
	return ""
}

// unfilledAt is an object of e that LOTA had not been asked to fill successfully
// by then, in the version that e tells of or a later one; "" when there is none.
func (c *chaos) unfilledAt(e *chaosEvent, fills map[string][]lotasim.Request, then time.Time) string {
	for _, o := range e.objects {
		if o.size <= small {
			continue
		}
		good := c.versions.since(o.key, o.etag)
		if !slices.ContainsFunc(fills[o.key], func(r lotasim.Request) bool {
			return slices.Contains(good, r.ETag) && !r.Time.Add(r.Duration).After(then.Add(clockSlack))
		}) {
			return o.key
		}
	}
	return ""
}

// fillsByKey are the ranged HEADs that succeeded.
func (c *chaos) fillsByKey() map[string][]lotasim.Request {
	fills := make(map[string][]lotasim.Request)
	for _, r := range c.lota.History(lotasim.Filter{Method: "HEAD", Range: "bytes=0-0"}) {
		if r.Status == 200 || r.Status == 206 {
			fills[r.Key] = append(fills[r.Key], r)
		}
	}
	return fills
}

// checkRequests looks at every request that LOTA saw.
func (c *chaos) checkRequests(row *chaosRow, fills map[string][]lotasim.Request) {
	if dropped := c.lota.Counters().HistoryDropped; dropped > 0 {
		c.t.Errorf("the emulator forgot %d requests: the checks are void", dropped)
	}
	for _, r := range c.lota.History(lotasim.Filter{}) {
		if r.Bucket != bucket || r.Host != bucket+".cwlota.com" || (r.Range != "" && r.Method == "HEAD" && !r.RangeSigned) {
			c.t.Errorf("a request that must not be: %+v", r)
		}
		if r.Range == "bytes=0-0" && strings.HasSuffix(r.Key, ".json") {
			c.t.Errorf("ranged HEAD for a small object: %s", r.Key)
		}
	}
	for key, asked := range fills {
		versions := make(map[string]bool)
		for _, r := range asked {
			row.requests++
			if !versions[r.ETag] {
				versions[r.ETag] = true
				row.versions++
				continue
			}
			row.repeated++
			if at, ok := c.ledger.of(key, r.ETag); ok && r.Time.After(at.Add(recordSlack)) {
				row.onRecord++
				c.t.Errorf("%s was asked for at %s, %s after this version was on record", key, r.Time, r.Time.Sub(at))
			}
		}
	}
}

// ackLog notes the acks that pass the server.
type ackLog struct {
	mu sync.Mutex
	at map[uint64]time.Time
}

func (l *ackLog) listen(t *testing.T, nc *nats.Conn) {
	t.Helper()
	l.at = make(map[uint64]time.Time)
	_, err := nc.Subscribe("$JS.ACK.>", func(m *nats.Msg) {
		if !strings.HasPrefix(string(m.Data), "+ACK") {
			return
		}
		// …ACK.<stream>.<consumer>.<deliveries>.<stream seq>…, with domain and
		// account before the stream in the longer form.
		tokens := strings.Split(m.Subject, ".")
		i := slices.Index(tokens, "EVENTS")
		if i < 0 || len(tokens) < i+4 {
			return
		}
		seq, err := strconv.ParseUint(tokens[i+3], 10, 64)
		if err != nil {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, again := l.at[seq]; !again {
			l.at[seq] = time.Now()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (l *ackLog) first(seq uint64) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.at[seq]
	return at, ok
}

// recordLog notes when which object was put on record.
type recordLog struct {
	mu sync.Mutex
	at map[[2]string]time.Time // by key and ETag
}

func (l *recordLog) watch(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	l.at = make(map[[2]string]time.Time)
	watch(t, js, "prestage_objects", func(entry jetstream.KeyValueEntry) {
		var record struct {
			URI  string `json:"uri"`
			ETag string `json:"etag"`
		}
		if json.Unmarshal(entry.Value(), &record) != nil {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		version := [2]string{strings.TrimPrefix(record.URI, uri("")), record.ETag}
		if _, again := l.at[version]; !again {
			l.at[version] = entry.Created()
		}
	})
}

// of is when a version was first on record; false: never.
func (l *recordLog) of(key, etag string) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.at[[2]string{key, etag}]
	return at, ok
}

// finalLog notes when receipts became final.
type finalLog struct {
	mu sync.Mutex
	at map[string]time.Time // by key
}

func (l *finalLog) watch(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	l.at = make(map[string]time.Time)
	watch(t, js, receiptsBucket, func(entry jetstream.KeyValueEntry) {
		r := readReceipt(t, entry)
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, again := l.at[entry.Key()]; !again && r.Outcome != "pending" {
			l.at[entry.Key()] = entry.Created()
		}
	})
}

func (l *finalLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.at)
}

// after is how long after then the next event came to its end; false: none did.
func (l *finalLog) after(then time.Time) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range slices.SortedFunc(maps.Values(l.at), time.Time.Compare) {
		if at.After(then) {
			return at.Sub(then), true
		}
	}
	return 0, false
}

// watch calls see with everything that a bucket holds and gets, until the test
// ends.
func watch(t *testing.T, js jetstream.JetStream, name string, see func(jetstream.KeyValueEntry)) {
	t.Helper()
	kv, err := js.KeyValue(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	w, err := kv.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		for entry := range w.Updates() {
			if entry != nil && entry.Operation() == jetstream.KeyValuePut {
				see(entry)
			}
		}
	})
	t.Cleanup(func() {
		_ = w.Stop()
		reader.Wait()
	})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
