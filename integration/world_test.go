package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
)

const (
	accessKey = "AKIAINTEGRATION"
	secretKey = "the-secret-key-of-the-tests"
	region    = "US-EAST-04A"

	bucket = "ckpt"
	source = "/train/run-7"

	large = 10_000_000 // bytes of an object that LOTA caches
	small = 4_000_000  // bytes of the largest that it does not

	checkpointSubject = "events.checkpoint.written"
	modelSubject      = "events.model.published"
)

// world is what the program lives in: NATS, and a LOTA before a store.
type world struct {
	nats  *natstest.Server
	js    jetstream.JetStream
	store *lotasim.Catalogue
	lota  *lota
}

// newWorld makes a world without a program. change may be nil.
func newWorld(t *testing.T, change func(*lotasim.Options)) *world {
	t.Helper()
	return newWorldWith(t, natstest.Options{}, lotasim.Credential{AccessKeyID: accessKey, SecretAccessKey: secretKey}, change)
}

func newWorldWith(t *testing.T, o natstest.Options, who lotasim.Credential, change func(*lotasim.Options)) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: this runs the whole program")
	}
	w := &world{
		nats:  natstest.StartWith(t, o),
		store: lotasim.NewCatalogue(lotasim.CatalogueOptions{Region: region, Credentials: []lotasim.Credential{who}}),
	}
	w.js = w.nats.JetStream(t)
	w.store.CreateBucket(bucket)
	w.lota = newLOTA(t, w.store.Backends(), change)
	return w
}

// environ is the program's whole environment. The last of equal names counts.
func (w *world) environ(t *testing.T, more ...string) []string {
	t.Helper()
	return append(w.environOf(t, w.lota.server.LOTAAddr()), more...)
}

// environOf is environ with a LOTA of one's own at the address lota.
func (w *world) environOf(t *testing.T, lota string) []string {
	t.Helper()
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + t.TempDir(),
		"NATS_URL=" + w.nats.URL(),
		"LOTA_ENDPOINT=http://cwlota.com",
		"LOTA_DIAL=" + lota,
		"AWS_REGION=" + region,
		"AWS_ACCESS_KEY_ID=" + accessKey,
		"AWS_SECRET_ACCESS_KEY=" + secretKey,
		"AWS_EC2_METADATA_DISABLED=true",
		"PRESTAGE_HTTP_ADDR=127.0.0.1:0",
	}
}

// run starts the daemon and waits until it is ready.
func (w *world) run(t *testing.T, settings ...string) *program {
	t.Helper()
	return launch(t, raceBuild, w.environ(t, settings...)).ready(t)
}

// put writes large objects of the given keys.
func (w *world) put(keys ...string) {
	for _, k := range keys {
		w.store.Put(bucket, k, large)
	}
}

// sent is an event that the stream has.
type sent struct {
	cluster string // whose receipt is meant
	id      string
	source  string
	seq     uint64
}

// publish stores a message and returns its sequence.
func (w *world) publish(t *testing.T, m *nats.Msg) uint64 {
	t.Helper()
	ack, err := w.js.PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatalf("publish to %s: %v", m.Subject, err)
	}
	return ack.Sequence
}

// checkpoint publishes a native checkpoint event with the members of data.
func (w *world) checkpoint(t *testing.T, id string, data map[string]any) sent {
	t.Helper()
	return sent{cluster: "default", id: id, source: source, seq: w.publish(t, checkpointEvent(t, id, data))}
}

// object is checkpoint of one object.
func (w *world) object(t *testing.T, id, key string) sent {
	t.Helper()
	return w.checkpoint(t, id, map[string]any{"uri": uri(key)})
}

func checkpointEvent(t *testing.T, id string, data map[string]any) *nats.Msg {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"specversion": "1.0", "type": "ai.checkpoint.written.v1", "source": source, "id": id,
		"time": "2026-11-20T10:00:00Z", "data": data,
	})
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg(checkpointSubject)
	m.Header.Set("Content-Type", "application/cloudevents+json")
	m.Data = body
	return m
}

func uri(key string) string { return "s3://" + bucket + "/" + key }

// lota is one cluster's cache.
type lota struct {
	*lotasim.Sim
	server *lotasim.Server
}

func newLOTA(t *testing.T, store lotasim.Backends, change func(*lotasim.Options)) *lota {
	t.Helper()
	o := lotasim.Fast()
	o.NodeBytes = 1 << 50
	if change != nil {
		change(&o)
	}
	sim, err := lotasim.New(o, store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	server, err := lotasim.Listen(t.Context(), sim, lotasim.Addrs{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return &lota{sim, server}
}

// synchronous makes a ranged HEAD answer when its fill is done.
func synchronous(o *lotasim.Options) { o.Synchronous = true }

// asked counts the ranged HEADs by key.
func (l *lota) asked() map[string]int {
	counts := make(map[string]int)
	for _, r := range l.History(lotasim.Filter{Method: "HEAD", Range: "bytes=0-0"}) {
		counts[r.Key]++
	}
	return counts
}

// mustHaveAsked compares all ranged HEADs so far with want.
func (l *lota) mustHaveAsked(t *testing.T, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, l.asked()); diff != "" {
		t.Errorf("ranged HEADs by key (-want +got):\n%s", diff)
	}
}

// once is a count of one for each key.
func once(keys ...string) map[string]int {
	counts := make(map[string]int, len(keys))
	for _, k := range keys {
		counts[k] = 1
	}
	return counts
}

// mustHave checks that LOTA has the key whole, in the version of etag ("": any).
func (l *lota) mustHave(t *testing.T, key, etag string) {
	t.Helper()
	switch truth := l.Truth(bucket, key); {
	case !truth.Cached:
		t.Errorf("%s is not cached", key)
	case etag != "" && truth.ETag != etag:
		t.Errorf("%s is cached with the ETag %s, want %s", key, truth.ETag, etag)
	}
}

// holdFills lets no fill end before the release.
func (l *lota) holdFills(t *testing.T) *lotasim.Hold {
	t.Helper()
	h, err := l.HoldFills(lotasim.Match{Ranged: true})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// filling waits until n objects are being filled.
func (l *lota) filling(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d fills are under way", n), func() error {
		if c := l.Counters(); c.FillsStarted-c.FillsDone != int64(n) {
			return fmt.Errorf("%d started, %d done", c.FillsStarted, c.FillsDone)
		}
		return nil
	})
}
