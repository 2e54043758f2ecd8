package prestage

import (
	"strings"
	"testing"

	"github.com/prestage/prestage/internal/object"
)

func TestManifestIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":              {"", "unexpected EOF"},
		"cut":                  {`["s3://ckpt/a"`, "unexpected EOF"},
		"a string":             {`"s3://ckpt/a"`, "neither"},
		"null":                 {`null`, "neither"},
		"an empty list":        {`[]`, "lists no object"},
		"an empty index":       {`{"weight_map":{}}`, "lists no object"},
		"more than one value":  {`["s3://ckpt/a"] x`, "follows"},
		"a number":             {`[1]`, "neither a URI nor an object"},
		"a list in a list":     {`[["s3://ckpt/a"]]`, "neither a URI nor an object"},
		"objects is no list":   {`{"objects":{}}`, "no list"},
		"weight_map no object": {`{"weight_map":[]}`, "no object"},
		"both kinds":           {`{"objects":["s3://ckpt/a"],"weight_map":{"a":"b"}}`, "both"},
		"a member twice":       {`[{"uri":"s3://ckpt/a","uri":"s3://ckpt/b"}]`, `"uri" comes twice`},
		"objects twice":        {`{"objects":["s3://ckpt/a"],"objects":[]}`, `"objects" comes twice`},
		"URI and key":          {`[{"uri":"s3://ckpt/a","key":"a"}]`, "element 0: want a uri or a key"},
		"neither":              {`["s3://ckpt/a",{"size":1}]`, "element 1: want a uri or a key"},
		"another scheme":       {`["https://ckpt/a"]`, "not an object URI"},
		"a prefix":             {`["s3://ckpt/a/"]`, "not prefixes"},
		"a bucket":             {`["s3://ckpt"]`, "empty key"},
		"an odd bucket":        {`[{"bucket":"a.b","key":"k"}]`, "bucket name"},
		"a NUL":                {`["s3://ckpt/a\u0000"]`, "NUL"},
		"a long string":        {`["s3://ckpt/` + strings.Repeat("a", 5000) + `"]`, "at most 4096"},
		"a long key":           {`["s3://ckpt/` + strings.Repeat("a", 1025) + `"]`, "1024"},
		"a float":              {`[{"key":"a","size":1.5}]`, "no number of bytes"},
		"a negative size":      {`[{"key":"a","size":-1}]`, "no number of bytes"},
		"a size as a string":   {`[{"key":"a","size":"1"}]`, "no number of bytes"},
		"a size beyond sense":  {`[{"key":"a","size":99999999999999999999}]`, "no number of bytes"},
		"nested too deep":      {`{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `,"objects":["s3://ckpt/a"]}`, "deeper than 32"},
		"bad UTF-8":            {"[\"s3://ckpt/\xff\"]", "UTF-8"},
		"an absolute file":     {`{"weight_map":{"a":"/etc/passwd"}}`, "below the index"},
		"a file outside":       {`{"weight_map":{"a":"x/../../b"}}`, "leads out"},
		"a directory":          {`{"weight_map":{"a":"x/"}}`, "below the index"},
		"no file":              {`{"weight_map":{"a":""}}`, "below the index"},
		"a file with a NUL":    {`{"weight_map":{"a":"x\u0000"}}`, "NUL"},
		"a file as a number":   {`{"weight_map":{"a":1}}`, "want a string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := parseManifest([]byte(tt.text), ckpt("p/m.json"), anyRef)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, error %v, want %q", m, err, tt.want)
			}
		})
	}
}

func TestManifestIsBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`["s3://ckpt/a","s3://ckpt/b"]`:                 true,
		`["s3://ckpt/a","s3://ckpt/b","s3://ckpt/c"]`:   false,
		`{"weight_map":{"a":"x","b":"y","c":"x"}}`:      true,
		`{"weight_map":{"a":"x","b":"y","c":"z"}}`:      false,
		`{"objects":[{"key":"a"},{"key":"b"},{"x":1}]}`: false,
	} {
		_, err := (&manifestParser{ref: ckpt("m"), maxObjects: 2, maxFiles: 2}).parse([]byte(text), anyRef)
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "more than 2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func anyRef(object.Ref) error { return nil }

func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		`["s3://ckpt/a","cw://models-x/b"]`,
		`[{"key":"a","size":1,"etag":"\"e\"","version_id":"v"},{"uri":"s3://ckpt/ü"}]`,
		`{"bucket":"models-x","objects":[{"key":"a"}],"x":{"y":[null,true,1e9]}}`,
		`{"metadata":{"total_size":3},"weight_map":{"t":"model-1.safetensors","u":"a/../b"}}`,
		`{"weight_map":{"t":"./x","t":"y//z"}}`,
		`["s3://ckpt/a",{"key":"a","size":7}]`, `{"objects":[{"key":"a"}],"bucket":"models-x"}`,
		`[[[[`, `{"objects":`, `[{"size":-0}]`,
	} {
		f.Add([]byte(seed))
	}
	index := object.Ref{Bucket: "ckpt", Key: "dir/m.json"}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data, index, anyRef)
		if err != nil {
			return
		}
		seen := make(map[object.Ref]int)
		err = m.each(func(a object.Attrs) error {
			if seen[a.Ref]++; seen[a.Ref] > 1 {
				t.Errorf("%v comes twice", a.Ref)
			}
			if err := a.Check(); err != nil || a.IsPrefix() || a.Size == 0 || a.Size < object.UnknownSize {
				t.Errorf("%+v: %v", a, err)
			}
			if m.shards != nil && (!strings.HasPrefix(a.Key, "dir/") || strings.Contains(a.Key+"/", "/../") || a.Bucket != "ckpt") {
				t.Errorf("%+v is outside", a)
			}
			return nil
		})
		if err != nil || len(seen) == 0 {
			t.Errorf("%d objects, error %v", len(seen), err)
		}
	})
}
