package resolve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/rules"
)

const sourcesFile = `
sources:
  huggingface:
    - {repo: acme/llm, ref: "v*", uri: "s3://models/releases/{name}/{ref}/"}
    - {repo: "acme/*", uri: "s3://models/hf/{repo}/{sha}/"}
  wandb:
    - {collection: llm, version: best, uri: "s3://models/best/{version}.safetensors"}
    - {collection: "llm*", version: "v*", uri: "s3://models/wandb/{collection}/{version}/"}
  oci:
    - {repository: "ml/**", root: "s3://registry/harbor/"}
`

// mapped rules of the file, and of none.
func sources(t *testing.T, file string) func() *rules.Set {
	t.Helper()
	set, err := rules.Parse([]byte(file), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	return func() *rules.Set { return set }
}

func TestMapped(t *testing.T) {
	t.Parallel()
	const sha = "0123456789abcdef0123456789abcdef01234567"
	set := sources(t, sourcesFile)
	hf, wandb := events.HuggingFace, events.WandB
	for _, tt := range []struct {
		in   events.Artifact
		want string // the place, or a part of the error
	}{
		{events.Artifact{Registry: hf, Name: "acme/llm", Ref: "refs/tags/v2", Version: sha}, "s3://models/releases/llm/v2/"},
		{events.Artifact{Registry: hf, Name: "acme/llm", Ref: "refs/heads/main", Version: sha}, "s3://models/hf/acme/llm/" + sha + "/"},
		{events.Artifact{Registry: hf, Name: "acme/other", Version: sha}, "s3://models/hf/acme/other/" + sha + "/"},
		{events.Artifact{Registry: hf, Name: "acme/other", Ref: "refs/heads/dev", Version: sha}, "none of the sources.huggingface"},
		{events.Artifact{Registry: hf, Name: "acme/other"}, "sources.huggingface[1] of the rules file needs {sha}, which the event does not tell"},
		{events.Artifact{Registry: hf, Name: "evil/x", Version: sha}, "none of the sources.huggingface of the rules file is for it"},
		{events.Artifact{Registry: hf, Name: "acme/../../x", Version: sha}, "none of the sources.huggingface"},
		{events.Artifact{Registry: hf, Name: "acme/a\x00", Version: sha}, "makes no place of it: key contains a NUL"},
		{events.Artifact{Registry: hf, Name: "acme/" + strings.Repeat("a", 2000), Version: sha}, "makes no place of it: key of "},
		{events.Artifact{Registry: wandb, Name: "llm", Version: "v3", Ref: "best"}, "s3://models/best/v3.safetensors"},
		{events.Artifact{Registry: wandb, Name: "llm", Version: "v3"}, "s3://models/wandb/llm/v3/"},
		{events.Artifact{Registry: wandb, Name: "other", Version: "v3"}, "none of the sources.wandb"},
	} {
		var finder Finder = HuggingFace{set}
		if tt.in.Registry == wandb {
			finder = WandB{set}
		}
		ev, err := New(map[events.Registry]Finder{tt.in.Registry: finder}).Resolve(t.Context(), events.Event{Artifact: tt.in})
		got := ev.Prefix.String()
		if len(ev.Objects) > 0 {
			got = ev.Objects[0].Ref.String()
		}
		if strings.HasPrefix(tt.want, "s3://") {
			if err != nil || got != tt.want || !strings.Contains(ev.Note, "sources.") {
				t.Errorf("%+v: %s, %q, %v", tt.in, got, ev.Note, err)
			}
			continue
		}
		e := outcome.As(err)
		if err == nil || e.Class != outcome.Permanent || e.Reason != outcome.UnresolvableSource ||
			!strings.Contains(err.Error(), tt.want) || !strings.Contains(e.Hint, "PRESTAGE_RULES") {
			t.Errorf("%+v: %s, %v, want %q", tt.in, got, err, tt.want)
		}
	}
	_, err := HuggingFace{func() *rules.Set { return nil }}.Find(t.Context(), events.Event{Artifact: events.Artifact{Registry: hf, Name: "a/b"}})
	if err == nil || !strings.Contains(err.Error(), "there is no rules file") {
		t.Errorf("no file: %v", err)
	}
}

// registry is a registry's storage.
type registry map[object.Ref][]byte

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func blobRef(digest string) object.Ref {
	hexes := strings.TrimPrefix(digest, "sha256:")
	return object.Ref{Bucket: "registry", Key: "harbor/docker/registry/v2/blobs/sha256/" + hexes[:2] + "/" + hexes + "/data"}
}

func (r registry) put(data string) (digest string) {
	digest = digestOf([]byte(data))
	r[blobRef(digest)] = []byte(data)
	return digest
}

func (r registry) get(_ context.Context, ref object.Ref, limit int64) ([]byte, error) {
	data, ok := r[ref]
	switch {
	case !ok:
		return nil, &outcome.Error{Class: outcome.Failed, Reason: outcome.NotFound, Err: errors.New("404")}
	case int64(len(data)) > limit:
		return nil, &outcome.Error{Class: outcome.Permanent, Reason: outcome.Malformed, Err: errors.New("too long")}
	}
	return data, nil
}

func TestOCI(t *testing.T) {
	t.Parallel()
	a, b, c := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64), "sha256:"+strings.Repeat("c", 64)
	r := registry{}
	image := r.put(fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q,"size":10},"layers":[{"digest":%q,"size":5000000},{"digest":%q,"size":5000000},{"digest":%q,"size":1,"urls":["https://elsewhere"]}]}`, c, a, a, "sha256:x"))
	other := r.put(fmt.Sprintf(`{"layers":[{"digest":%q,"size":5000000},{"digest":%q}]}`, a, b))
	index := r.put(fmt.Sprintf(`{"manifests":[{"digest":%q},{"digest":%q}]}`, image, other))
	forged := "sha256:" + strings.Repeat("f", 64)
	r[blobRef(forged)] = []byte(`{"layers":[]}`)
	many := make([]string, maxImageBlobs+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"digest":"sha256:%064x"}`, i)
	}
	children := strings.Repeat(fmt.Sprintf(`{"digest":%q},`, image), maxImageManifests)
	for name, tt := range map[string]struct {
		digest, repository string
		want               []string // digests and sizes
		err                outcome.Reason
	}{
		"an image":              {digest: image, want: []string{c + " 10", a + " 5000000"}},
		"an index":              {digest: index, want: []string{c + " 10", a + " 5000000", b + " -1"}},
		"no digest":             {digest: "", err: outcome.UnresolvableSource},
		"a path":                {digest: "sha256:../../../x", err: outcome.UnresolvableSource},
		"another algorithm":     {digest: "sha512:" + strings.Repeat("a", 128), err: outcome.UnresolvableSource},
		"missing":               {digest: b, err: outcome.NotFound},
		"forged":                {digest: forged, err: outcome.Malformed},
		"no JSON":               {digest: r.put("layers"), err: outcome.Malformed},
		"nothing":               {digest: r.put("{}"), err: outcome.UnresolvableSource},
		"a layer without":       {digest: r.put(`{"layers":[{"digest":"x"}]}`), err: outcome.UnresolvableSource},
		"an index of an index":  {digest: r.put(fmt.Sprintf(`{"manifests":[{"digest":%q}]}`, index)), err: outcome.UnresolvableSource},
		"too many manifests":    {digest: r.put(`{"manifests":[` + children + fmt.Sprintf(`{"digest":%q}]}`, image)), err: outcome.UnresolvableSource},
		"too many blobs":        {digest: r.put(`{"layers":[` + strings.Join(many, ",") + `]}`), err: outcome.UnresolvableSource},
		"too long":              {digest: r.put(`{"x":"` + strings.Repeat("x", maxImageBytes) + `"}`), err: outcome.Malformed},
		"another's repository":  {digest: image, repository: "team/x", err: outcome.UnresolvableSource},
		"a child that is gone":  {digest: r.put(fmt.Sprintf(`{"manifests":[{"digest":%q}]}`, b)), err: outcome.NotFound},
		"a child that is a lie": {digest: r.put(fmt.Sprintf(`{"manifests":[{"digest":%q}]}`, forged)), err: outcome.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.repository == "" {
				tt.repository = "ml/team/llm"
			}
			ev, err := OCI{sources(t, sourcesFile), r.get}.Find(t.Context(), events.Event{
				Artifact: events.Artifact{Registry: events.OCI, Name: tt.repository, Version: tt.digest},
			})
			if (err == nil) != (tt.err == "") || (err != nil && outcome.As(err).Reason != tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			var want []object.Attrs
			for _, w := range tt.want {
				digest, size, _ := strings.Cut(w, " ")
				attrs := object.Attrs{Ref: blobRef(digest)}
				if _, err := fmt.Sscan(size, &attrs.Size); err != nil {
					t.Fatal(err)
				}
				want = append(want, attrs)
			}
			if diff := cmp.Diff(want, ev.Objects); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzImage: whatever a manifest holds, its blobs are in the registry's root.
func FuzzImage(f *testing.F) {
	f.Add(`{"config":{"digest":"sha256:x"},"layers":[{"digest":"` + digestOf(nil) + `","size":-1}]}`)
	f.Add(`{"manifests":[{"digest":"` + digestOf(nil) + `"}]}`)
	f.Add(`{"Layers":[null],"layers":{}}`)
	f.Fuzz(func(t *testing.T, manifest string) {
		r := registry{}
		ev, err := OCI{sources(t, sourcesFile), r.get}.Find(t.Context(), events.Event{
			Artifact: events.Artifact{Registry: events.OCI, Name: "ml/x", Version: r.put(manifest)},
		})
		if err != nil {
			if _, ok := errors.AsType[*outcome.Error](err); !ok {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		for _, o := range ev.Objects {
			if o.Check() != nil || o.Bucket != "registry" || !strings.HasPrefix(o.Key, "harbor/docker/registry/v2/blobs/sha256/") {
				t.Errorf("%v", o.Ref)
			}
		}
	})
}
