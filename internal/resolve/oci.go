package resolve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/rules"
)

// Bounds of what is read of an image. Distribution itself takes no manifest above
// 4 MiB.
const (
	maxImageBytes     = 4 << 20
	maxImageManifests = 64 // of an index
	maxImageBlobs     = 10_000
)

// OCI finds the blobs of an image in the storage of the registry distribution,
// which is Harbor's too.
type OCI struct {
	Rules func() *rules.Set
	// Get reads a small object whole. Errors are *outcome.Error.
	Get func(ctx context.Context, ref object.Ref, limit int64) ([]byte, error)
}

// descriptor and imageManifest are what is read of OCI's and Docker's manifests, and
// of their indexes. https://github.com/opencontainers/image-spec/blob/main/manifest.md
type descriptor struct {
	Digest string
	Size   int64
	URLs   []string // it is elsewhere
}

type imageManifest struct {
	Config    *descriptor
	Layers    []descriptor
	Manifests []descriptor // of an index
}

// Find reads the manifest that was pushed, and those that it lists if it is an
// index. The manifests themselves are not warmed: they have just been read.
func (o OCI) Find(ctx context.Context, ev events.Event) (events.Event, error) {
	a := ev.Artifact
	place, err := o.Rules().OCIPlace(a.Name)
	if err != nil {
		return ev, nowhere(a, err.Error())
	}
	root, err := object.ParseURI(place.URI)
	if err != nil { // the file is checked
		return ev, nowhere(a, err.Error())
	}
	image := &image{OCI: o, artifact: a, root: root, seen: map[string]bool{}}
	top, err := image.manifest(ctx, a.Version)
	if err != nil {
		return ev, err
	}
	if len(top.Manifests) > maxImageManifests {
		return ev, nowheref(a, "its index lists %d manifests, more than %d", len(top.Manifests), maxImageManifests)
	}
	for _, d := range top.Manifests {
		m, err := image.manifest(ctx, d.Digest)
		if err == nil && len(m.Manifests) > 0 {
			err = nowheref(a, "its index lists another index, %s", quote(d.Digest))
		}
		if err == nil {
			err = image.add(m)
		}
		if err != nil {
			return ev, err
		}
	}
	if err := image.add(top); err != nil {
		return ev, err
	}
	if len(image.blobs) == 0 {
		return ev, nowhere(a, "its manifest lists no blobs")
	}
	ev.Objects, ev.Complete = image.blobs, true
	ev.Note = "found by " + place.Source + " of the rules file: " + quote(place.URI)
	return ev, nil
}

// image gathers the blobs of one.
type image struct {
	OCI

	artifact events.Artifact
	root     object.Ref
	seen     map[string]bool // digests
	blobs    []object.Attrs
}

var sha256Digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// blob is where distribution keeps one (its registry/storage/paths.go).
func (i *image) blob(digest string) (object.Ref, error) {
	if !sha256Digest.MatchString(digest) {
		return object.Ref{}, nowheref(i.artifact, "%s is no digest sha256:…", quote(digest))
	}
	hexes := strings.TrimPrefix(digest, "sha256:")
	return object.Ref{
		Bucket: i.root.Bucket,
		Key:    i.root.Key + "docker/registry/v2/blobs/sha256/" + hexes[:2] + "/" + hexes + "/data",
	}, nil
}

// manifest reads one, and believes it if it has the digest.
func (i *image) manifest(ctx context.Context, digest string) (imageManifest, error) {
	var m imageManifest
	ref, err := i.blob(digest)
	if err != nil {
		return m, err
	}
	data, err := i.Get(ctx, ref, maxImageBytes)
	if err != nil {
		return m, err
	}
	if sum := sha256.Sum256(data); "sha256:"+hex.EncodeToString(sum[:]) != digest {
		return m, i.malformed(ref, errors.New("its content does not have the digest that it is stored under"))
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, i.malformed(ref, fmt.Errorf("the manifest is not read: %w", err))
	}
	return m, nil
}

func (i *image) malformed(ref object.Ref, err error) error {
	return &outcome.Error{Op: op, Ref: ref, Class: outcome.Permanent, Reason: outcome.Malformed, Err: err}
}

// add notes what a manifest lists, each blob once.
func (i *image) add(m imageManifest) error {
	list := m.Layers
	if m.Config != nil {
		list = append([]descriptor{*m.Config}, list...)
	}
	for _, d := range list {
		if i.seen[d.Digest] || len(d.URLs) > 0 {
			continue
		}
		ref, err := i.blob(d.Digest)
		switch {
		case err != nil:
			return err
		case len(i.blobs) == maxImageBlobs:
			return nowheref(i.artifact, "it has more than %d blobs", maxImageBlobs)
		case d.Size <= 0:
			d.Size = object.UnknownSize
		}
		i.seen[d.Digest] = true
		i.blobs = append(i.blobs, object.Attrs{Ref: ref, Size: d.Size})
	}
	return nil
}
