package dedupe_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
)

const ttl = 24 * time.Hour

// The times of the table, in their order: a record's object was modified,
// its event arrived, its fill was asked for.
var (
	modified = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	evented  = modified.Add(time.Minute)
	filled   = evented.Add(time.Minute)
	now      = filled.Add(time.Hour)
)

func seq(source, value string) object.Sequencer {
	return object.Sequencer{Source: source, Value: value}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	entry := func(change func(*dedupe.Entry)) dedupe.Entry {
		e := dedupe.Entry{
			Attrs: object.Attrs{
				Ref:     object.Ref{Bucket: "ckpt", Key: "last.ckpt"},
				Version: object.Version{ETag: "a", LastModified: modified},
				Size:    1 << 30,
			},
			At:        filled,
			EventTime: evented,
		}
		if change != nil {
			change(&e)
		}
		return e
	}
	sequenced := entry(func(e *dedupe.Entry) { e.Sequencer = seq("aws:s3", "55") })
	versioned := entry(func(e *dedupe.Entry) { e.ID = "v1" })
	suspended := entry(func(e *dedupe.Entry) { e.ID = "null" })
	bare := entry(func(e *dedupe.Entry) { e.Version = object.Version{} })
	undated := entry(func(e *dedupe.Entry) { e.LastModified = time.Time{} })
	prompt := entry(func(e *dedupe.Entry) { e.At = evented.Add(time.Second) })
	eventless := entry(func(e *dedupe.Entry) { e.EventTime = time.Time{} })

	later := filled.Add(time.Minute) // of an event that is younger than the record
	etag := func(s string) object.Version { return object.Version{ETag: s} }
	current := func(etag string, lastModified time.Time) dedupe.Claim {
		return dedupe.Claim{
			Version: object.Version{ETag: etag, LastModified: lastModified}, Current: true, EventTime: later,
		}
	}

	tests := []struct {
		name  string
		entry dedupe.Entry
		claim dedupe.Claim
		now   time.Time // zero: now
		want  dedupe.Decision
	}{
		// Rewarm.
		{"rewarm: record older", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: later, RewarmBefore: filled.Add(1)}, now, dedupe.Fill},
		{"rewarm: record as old", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: evented.Add(-1), RewarmBefore: filled}, now, dedupe.Warm},
		{"rewarm: older sequencer too", sequenced, dedupe.Claim{Version: object.Version{Sequencer: seq("aws:s3", "54")}, RewarmBefore: filled.Add(1)}, now, dedupe.Fill},
		{"rewarm: current too", entry(nil), dedupe.Claim{Version: etag("a"), Current: true, RewarmBefore: filled.Add(1)}, now, dedupe.Fill},
		{"rewarm: this event has done it, on a host whose clock is behind", entry(func(e *dedupe.Entry) { e.At = evented.Add(-time.Second) }), dedupe.Claim{EventTime: evented, RewarmBefore: evented}, now, dedupe.Warm},
		{"rewarm: this event's record, but a time after the event", entry(nil), dedupe.Claim{EventTime: evented, RewarmBefore: filled.Add(1)}, now, dedupe.Fill},

		// Expiry.
		{"expiry: at the last moment", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: evented.Add(-1)}, filled.Add(ttl), dedupe.Warm},
		{"expiry: over", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: evented.Add(-1)}, filled.Add(ttl + 1), dedupe.Fill},
		{"expiry: over, older sequencer", sequenced, dedupe.Claim{Version: object.Version{Sequencer: seq("aws:s3", "54")}}, filled.Add(ttl + 1), dedupe.Fill},
		{"expiry: over, current", entry(nil), current("a", modified), filled.Add(ttl + 1), dedupe.Fill},
		{"expiry: over, this event", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: evented}, filled.Add(ttl + 1), dedupe.Warm},
		{"expiry: over, this event replayed", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: evented, Replayed: true}, filled.Add(ttl + 1), dedupe.Fill},
		{"expiry: not over, this event replayed", entry(nil), dedupe.Claim{EventTime: evented, Replayed: true}, filled.Add(ttl), dedupe.Warm},
		{"expiry: over, this event names nothing", entry(nil), dedupe.Claim{EventTime: evented}, filled.Add(ttl + 1), dedupe.Warm},
		{"expiry: over, neither has an event", eventless, dedupe.Claim{Version: etag("a")}, filled.Add(ttl + 1), dedupe.Fill},

		// Sequencers.
		{"sequencer: older", sequenced, dedupe.Claim{Version: object.Version{Sequencer: seq("aws:s3", "54")}, EventTime: later}, now, dedupe.Older},
		{"sequencer: older, though shorter and greater as text", sequenced, dedupe.Claim{Version: object.Version{Sequencer: seq("aws:s3", "9")}, EventTime: later}, now, dedupe.Older},
		{"sequencer: newer", sequenced, dedupe.Claim{Version: object.Version{Sequencer: seq("aws:s3", "56")}, EventTime: later}, now, dedupe.Fill},
		{"sequencer: newer, with the same ETag", sequenced, dedupe.Claim{Version: object.Version{ETag: "a", Sequencer: seq("aws:s3", "56")}, EventTime: evented.Add(-1)}, now, dedupe.Fill},
		{"sequencer: same write", sequenced, dedupe.Claim{Version: object.Version{ETag: "a", Sequencer: seq("aws:s3", "55")}, EventTime: later}, now, dedupe.Warm},
		{"sequencer: same write, nothing else known", sequenced, dedupe.Claim{Version: object.Version{Sequencer: seq("aws:s3", "55")}, EventTime: later}, now, dedupe.Warm},
		{"sequencer: same, ETag differs", sequenced, dedupe.Claim{Version: object.Version{ETag: "b", Sequencer: seq("aws:s3", "55")}, EventTime: later}, now, dedupe.Fill},
		{"sequencer: same, modified later", sequenced, dedupe.Claim{Version: object.Version{ETag: "a", LastModified: modified.Add(time.Second), Sequencer: seq("aws:s3", "55")}, Current: true, EventTime: later}, now, dedupe.Fill},
		{"sequencer: of another source says nothing", sequenced, dedupe.Claim{Version: object.Version{ETag: "a", Sequencer: seq("minio:s3", "54")}, EventTime: later}, now, dedupe.Ask},
		{"sequencer: none on record", entry(nil), dedupe.Claim{Version: object.Version{ETag: "b", Sequencer: seq("aws:s3", "54")}, EventTime: later}, now, dedupe.Fill},

		// Version ids.
		{"id: different, younger event", versioned, dedupe.Claim{Version: object.Version{ID: "v2"}, EventTime: later}, now, dedupe.Fill},
		{"id: different, no event", versioned, dedupe.Claim{Version: object.Version{ID: "v2", ETag: "a"}}, now, dedupe.Fill},
		{"id: different, late delivery", versioned, dedupe.Claim{Version: object.Version{ID: "v0"}, EventTime: evented.Add(-1)}, now, dedupe.Ask},
		{"id: different, current", versioned, dedupe.Claim{Version: object.Version{ID: "v2", ETag: "a", LastModified: modified}, Current: true}, now, dedupe.Fill},
		{"id: same", versioned, dedupe.Claim{Version: object.Version{ID: "v1"}, EventTime: later}, now, dedupe.Warm},
		{"id: same, no event", versioned, dedupe.Claim{Version: object.Version{ID: "v1", ETag: "a"}}, now, dedupe.Warm},
		{"id: same, current", versioned, dedupe.Claim{Version: object.Version{ID: "v1"}, Current: true}, now, dedupe.Warm},
		{"id: same, but another ETag", versioned, dedupe.Claim{Version: object.Version{ID: "v1", ETag: "b"}, EventTime: later}, now, dedupe.Fill},
		{"id: null is no version", suspended, dedupe.Claim{Version: object.Version{ID: "null"}, EventTime: later}, now, dedupe.Ask},
		{"id: null is no version, current", suspended, dedupe.Claim{Version: object.Version{ID: "null", ETag: "a", LastModified: modified.Add(time.Second)}, Current: true}, now, dedupe.Fill},
		{"id: null, then versions", suspended, dedupe.Claim{Version: object.Version{ID: "v1"}, EventTime: later}, now, dedupe.Fill},

		// Current.
		{"current: the same", entry(nil), current("a", modified), now, dedupe.Warm},
		{"current: earlier", entry(nil), current("a", modified.Add(-time.Second)), now, dedupe.Warm},
		{"current: same bytes written again", entry(nil), current("a", modified.Add(time.Second)), now, dedupe.Fill},
		{"current: other ETag", entry(nil), current("b", modified), now, dedupe.Fill},
		{"current: other ETag, earlier", entry(nil), current("b", modified.Add(-time.Second)), now, dedupe.Fill},
		{"current: no ETag, same time", entry(nil), current("", modified), now, dedupe.Warm},
		{"current: no ETag, later", entry(nil), current("", modified.Add(time.Second)), now, dedupe.Fill},
		{"current: no ETag, no time", entry(nil), current("", time.Time{}), now, dedupe.Fill},
		{"current: nothing on record", bare, current("a", modified), now, dedupe.Fill},
		{"current: nothing known at all", bare, current("", time.Time{}), now, dedupe.Fill},
		{"current: no time on record", undated, current("a", modified), now, dedupe.Fill},
		{"current: no time, same ETag", entry(nil), current("a", time.Time{}), now, dedupe.Warm},
		{"current: changed since this event's fill", entry(nil), dedupe.Claim{Version: etag("b"), Current: true, EventTime: evented}, now, dedupe.Fill},

		// ETags that an event tells.
		{"etag: different", entry(nil), dedupe.Claim{Version: etag("b"), EventTime: later}, now, dedupe.Fill},
		{"etag: different, no event", entry(nil), dedupe.Claim{Version: etag("b")}, now, dedupe.Fill},
		{"etag: different, late delivery", entry(nil), dedupe.Claim{Version: etag("b"), EventTime: evented.Add(-1)}, now, dedupe.Ask},
		{"etag: different, this event found an overwrite", entry(nil), dedupe.Claim{Version: etag("b"), EventTime: evented}, now, dedupe.Ask},
		{"etag: same, this event", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: evented}, now, dedupe.Warm},
		{"etag: same, event before the record's", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: evented.Add(-1)}, now, dedupe.Warm},
		{"etag: same, event before the record's, whose fill was within the skew", prompt, dedupe.Claim{Version: etag("a"), EventTime: evented.Add(-1)}, now, dedupe.Warm},
		{"etag: same, event after the record's, whose fill was within the skew", prompt, dedupe.Claim{Version: etag("a"), EventTime: evented.Add(1)}, now, dedupe.Ask},
		{"etag: same, event after the record's but well before the fill", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: filled.Add(-dedupe.ClockSkew)}, now, dedupe.Warm},
		{"etag: same, event within the skew of the fill", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: filled.Add(-dedupe.ClockSkew + 1)}, now, dedupe.Ask},
		{"etag: same, younger event", entry(nil), dedupe.Claim{Version: etag("a"), EventTime: later}, now, dedupe.Ask},
		{"etag: same, no event", entry(nil), dedupe.Claim{Version: etag("a")}, now, dedupe.Ask},
		{"etag: same, the record had no event", eventless, dedupe.Claim{Version: etag("a"), EventTime: evented}, now, dedupe.Warm},
		{"etag: same, neither has an event", eventless, dedupe.Claim{Version: etag("a")}, now, dedupe.Ask},
		{"etag: none on record", bare, dedupe.Claim{Version: etag("a"), EventTime: evented.Add(-1)}, now, dedupe.Ask},
		{"etag: none on record, this event", bare, dedupe.Claim{Version: etag("a"), EventTime: evented}, now, dedupe.Warm},

		// Nothing told.
		{"nothing: this event", entry(nil), dedupe.Claim{EventTime: evented}, now, dedupe.Warm},
		{"nothing: younger event", entry(nil), dedupe.Claim{EventTime: later}, now, dedupe.Ask},
		{"nothing: older event", entry(nil), dedupe.Claim{EventTime: evented.Add(-1)}, now, dedupe.Ask},
		{"nothing: no event", entry(nil), dedupe.Claim{}, now, dedupe.Ask},
		{"nothing: neither has an event", eventless, dedupe.Claim{}, now, dedupe.Ask},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := dedupe.Judge(tt.entry, tt.claim, tt.now, ttl); got != tt.want {
				t.Errorf("Judge = %v, want %v", got, tt.want)
			}
		})
	}
}

// TestJudgeProperties draws entries and claims from so few values that every
// rule is met.
func TestJudgeProperties(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))

	pick := func(values ...string) string { return values[r.IntN(len(values))] }
	moment := func() time.Time {
		if r.IntN(4) == 0 {
			return time.Time{}
		}
		return modified.Add(time.Duration(r.IntN(4)) * 4 * time.Second)
	}
	version := func() object.Version {
		v := object.Version{ETag: pick("", "a", "b"), ID: pick("", "null", "v1", "v2"), LastModified: moment()}
		if value := pick("", "1", "2"); value != "" {
			v.Sequencer = seq(pick("aws:s3", "minio:s3"), value)
		}
		return v
	}
	seen := make(map[dedupe.Decision]int)
	for range 200_000 {
		e := dedupe.Entry{
			Attrs:     object.Attrs{Version: version()},
			At:        modified.Add(time.Duration(r.IntN(4)) * 4 * time.Second),
			EventTime: moment(),
		}
		c := dedupe.Claim{Version: version(), Current: r.IntN(2) == 0, EventTime: moment(), Replayed: r.IntN(2) == 0}
		if r.IntN(8) == 0 {
			c.RewarmBefore = moment()
		}
		at, ttl := modified.Add(20*time.Second), 14*time.Second
		got := dedupe.Judge(e, c, at, ttl)
		seen[got]++

		told := func(a, b string) bool { return a != "" && b != "" && a != b }
		var wrong string
		switch {
		case got == dedupe.Warm && told(e.ETag, c.ETag):
			wrong = "of another ETag"
		case got == dedupe.Warm && told(e.ID, c.ID):
			wrong = "of another version id"
		case got == dedupe.Warm && e.Sequencer.Source == c.Sequencer.Source && c.Sequencer.Value > e.Sequencer.Value && e.Sequencer.Value != "":
			wrong = "of a newer sequencer"
		case got == dedupe.Warm && c.Current && c.LastModified.After(e.LastModified) && (e.ID == "" || e.ID == "null" || c.ID != e.ID):
			wrong = "modified later"
		case got == dedupe.Older && (e.Sequencer.Source != c.Sequencer.Source || c.Sequencer.Value >= e.Sequencer.Value || c.Sequencer.Value == ""):
			wrong = "without an older sequencer"
		case got == dedupe.Warm && c.Replayed && at.Sub(e.At) > ttl:
			wrong = "expired, in a replay"
		case got == dedupe.Ask && c.Current:
			wrong = "of what was just asked for"
		}
		if wrong != "" {
			t.Fatalf("seed %d: %v %s:\n%+v\n%+v", seed, got, wrong, e, c)
		}
	}
	for _, d := range []dedupe.Decision{dedupe.Fill, dedupe.Warm, dedupe.Older, dedupe.Ask} {
		if seen[d] < 1000 {
			t.Errorf("seed %d: %v came %d times only: the draw is no test", seed, d, seen[d])
		}
	}
}
