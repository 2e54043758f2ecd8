package prestage

import (
	"cmp"
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
	maxManifestFiles   = 100_000 // of an index
	maxManifestDepth   = 32
	maxManifestString  = 4096
)

// manifest is what a manifest lists. A list is kept as it was written and read
// anew for each use: a million objects would take half a gigabyte.
type manifest struct {
	shards []object.Attrs // of a safetensors index, nil: it is a list

	data     []byte
	ref      object.Ref
	bucket   string // of entries that have none
	suspects map[uint64]struct{}
}

// manifest yields what the request's manifest lists. The manifest itself is not
// warmed: it has just been read.
func (w *walk) manifest(ctx context.Context) error {
	ref := w.req.Manifest
	if err := w.check(ref); err != nil {
		return err
	}
	if no, err := w.elsewhere(ref); no {
		return err
	}
	data, err := w.get(ctx, ref, maxManifestBytes)
	if err != nil {
		if e := outcome.As(err); e.Reason == outcome.NotFound {
			return w.missing(ref, e)
		}
		return err
	}
	m, err := parseManifest(data, ref, w.check)
	switch {
	case errors.As(err, new(*outcome.Error)):
		return err
	case err != nil:
		return &outcome.Error{Op: "read manifest", Ref: ref, Class: outcome.Permanent, Reason: outcome.Malformed, Err: err}
	}
	sizes := w.newSizer(w.item)
	err = m.each(func(a object.Attrs) error { return sizes.add(ctx, Item{Attrs: a}) })
	if err != nil {
		return err
	}
	return sizes.endOfAll(ctx)
}

// parseManifest reads a JSON list of URIs or of entries, {"objects": such a
// list}, or a safetensors index, {"weight_map": {tensor: file}}, whose files are
// relative to the directory of the index (huggingface_hub, "Sharded
// checkpoints"). Every object that it lists is a legal one that check accepts.
func parseManifest(data []byte, ref object.Ref, check func(object.Ref) error) (manifest, error) {
	return (&manifestParser{ref: ref, maxObjects: maxManifestObjects, maxFiles: maxManifestFiles}).parse(data, check)
}

// each calls yield with every object, in the order of the manifest; one that is
// listed more than once only the first time. Its error is that of yield.
func (m manifest) each(yield func(object.Attrs) error) error {
	for _, a := range m.shards {
		if err := yield(a); err != nil {
			return err
		}
	}
	if m.shards != nil {
		return nil
	}
	seen := make(map[object.Ref]struct{})
	return m.entries(func(a object.Attrs) error {
		if _, suspect := m.suspects[refHash(a.Ref)]; suspect {
			if _, again := seen[a.Ref]; again {
				return nil
			}
			seen[a.Ref] = struct{}{}
		}
		return yield(a)
	})
}

// entries reads the list once more.
func (m manifest) entries(yield func(object.Attrs) error) error {
	p := manifestParser{ref: m.ref, maxObjects: maxManifestObjects}
	p.use = func(e entry) error {
		a, err := m.resolve(e)
		if err != nil {
			return fmt.Errorf("manifest, element %d: %w", p.count, err)
		}
		return yield(a)
	}
	return p.read(m.data)
}

// suspect notes the hashes of what may be listed more than once, which is next
// to nothing: objects themselves are not remembered, of which there may be many.
func (m *manifest) suspect(hashes []uint64) {
	slices.Sort(hashes)
	m.suspects = make(map[uint64]struct{})
	for i := 1; i < len(hashes); i++ {
		if hashes[i] == hashes[i-1] {
			m.suspects[hashes[i]] = struct{}{}
		}
	}
}

func refHash(ref object.Ref) uint64 { return shortHash([]byte(ref.String())) }

// resolve makes an object of an entry. A bare key is in the bucket that is
// named beside it, or around it, or else in the manifest's own.
func (m manifest) resolve(e entry) (object.Attrs, error) {
	a := object.Attrs{Size: e.size, Version: object.Version{ETag: checkTag(object.TrimETag(e.etag)), ID: checkTag(e.version)}}
	var err error
	switch {
	case (e.uri == "") == (e.key == ""):
		err = errors.New("want a uri or a key")
	case e.uri != "":
		a.Ref, err = object.ParseURI(e.uri)
	default:
		a.Ref = object.Ref{Bucket: cmp.Or(e.bucket, m.bucket, m.ref.Bucket), Key: e.key}
	}
	if err == nil {
		err = a.Check()
	}
	if err == nil && a.IsPrefix() {
		err = errors.New("a manifest lists objects, not prefixes")
	}
	return a, err
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
