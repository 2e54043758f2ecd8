package integration_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSources follows pushes to registries, which name nothing in S3, from their
// webhooks until what the rules file makes of them is warm.
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
	weights, others, config := digest("weights"), digest("others"), digest("config")
	image := func(layer string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"digest":"sha256:%s","size":7},"layers":[{"digest":"sha256:%s","size":%d}]}`, config, layer, large)
	}
	manifest, second := image(weights), image(others)
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"sha256:%s"}]}`, digest(manifest))
	w.put("hf/acme/llm/"+commit+"/model.safetensors", "wandb/llm/v3/model.safetensors", "oci/"+blob(weights), "oci/"+blob(others))
	w.store.Put(bucket, "oci/"+blob(config), 7)
	for _, text := range []string{manifest, second, index} {
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

	addr := w.gateway(t, raceBuild, "PRESTAGE_GATEWAY_WANDB_SECRETS="+gatewaySecret, "PRESTAGE_GATEWAY_HARBOR_SECRETS="+gatewaySecret).gatewayAddr()

	const cloudEvents = "Content-Type: application/cloudevents+json"
	hub := func(repo string) string {
		body := fmt.Sprintf(`{"event":{"action":"update","scope":"repo.content"},"repo":{"type":"model","name":%q,"headSha":%q},"updatedRefs":[{"ref":"refs/heads/main","oldSha":null,"newSha":%q}]}`, repo, commit, commit)
		return post("/hooks/huggingface", body, "X-Webhook-Secret: "+gatewaySecret)
	}
	signed := func(body string) string {
		mac := hmac.New(sha256.New, []byte(gatewaySecret))
		mac.Write([]byte(body))
		return post("/hooks/wandb", body, "X-Wandb-Signature: "+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	pushed := func(digest string) string {
		return fmt.Sprintf(`{"resources":[{"digest":"sha256:%s","tag":"v1"}],"repository":{"repo_full_name":"ml/llm"}}`, digest)
	}
	harbor := func(digest string) string {
		return post("/hooks/harbor", `{"type":"PUSH_ARTIFACT","occur_at":1,"event_data":`+pushed(digest)+`}`, "Authorization: "+gatewaySecret)
	}
	envelope := func(list ...string) string {
		return post("/hooks/distribution", `{"events":[`+strings.Join(list, ",")+`]}`, bearerLine, "Content-Type: application/vnd.docker.distribution.events.v2+json")
	}
	of := func(repository, mediaType, digest string) string {
		return fmt.Sprintf(`{"id":"a","action":"push","target":{"mediaType":%q,"digest":"sha256:%s","repository":%q}}`, mediaType, digest, repository)
	}
	const ofImage, ofBlob = "application/vnd.oci.image.manifest.v1+json", "application/octet-stream"
	for _, tt := range []struct {
		name, request, outcome, reason string
		objects                        int // that are warm
	}{
		{"the Hub", hub("acme/llm"), "warm", "", 1},
		{"W&B", signed(`{"event_type":"LINK_ARTIFACT","collection":"llm","version":"v3","alias":"best","s3_uri":""}`), "warm", "", 1},
		{"Harbor", harbor(digest(manifest)), "warm", "", 1},
		{"Harbor's CloudEvent", post("/hooks/harbor", `{"specversion":"1.0","type":"harbor.artifact.pushed","source":"/projects/1/webhook/policies/1","id":"pushed-1","time":"2026-11-20T10:00:00Z","datacontenttype":"application/json","operator":"ada","requestid":"r","data":`+pushed(digest(manifest))+`}`, "Authorization: "+gatewaySecret, cloudEvents), "warm", "", 1},
		{"an index", harbor(digest(index)), "warm", "", 1},
		{"distribution", envelope(of("ml/llm", ofBlob, weights), of("ml/llm", ofImage, digest(manifest))), "warm", "", 1},
		{"two images at once", envelope(of("ml/llm", ofImage, digest(manifest)), of("ml/other", ofImage, digest(second))), "warm", "", 2},
		{"one of two images", envelope(of("web/app", ofImage, config), of("ml/llm", ofImage, digest(manifest))), "dead_lettered", "unresolvable_source", 1},
		{"a blob alone", envelope(of("ml/llm", ofBlob, weights)), "skipped", "not_actionable", 0},
		{"what no source is for", hub("other/llm"), "dead_lettered", "unresolvable_source", 0},
	} {
		r := w.ends(t, takes(t, addr, tt.request).sent(), tt.outcome)
		if n := r.Objects.Filled + r.Objects.AlreadyWarm; r.Reason != tt.reason || r.Objects.Failed != 0 || n != tt.objects {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
	for _, key := range []string{"hf/acme/llm/" + commit + "/model.safetensors", "wandb/llm/v3/model.safetensors", "oci/" + blob(weights), "oci/" + blob(others)} {
		w.lota.mustHave(t, key, "")
		if n := w.lota.asked()[key]; n != 1 {
			t.Errorf("%s was asked for %d times", key, n)
		}
	}
}
