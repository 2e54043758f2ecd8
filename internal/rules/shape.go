package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// shape is what a value of the file may be.
type shape struct {
	doc    string
	fields []field             // of a mapping
	item   *shape              // of a list
	words  []string            // of a text: the only ones
	check  func(string) string // of another text: what it should be, or ""
	most   int64               // of a whole number, which is at least 0
	flag   bool                // true or false
}

// field is one key of a mapping.
type field struct {
	key  string
	need bool
	shape
}

// maxItems bounds each list of a file.
const maxItems = 1000

// hold says what of node does not have the shape. Path leads to it. It goes no
// deeper than the shape does, and follows no alias.
func (s *shape) hold(node *yaml.Node, path string) error {
	switch {
	case node.Kind == yaml.AliasNode:
		return wrong(node, path, "an alias: write the value out")
	case s.fields != nil:
		return s.holdMapping(node, path)
	case s.item != nil:
		return s.holdList(node, path)
	case s.most > 0:
		var n int64
		if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!int" || node.Decode(&n) != nil || n < 0 || n > s.most {
			return wrong(node, path, "%s: want a whole number of bytes, 0 to %d", shown(node), s.most)
		}
		return nil
	case s.flag:
		if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!bool" || (node.Value != "true" && node.Value != "false") {
			return wrong(node, path, "%s: want true or false", shown(node))
		}
		return nil
	default:
		return s.holdText(node, path)
	}
}

func (s *shape) holdMapping(node *yaml.Node, path string) error {
	if node.Kind != yaml.MappingNode || node.ShortTag() != "!!map" {
		return wrong(node, path, "%s: want a mapping with %s", shown(node), s.keys())
	}
	given := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := slices.IndexFunc(s.fields, func(f field) bool { return f.key == key.Value })
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || at < 0:
			return wrong(key, path, "%s: no such key, want %s", shown(key), s.keys())
		case given[key.Value]:
			return wrong(key, path, "%s: this key is here twice", shown(key))
		}
		given[key.Value] = true
		if err := s.fields[at].hold(value, strings.TrimPrefix(path+"."+key.Value, ".")); err != nil {
			return err
		}
	}
	for _, f := range s.fields {
		if f.need && !given[f.key] {
			return wrong(node, path, "%s is missing", f.key)
		}
	}
	return nil
}

func (s *shape) holdList(node *yaml.Node, path string) error {
	if node.Kind != yaml.SequenceNode || node.ShortTag() != "!!seq" {
		return wrong(node, path, "%s: want a list", shown(node))
	}
	if len(node.Content) > maxItems {
		return wrong(node, path, "%d elements: want at most %d", len(node.Content), maxItems)
	}
	for i, n := range node.Content {
		if err := s.item.hold(n, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

func (s *shape) holdText(node *yaml.Node, path string) error {
	want := "want a text"
	switch {
	case s.words != nil:
		want = "want " + either(s.words)
		if slices.Contains(s.words, node.Value) {
			want = ""
		}
	case node.Kind == yaml.ScalarNode:
		want = s.check(node.Value)
	}
	if node.Kind == yaml.ScalarNode && node.ShortTag() != "!!str" {
		want = "want a text: put it in quotes"
	}
	if node.Kind != yaml.ScalarNode || want != "" {
		return wrong(node, path, "%s: %s", shown(node), want)
	}
	return nil
}

// keys lists the keys of a mapping.
func (s *shape) keys() string {
	var keys []string
	for _, f := range s.fields {
		keys = append(keys, f.key)
	}
	return either(keys)
}

// either lists words: "a, b or c".
func either(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// shown is a value as an error repeats it, bounded and on one line.
func shown(node *yaml.Node) string {
	const most = 80
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if node.ShortTag() == "!!null" {
		return "nothing"
	}
	if v := []rune(node.Value); len(v) > most {
		return strconv.Quote(string(v[:most]) + "…")
	}
	return strconv.Quote(node.Value)
}
