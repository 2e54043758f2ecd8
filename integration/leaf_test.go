package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
)

// linkCut is how long TestLeafNode takes the link away.
func linkCut() time.Duration {
	if os.Getenv("INTEGRATION_LONG") == "1" {
		return time.Minute
	}
	return 3 * time.Second
}

// leafWorld is a hub of NATS and a leaf node of it, each with a cluster's cache
// and program. Both know one store.
type leafWorld struct {
	hub, leaf world
	link      *proxy
}

// newLeafWorld makes one of the files in docs/clusters.md.
func newLeafWorld(t *testing.T) *leafWorld {
	t.Helper()
	who := lotasim.Credential{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	w := &leafWorld{hub: *newWorldWith(t, natstest.Options{Config: clustersFile(t, "hub.conf")}, who, nil)}
	w.link = newProxy(t, w.hub.nats.LeafAddr(t))
	w.leaf = world{
		nats:  natstest.StartWith(t, natstest.Options{Config: clustersFile(t, "west.conf"), Hub: w.link.addr}),
		store: w.hub.store,
		lota:  newLOTA(t, w.hub.store.Backends(), nil),
	}
	w.leaf.js = w.leaf.nats.JetStream(t)
	w.linked(t)
	return w
}

// clustersFile writes the file of that name in docs/clusters.md, which its first
// line says.
func clustersFile(t *testing.T, name string) string {
	t.Helper()
	text, found := strings.CutPrefix(clustersBlock(t, "conf\n# "+name), "conf\n")
	if !found {
		t.Fatalf("%s is not as expected", name)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// clustersBlock is the code block of docs/clusters.md that begins so.
func clustersBlock(t *testing.T, begin string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/clusters.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(page), "```"+begin)
	block, _, ended := strings.Cut(block, "```")
	if !found || !ended {
		t.Fatalf("docs/clusters.md has no block that begins with %q", begin)
	}
	return begin + block
}

func (w *leafWorld) linked(t *testing.T) {
	t.Helper()
	eventually(t, "the leaf node is connected", func() error {
		if n := w.hub.nats.Leaves(); n != 1 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
}

// mirror makes the leaf node's copy of the hub's stream, as the page says.
func (w *leafWorld) mirror(t *testing.T) {
	t.Helper()
	var config jetstream.StreamConfig
	if err := json.Unmarshal([]byte(strings.TrimPrefix(clustersBlock(t, "json\n"), "json")), &config); err != nil {
		t.Fatal(err)
	}
	if _, err := w.leaf.js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

// TestLeafNode has two clusters, one of them behind a leaf node with a mirror of
// the stream. While events come the link is cut: that delays, and loses nothing.
func TestLeafNode(t *testing.T) {
	t.Parallel()
	w := newLeafWorld(t)
	w.hub.run(t, "PRESTAGE_CLUSTER=east")
	w.mirror(t)
	west := w.leaf.run(t, "PRESTAGE_CLUSTER=west")

	for _, line := range west.logged("the stream does not take all of a lane's subjects: such events are refused to their producer") {
		t.Errorf("a mirror has no subjects, and nothing is wrong with that: %v", line)
	}

	var keys []string
	var all []sent
	load := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			key := fmt.Sprintf("run-7/step-%05d.pt", len(keys))
			keys = append(keys, key)
			w.hub.put(key)
			all = append(all, w.hub.object(t, "event-"+key, key))
		}
	}
	load(time.Second)
	w.link.refuse()
	w.link.cut()
	before := len(all)
	load(linkCut())
	if len(all) == before {
		t.Fatal("nothing was published while the link was cut")
	}
	// What a producer beside the leaf node sends meanwhile is refused to it.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if ack, err := w.leaf.js.PublishMsg(ctx, checkpointEvent(t, "nobody's", map[string]any{"uri": uri("x")}), jetstream.WithRetryAttempts(0)); !errors.Is(err, jetstream.ErrNoStreamResponse) && !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("published into a cut link: %+v, %v", ack, err)
	}
	if _, ok := w.leaf.receipt(t, in("west", all[len(all)-1])); ok {
		t.Error("the link is not cut: the leaf node's cluster has handled an event of meanwhile")
	}
	if status, body, err := west.get(t, "/readyz"); status != 200 || err != nil {
		t.Errorf("the leaf node's own program is not ready without the hub: %d %q %v", status, body, err)
	}
	if err := w.link.accept(); err != nil {
		t.Fatal(err)
	}
	w.linked(t)
	load(time.Second)

	for cluster, in := range map[string]*world{"east": &w.hub, "west": &w.leaf} {
		results := map[string]uint64{}
		for _, s := range all {
			s.cluster = cluster
			r := in.ends(t, s, "warm")
			if diff := cmp.Diff(counts{Total: 1, Filled: 1}, r.Objects); diff != "" || r.Cluster != cluster {
				t.Fatalf("receipt of cluster %q, counts (-want +got):\n%s", r.Cluster, diff)
			}
			results[s.subject("warmed")] = 1
		}
		in.settledOn(t, "prestage-"+cluster+"-checkpoint")
		in.lota.mustHaveAsked(t, once(keys...))
		if diff := cmp.Diff(results, in.subjects(t, resultsStream)); diff != "" {
			t.Errorf("results of %s (-want +got):\n%s", cluster, diff)
		}
	}
}

// in is the event as a cluster sees it.
func in(cluster string, s sent) sent {
	s.cluster = cluster
	return s
}

// TestLeafNodeLetters: a letter of the cluster behind the leaf node is in that
// node's stream, and a redrive brings the event through the hub to both.
func TestLeafNodeLetters(t *testing.T) {
	t.Parallel()
	w := newLeafWorld(t)
	w.hub.run(t, "PRESTAGE_CLUSTER=east")
	w.mirror(t)
	settings := []string{"PRESTAGE_CLUSTER=west", "PRESTAGE_BUCKETS=other"}
	w.leaf.run(t, settings...).ready(t)
	w.hub.put("last.ckpt")
	s := w.hub.object(t, "event-1", "last.ckpt")
	w.hub.ends(t, in("east", s), "warm")
	w.leaf.ends(t, in("west", s), "dead_lettered")
	if letters := w.hub.subjects(t, lettersStream); len(letters) != 0 {
		t.Errorf("letters of the hub: %v", letters)
	}
	if diff := cmp.Diff(map[string]uint64{in("west", s).subject("dlq"): 1}, w.leaf.subjects(t, lettersStream)); diff != "" {
		t.Errorf("letters of the leaf node (-want +got):\n%s", diff)
	}

	code, out, text := finish(t, raceBuild, w.leaf.environ(t, settings...), "dlq", "redrive", "--output", "json")
	if code != 0 || !strings.Contains(out, "event-1") {
		t.Fatalf("redrive: exit code %d, %s\n%s", code, out, text)
	}
	s.seq++
	w.hub.ends(t, in("east", s), "warm")
	w.leaf.ends(t, in("west", s), "dead_lettered")
	w.hub.lota.mustHaveAsked(t, once("last.ckpt"))
	w.leaf.lota.mustHaveAsked(t, map[string]int{})
}
