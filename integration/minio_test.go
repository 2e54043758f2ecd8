package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
)

const (
	notificationSubject = "events.object.created"
	versionedBucket     = "models"
)

// hostileKeys are keys that MinIO takes, by what is hostile in them.
var hostileKeys = []struct{ name, key string }{
	{"space", "run 7/step-100/.metadata"},
	{"plus", "run+7/a+b"},
	{"escaped-plus", "a%2Bb"},
	{"escaped-slash", "a%2Fb"},
	{"percent", "100%/%/%%25"},
	{"unicode", "größe/模型/🙂.safetensors"},
	{"decomposed", "gro\u0308\u00dfe"},
	{"query", "?x=1&y#z"},
	{"punctuation", "~!$'()*,;:@=[]{}|^`\"<>"},
	{"spaces-around", " a / b "},
	{"newline", "line\nbreak\tand tab"},
	{"backslash", "back\\slash\\"},
	{"dots", "run..7/...x/.hidden"},
	{"long", strings.Repeat(strings.Repeat("x", 203)+"/", 5) + "abcd"},
}

// refusedKeys are those that it doesn't take, so that no event can name them.
var refusedKeys = []string{"a/../b", "../b", "./x", "a/./b", "a//b", strings.Repeat("x/", 512) + "y", strings.Repeat("x", 256)}

// step is something done at the store, and the notification that it causes.
type step struct {
	name   string // in the corpus
	do     action
	bucket string
	key    string
	event  string
	want   ending
}

// ending is how an event ends.
type ending struct{ outcome, reason string }

var (
	isWarm  = ending{"warm", ""}
	isEmpty = ending{"skipped", "empty"} // as its HEAD told
	isIdle  = ending{"skipped", "not_actionable"}
)

// TestMinIO has a genuine producer: a MinIO server notifies JetStream, the
// program asks a LOTA that has that very MinIO behind it, which verifies our
// signatures. Of what MinIO sends the decoder's tests keep a copy.
func TestMinIO(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: this runs the whole program")
	}
	w := &world{nats: natstest.Start(t)}
	w.js = w.nats.JetStream(t)
	m := startMinIO(t, w.nats)
	w.lota = newLOTA(t, m.backends(t), func(o *lotasim.Options) { o.MinCacheBytes = 0 })
	w.run(t, "PRESTAGE_MIN_BYTES=0")
	m.makeBucket(t, bucket, false)
	m.makeBucket(t, versionedBucket, true)

	for _, key := range refusedKeys {
		if err := put(bucket, key, "x")(t.Context(), m); err == nil {
			t.Errorf("MinIO takes the key %q: it belongs to the others", key)
		}
	}
	var cases []corpusFile
	asked := map[string]int{}
	for _, s := range minioSteps() {
		before := w.lastSequence(t)
		if err := s.do(t.Context(), m); err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		n := w.notification(t, s, before)
		r := w.ends(t, notified(n.Sequence), s.want.outcome)
		if r.Reason != s.want.reason {
			t.Errorf("%s: ended as %q, want %q", s.name, r.Reason, s.want.reason)
		}
		if s.want != isIdle {
			asked[s.key]++
		}
		if cached := w.lota.Truth(s.bucket, s.key).Cached; s.want == isWarm && !cached {
			t.Errorf("%s: %q is not cached", s.name, s.key)
		}
		cases = append(cases, corpusFile{name: s.name, body: anonymous(n.Data)})
	}
	w.settled(t)
	w.lota.mustHaveAsked(t, asked)
	w.checkNoFeedback(t)
	checkCorpus(t, cases)
}

// notified is the event of a notification, which has no id of its own.
func notified(seq uint64) sent {
	return sent{cluster: "default", id: fmt.Sprintf("EVENTS/%d", seq), seq: seq}
}

// envelope is what a test reads of a notification, apart from the program.
type envelope struct{ EventName, Key string }

// notification waits for what a step caused, after the message before.
func (w *world) notification(t *testing.T, s step, before uint64) *jetstream.RawStreamMsg {
	t.Helper()
	var found *jetstream.RawStreamMsg
	eventually(t, "MinIO tells of "+s.name, func() error {
		for seq := before + 1; seq <= w.lastSequence(t); seq++ {
			n := w.storedAt(t, seq)
			if n.Subject == notificationSubject && envelopeOf(t, n) == (envelope{s.event, s.bucket + "/" + s.key}) {
				found = n
				return nil
			}
		}
		return errors.New("not yet")
	})
	return found
}

func envelopeOf(t *testing.T, m *jetstream.RawStreamMsg) envelope {
	t.Helper()
	var e envelope
	if err := json.Unmarshal(m.Data, &e); err != nil {
		t.Fatalf("message %d: %v", m.Sequence, err)
	}
	return e
}

func (w *world) lastSequence(t *testing.T) uint64 {
	t.Helper()
	s, err := w.js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.LastSeq
}

// checkNoFeedback looks at the notifications of the program's own requests: each
// ended at once.
func (w *world) checkNoFeedback(t *testing.T) {
	t.Helper()
	heads := 0
	for seq := uint64(1); seq <= w.lastSequence(t); seq++ {
		if envelopeOf(t, w.storedAt(t, seq)).EventName != "s3:ObjectAccessed:Head" {
			continue
		}
		heads++
		if r := w.ends(t, notified(seq), isIdle.outcome); r.Reason != isIdle.reason {
			t.Errorf("message %d, a HEAD, was skipped as %s", seq, r.Reason)
		}
	}
	if heads < len(hostileKeys) {
		t.Errorf("MinIO tells of %d HEADs, so this checks nothing", heads)
	}
}
