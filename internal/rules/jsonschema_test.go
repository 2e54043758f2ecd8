package rules

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const (
	schemaPath = "../../docs/rules.schema.json"
	docsPath   = "../../docs/rules.md"
)

var update = flag.Bool("update", false, "write the published schema")

// TestSchemaIsPublished: the schema in the documents is that of the code.
func TestSchemaIsPublished(t *testing.T) {
	t.Parallel()
	want, err := JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaPath, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("go test ./internal/rules -run TestSchemaIsPublished -update writes it:\n%s", diff)
	}
}

// TestShapesAreTypes: each key of a shape is a field of its type, and the other
// way round.
func TestShapesAreTypes(t *testing.T) {
	t.Parallel()
	var compare func(path string, s *shape, typ reflect.Type)
	compare = func(path string, s *shape, typ reflect.Type) {
		for typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		kinds := map[reflect.Kind]bool{
			reflect.Struct: s.fields != nil, reflect.Slice: s.item != nil, reflect.Int64: s.most > 0, reflect.Bool: s.flag,
			reflect.String: s.words != nil || s.check != nil,
		}
		switch {
		case !kinds[typ.Kind()]:
			t.Errorf("%s is a %s", path, typ)
		case s.item != nil:
			compare(path+"[]", s.item, typ.Elem())
		case s.fields != nil:
			var have, want []string
			for f := range typ.Fields() {
				have = append(have, f.Tag.Get("yaml"))
			}
			for _, f := range s.fields {
				want = append(want, f.key)
				for field := range typ.Fields() {
					if field.Tag.Get("yaml") == f.key {
						compare(path+"."+f.key, &f.shape, field.Type)
					}
				}
			}
			if len(have) != len(want) {
				t.Errorf("%s: the type has %q, the shape %q", path, have, want)
			}
			for _, key := range want {
				if !strings.Contains(" "+strings.Join(have, " ")+" ", " "+key+" ") {
					t.Errorf("%s: the type has no %s", path, key)
				}
			}
		}
	}
	compare("", &file, reflect.TypeFor[Set]())
}

// TestDocumentedFiles: each file of the page is good, for the schema too, and
// both refuse a key that there is not.
func TestDocumentedFiles(t *testing.T) {
	t.Parallel()
	published, err := os.ReadFile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	parsedSchema, err := jsonschema.UnmarshalJSON(bytes.NewReader(published))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("rules.json", parsedSchema); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("rules.json")
	if err != nil {
		t.Fatal(err)
	}
	holds := func(text string) error {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			return err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			return err
		}
		return schema.Validate(value)
	}
	page, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	files := append([]string{all}, yamlBlocks(string(page))...)
	if len(files) < 2 {
		t.Fatal("the page has no file")
	}
	for _, text := range files {
		if _, err := Parse([]byte(text), anyBucket); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
		if err := holds(text); err != nil {
			t.Errorf("the schema says %v:\n%s", err, text)
		}
		for _, wrong := range []string{strings.Replace(text, "name:", "nam:", 1), text + "\nother: 1\n"} {
			if wrong == text {
				continue
			}
			if _, err := Parse([]byte(wrong), anyBucket); err == nil || holds(wrong) == nil {
				t.Errorf("a wrong key is taken:\n%s", wrong)
			}
		}
	}
}

// yamlBlocks are the fenced blocks of a page that are YAML.
func yamlBlocks(page string) (blocks []string) {
	for {
		_, rest, ok := strings.Cut(page, "```yaml\n")
		if !ok {
			return blocks
		}
		block, after, _ := strings.Cut(rest, "```")
		blocks, page = append(blocks, block), after
	}
}
