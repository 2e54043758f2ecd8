package prestage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/prestage/prestage/internal/object"
)

// entry is one element of a list, as written.
type entry struct {
	uri, bucket, key string
	etag, version    string
	size             int64
}

// manifestParser walks over tokens, so that nothing is built that is not used.
type manifestParser struct {
	ref        object.Ref        // of the manifest
	maxObjects int               // of a list
	maxFiles   int               // of an index
	use        func(entry) error // nil: they are only counted

	dec      *json.Decoder
	bucket   string              // of entries that have none
	count    int                 // of entries
	files    map[string]struct{} // of the weight_map
	hasIndex bool
}

func (p *manifestParser) parse(data []byte, check func(object.Ref) error) (manifest, error) {
	if !utf8.Valid(data) {
		return manifest{}, errors.New("manifest is not valid UTF-8")
	}
	if err := p.read(data); err != nil {
		return manifest{}, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return manifest{}, errors.New("manifest: something follows the JSON value")
	}
	if p.count == 0 && len(p.files) == 0 {
		return manifest{}, errors.New("manifest lists no object")
	}
	if p.hasIndex && p.count > 0 {
		return manifest{}, errors.New("manifest has both objects and a weight_map")
	}
	if p.hasIndex {
		shards, err := p.shards()
		return manifest{shards: shards}, err
	}
	m := manifest{data: data, ref: p.ref, bucket: p.bucket}
	hashes := make([]uint64, 0, p.count)
	err := m.entries(func(a object.Attrs) error {
		hashes = append(hashes, refHash(a.Ref))
		return check(a.Ref)
	})
	m.suspect(hashes)
	return m, err
}

// read walks over the one value that a manifest is.
func (p *manifestParser) read(data []byte) error {
	p.dec = json.NewDecoder(bytes.NewReader(data))
	p.dec.UseNumber()
	return p.document()
}

func (p *manifestParser) document() error {
	switch t, err := p.token(); {
	case err != nil:
		return err
	case t == json.Delim('['):
		return p.list()
	case t == json.Delim('{'):
		return p.object(func(name string) error {
			switch name {
			case "objects":
				if t, err := p.token(); err != nil || t != json.Delim('[') {
					return orElse(err, "manifest: objects is no list")
				}
				return p.list()
			case "weight_map":
				p.hasIndex = true
				return p.weightMap()
			case "bucket":
				return p.string(&p.bucket)
			}
			return p.skip()
		})
	}
	return errors.New("manifest is neither a list nor an object")
}

// object calls member after each name of an object whose brace has been read. A
// name that comes twice is refused: readers differ in which one they take.
func (p *manifestParser) object(member func(name string) error) error {
	seen := make(map[string]struct{})
	for p.dec.More() {
		var name string
		if err := p.string(&name); err != nil {
			return err
		}
		if _, twice := seen[name]; twice {
			return fmt.Errorf("manifest: member %q comes twice", name)
		}
		seen[name] = struct{}{}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := p.token()
	return err
}

func (p *manifestParser) list() error {
	for p.dec.More() {
		if p.count == p.maxObjects {
			return fmt.Errorf("manifest lists more than %d objects", p.maxObjects)
		}
		e := entry{size: object.UnknownSize}
		t, err := p.token()
		switch {
		case err != nil:
			return err
		case t == json.Delim('{'):
			if err := p.object(func(name string) error { return p.field(&e, name) }); err != nil {
				return err
			}
		default:
			uri, ok := t.(string)
			if !ok {
				return errors.New("manifest: an element is neither a URI nor an object")
			}
			e.uri = uri
		}
		if p.use != nil {
			if err := p.use(e); err != nil {
				return err
			}
		}
		p.count++
	}
	_, err := p.token()
	return err
}

func (p *manifestParser) field(e *entry, name string) error {
	switch name {
	case "uri":
		return p.string(&e.uri)
	case "bucket":
		return p.string(&e.bucket)
	case "key":
		return p.string(&e.key)
	case "etag":
		return p.string(&e.etag)
	case "version_id":
		return p.string(&e.version)
	case "size":
		return p.size(&e.size)
	}
	return p.skip()
}

func (p *manifestParser) weightMap() error {
	if t, err := p.token(); err != nil || t != json.Delim('{') {
		return orElse(err, "manifest: weight_map is no object")
	}
	p.files = make(map[string]struct{})
	for p.dec.More() {
		var tensor, file string
		if err := errors.Join(p.string(&tensor), p.string(&file)); err != nil {
			return err
		}
		p.files[file] = struct{}{}
		if len(p.files) > p.maxFiles {
			return fmt.Errorf("manifest lists more than %d files", p.maxFiles)
		}
	}
	_, err := p.token()
	return err
}

func (p *manifestParser) token() (json.Token, error) {
	t, err := p.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("manifest at byte %d: %w", p.dec.InputOffset(), err)
	}
	if s, ok := t.(string); ok && len(s) > maxManifestString {
		return nil, fmt.Errorf("manifest at byte %d: string of %d bytes, at most %d are read", p.dec.InputOffset(), len(s), maxManifestString)
	}
	return t, nil
}

// string reads a string; null leaves s as it is.
func (p *manifestParser) string(s *string) error {
	t, err := p.token()
	if err != nil || t == nil {
		return err
	}
	v, ok := t.(string)
	if !ok {
		return fmt.Errorf("manifest at byte %d: want a string", p.dec.InputOffset())
	}
	*s = v
	return nil
}

// size reads a number of bytes; 0 and null mean unknown.
func (p *manifestParser) size(n *int64) error {
	t, err := p.token()
	if err != nil || t == nil {
		return err
	}
	num, _ := t.(json.Number)
	v, err := strconv.ParseInt(num.String(), 10, 64)
	if err != nil || v < 0 || v > maxSize {
		return fmt.Errorf("manifest at byte %d: size is no number of bytes", p.dec.InputOffset())
	}
	if v > 0 {
		*n = v
	}
	return nil
}

// skip passes over one value of any kind.
func (p *manifestParser) skip() error {
	for depth := 0; ; {
		t, err := p.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > maxManifestDepth {
			return fmt.Errorf("manifest at byte %d: nested deeper than %d", p.dec.InputOffset(), maxManifestDepth)
		}
		if depth == 0 {
			return nil
		}
	}
}

func orElse(err error, text string) error {
	if err != nil {
		return err
	}
	return errors.New(text)
}
