package integration_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/events"
)

// TestSources follows pushes to registries, which name nothing in S3, until what
// the rules file makes of them is warm.
func TestSources(t *testing.T) {
	t.Parallel()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	w := newWorld(t, nil)
	blob := func(digest string) string {
		return "docker/registry/v2/blobs/sha256/" + digest[:2] + "/" + digest + "/data"
	}
	digest := func(data string) string {
		sum := sha256.Sum256([]byte(data))
		return hex.EncodeToString(sum[:])
	}
	weights, config := digest("weights"), digest("config")
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"digest":"sha256:%s","size":7},"layers":[{"digest":"sha256:%s","size":%d}]}`, config, weights, large)
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"sha256:%s"}]}`, digest(manifest))
	w.put("hf/acme/llm/"+commit+"/model.safetensors", "wandb/llm/v3/model.safetensors", "oci/"+blob(weights))
	w.store.Put(bucket, "oci/"+blob(config), 7)
	for _, text := range []string{manifest, index} {
		w.store.PutBytes(bucket, "oci/"+blob(digest(text)), []byte(text))
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(`
sources:
  huggingface: [{repo: "acme/*", uri: "s3://ckpt/hf/{repo}/{sha}/"}]
  wandb: [{collection: llm, uri: "s3://ckpt/wandb/{collection}/{version}/"}]
  oci: [{repository: "ml/*", root: "s3://ckpt/oci/"}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(t, "PRESTAGE_RULES="+path)

	push := func(route events.Route, body string) sent {
		m := nats.NewMsg(modelSubject)
		m.Header.Set(events.HeaderRoute, string(route))
		m.Data = []byte(body)
		seq := w.publish(t, m)
		return sent{cluster: "default", id: fmt.Sprintf("EVENTS/%d", seq), seq: seq}
	}
	hub := func(repo string) string {
		return fmt.Sprintf(`{"event":{"action":"update","scope":"repo.content"},"repo":{"type":"model","name":%q,"headSha":%q},"updatedRefs":[{"ref":"refs/heads/main","oldSha":null,"newSha":%q}]}`, repo, commit, commit)
	}
	warm := map[string]sent{
		"the Hub":      push(events.RouteHuggingFace, hub("acme/llm")),
		"W&B":          push(events.RouteWandB, `{"event_type":"LINK_ARTIFACT","collection":"llm","version":"v3","alias":"best","s3_uri":""}`),
		"Harbor":       push(events.RouteHarbor, fmt.Sprintf(`{"type":"PUSH_ARTIFACT","occur_at":1,"event_data":{"resources":[{"digest":"sha256:%s","tag":"v1"}],"repository":{"repo_full_name":"ml/llm"}}}`, digest(manifest))),
		"an index":     push(events.RouteHarbor, fmt.Sprintf(`{"type":"PUSH_ARTIFACT","occur_at":1,"event_data":{"resources":[{"digest":"sha256:%s","tag":"v1"}],"repository":{"repo_full_name":"ml/llm"}}}`, digest(index))),
		"distribution": push(events.RouteDistribution, fmt.Sprintf(`{"events":[{"id":"a","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","repository":"ml/llm"}}]}`, digest(manifest))),
	}
	skipped := push(events.RouteDistribution, fmt.Sprintf(`{"events":[{"id":"b","action":"push","target":{"mediaType":"application/octet-stream","digest":"sha256:%s","repository":"ml/llm"}}]}`, weights))
	lost := push(events.RouteHuggingFace, hub("other/llm"))
	for name, s := range warm {
		if r := w.ends(t, s, "warm"); r.Objects.Failed != 0 || r.Objects.Filled+r.Objects.AlreadyWarm != 1 {
			t.Errorf("%s: %+v", name, r.Objects)
		}
	}
	if r := w.ends(t, skipped, "skipped"); r.Reason != "not_actionable" {
		t.Errorf("a blob alone is %s", r.Reason)
	}
	if r := w.ends(t, lost, "dead_lettered"); r.Reason != "unresolvable_source" {
		t.Errorf("what no source is for is %s", r.Reason)
	}
	for _, key := range []string{"hf/acme/llm/" + commit + "/model.safetensors", "wandb/llm/v3/model.safetensors", "oci/" + blob(weights)} {
		w.lota.mustHave(t, key, "")
		if n := w.lota.asked()[key]; n < 1 {
			t.Errorf("%s was asked for %d times", key, n)
		}
	}
}
