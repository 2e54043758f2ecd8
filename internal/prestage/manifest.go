package prestage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Bounds of what is read of a manifest.
const (
	maxManifestBytes   = 16 << 20
	maxManifestObjects = 1_000_000
	maxManifestDepth   = 32
	maxManifestString  = 4096
)

// manifest is what a manifest lists.
type manifest struct {
	objects []object.Attrs
	index   bool // it is a safetensors index
}

// manifest yields what the request's manifest lists. The manifest itself is not
// warmed: it has just been read.
func (w *walk) manifest(ctx context.Context) error {
	ref := w.req.Manifest
	if err := w.check(ref); err != nil {
		return err
	}
	data, err := w.get(ctx, ref, maxManifestBytes)
	if err != nil {
		if e := outcome.As(err); e.Reason == outcome.NotFound {
			return w.missing(ref, e)
		}
		return err
	}
	m, err := parseManifest(data, ref)
	if err != nil {
		return &outcome.Error{Op: "read manifest", Ref: ref, Class: outcome.Permanent, Reason: outcome.Malformed, Err: err}
	}
	return w.objects(ctx, m.objects)
}

// parseManifest reads a JSON list of URIs or of entries, {"objects": such a
// list}, or a safetensors index, {"weight_map": {tensor: file}}, whose files are
// relative to the directory of the index (huggingface_hub, "Sharded
// checkpoints"). Every object that it returns is a legal one.
func parseManifest(data []byte, ref object.Ref) (manifest, error) {
	return (&manifestParser{ref: ref, limit: maxManifestObjects}).parse(data)
}

// resolve makes objects of the entries. A bare key is in the bucket that is
// named beside it, or around it, or else in the manifest's own.
func (p *manifestParser) resolve() ([]object.Attrs, error) {
	out := make([]object.Attrs, 0, len(p.entries))
	for i, e := range p.entries {
		a := object.Attrs{Size: e.size, Version: object.Version{ETag: checkTag(object.TrimETag(e.etag)), ID: checkTag(e.version)}}
		var err error
		switch {
		case (e.uri == "") == (e.key == ""):
			err = errors.New("want a uri or a key")
		case e.uri != "":
			a.Ref, err = object.ParseURI(e.uri)
		default:
			a.Ref = object.Ref{Bucket: firstOf(e.bucket, p.bucket, p.ref.Bucket), Key: e.key}
		}
		if err == nil {
			err = a.Check()
		}
		if err == nil && a.IsPrefix() {
			err = errors.New("a manifest lists objects, not prefixes")
		}
		if err != nil {
			return nil, fmt.Errorf("manifest, element %d: %w", i, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// shards makes objects of the files of an index.
func (p *manifestParser) shards() ([]object.Attrs, error) {
	dir := p.ref.Key[:strings.LastIndexByte(p.ref.Key, '/')+1]
	out := make([]object.Attrs, 0, len(p.files))
	for _, file := range slices.Sorted(maps.Keys(p.files)) {
		a := object.Attrs{Ref: object.Ref{Bucket: p.ref.Bucket, Key: dir + file}, Size: object.UnknownSize}
		if err := checkFile(file); err != nil {
			return nil, fmt.Errorf("manifest, file %q: %w", file, err)
		}
		if err := a.Check(); err != nil {
			return nil, fmt.Errorf("manifest, file %q: %w", file, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// checkFile refuses a name that a loader would resolve to a place outside the
// index's directory, or to no file.
func checkFile(name string) error {
	if name == "" || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") {
		return errors.New("want a file below the index's directory")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return errors.New(`".." leads out of the index's directory`)
		}
	}
	return nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
