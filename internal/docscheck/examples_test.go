package docscheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// exampleLangs are those of blocks that somebody may paste. The others are drawings,
// and JSON and text to look at.
var exampleLangs = []string{"sh", "python", "js", "go", "yaml"}

// blocksOf are the blocks of all documents for users.
func blocksOf(t *testing.T) []Block {
	t.Helper()
	var out []Block
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		names, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			path, err := filepath.Rel("../..", name)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, Blocks(filepath.ToSlash(path), string(text))...)
		}
	}
	if len(out) < 30 {
		t.Fatalf("only %d blocks were found", len(out))
	}
	return out
}

// TestExamplesAreListed: no example is forgotten, none is listed that is gone.
func TestExamplesAreListed(t *testing.T) {
	t.Parallel()
	listed, err := Examples()
	if err != nil {
		t.Fatalf("examples.txt: %v", err)
	}
	unseen := map[string]bool{}
	for _, e := range listed {
		unseen[e.ID] = true
	}
	ids := map[string]bool{}
	for _, b := range blocksOf(t) {
		if ids[b.ID] {
			t.Errorf("%s (line %d): there are two headings of this name with blocks below them", b.ID, b.Line)
		}
		ids[b.ID] = true
		if slices.Contains(exampleLangs, b.Lang) && !unseen[b.ID] {
			t.Errorf(`%s (line %d): list this example in internal/docscheck/examples.txt, as "run ID" with a scenario in integration, or as "read ID reason"`, b.ID, b.Line)
		}
		delete(unseen, b.ID)
	}
	for id := range unseen {
		t.Errorf("examples.txt: there is no example %s", id)
	}
}

// TestExamplesAreRun: what is said to be run is named by a test of integration,
// and what a test names is said to be run.
func TestExamplesAreRun(t *testing.T) {
	t.Parallel()
	listed, err := Examples()
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("../../integration/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"([\w./-]+\.md#[\w/-]+)"`).FindAllSubmatch(text, -1) {
			named[string(m[1])] = true
		}
	}
	for _, e := range listed {
		if run := e.How == Run; run != named[e.ID] {
			t.Errorf("%s is listed as %s; a test of integration names it: %v", e.ID, e.How, named[e.ID])
		}
		delete(named, e.ID)
	}
	for id := range named {
		t.Errorf("a test of integration names %s, which is in no list", id)
	}
}

// TestBlocksCanBeRead parses every block of a language that can be parsed here.
func TestBlocksCanBeRead(t *testing.T) {
	t.Parallel()
	for _, b := range blocksOf(t) {
		if err := b.unreadable(); err != nil {
			t.Errorf("%s (line %d): %v", b.ID, b.Line, err)
		}
	}
}

// unreadable says what is wrong with the block's syntax.
func (b Block) unreadable() error {
	switch b.Lang {
	case "sh":
		cmd := exec.Command("sh", "-n")
		cmd.Stdin = strings.NewReader(b.Text)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("sh -n: %w: %s", err, out)
		}
	case "json":
		dec := json.NewDecoder(strings.NewReader(b.Text))
		for {
			var v any
			if err := dec.Decode(&v); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	case "yaml":
		dec := yaml.NewDecoder(strings.NewReader(b.Text))
		for {
			var v any
			if err := dec.Decode(&v); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	text := "# A `b` C\n```sh\none\n```\ntext\n```json title\n{}\n```\n## D\n```\nplain\n# no heading\n```\n"
	want := []Block{
		{ID: "x.md#a-b-c", Lang: "sh", Line: 2, Text: "one\n"},
		{ID: "x.md#a-b-c/2", Lang: "json", Line: 6, Text: "{}\n"},
		{ID: "x.md#d", Line: 10, Text: "plain\n# no heading\n"},
	}
	if diff := cmp.Diff(want, Blocks("x.md", text)); diff != "" {
		t.Error(diff)
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	for _, b := range []Block{
		{Lang: "sh", Text: "if true; then\n"}, {Lang: "sh", Text: "echo 'a\n"}, {Lang: "json", Text: "{\"a\":1}\n{"}, {Lang: "yaml", Text: "a: [\n"},
	} {
		if b.unreadable() == nil {
			t.Errorf("%s is taken for sound: %q", b.Lang, b.Text)
		}
	}
	if err := (Block{Lang: "sh", Text: "a | b\n"}).unreadable(); err != nil {
		t.Error(err)
	}
}

func TestExamplesList(t *testing.T) {
	t.Parallel()
	got, err := parseExamples("// c\nrun a#b\n\nread c#d/2 needs a cluster\n")
	want := []Example{{ID: "a#b", How: Run}, {ID: "c#d/2", How: Read, Why: "needs a cluster"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, text := range []string{"run", "skip a#b why", "run a#b because", "read a#b", "run a\nread a why"} {
		if list, err := parseExamples(text); err == nil {
			t.Errorf("%q: %+v", text, list)
		}
	}
}
