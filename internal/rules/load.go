package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds a rules file: some thousand rules.
const maxFileBytes = 256 << 10

// Error is what is wrong with a rules file: one line that names the place and
// what is allowed.
type Error struct {
	File         string
	Line, Column int    // from 1; 0: of the file as a whole
	Key          string // such as rules[2].policy, "" for the file
	Text         string
}

// Error is that line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	for _, n := range []int{e.Line, e.Column} {
		if n > 0 {
			b.WriteString(":" + strconv.Itoa(n))
		}
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	return b.String() + ": " + e.Text
}

// wrong is an Error at a node.
func wrong(n *yaml.Node, key, format string, args ...any) error {
	return &Error{Line: n.Line, Column: n.Column, Key: key, Text: fmt.Sprintf(format, args...)}
}

// Load reads the rules file at path. Allow says which buckets may be touched
// (PRESTAGE_BUCKETS). The error is an *Error.
func Load(path string, allow func(bucket string) bool) (*Set, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, &Error{File: path, Text: err.Error()}
	}
	return parse(path, data, allow)
}

// parse is Parse with the name of the file in its error.
func parse(path string, data []byte, allow func(bucket string) bool) (*Set, error) {
	s, err := Parse(data, allow)
	if e, ok := errors.AsType[*Error](err); ok {
		e.File = path
	}
	return s, err
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path) // to open a pipe would wait for somebody to write to it
	if err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("this is no regular file")
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		if p, ok := errors.AsType[*fs.PathError](err); ok {
			err = p.Err
		}
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Parse reads what a rules file holds. The error is an *Error without a file.
func Parse(data []byte, allow func(bucket string) bool) (*Set, error) {
	if len(data) > maxFileBytes {
		return nil, &Error{Text: fmt.Sprintf("larger than %d bytes", maxFileBytes)}
	}
	root, err := document(data)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return &Set{}, nil
	}
	if err := file.hold(root, ""); err != nil {
		return nil, err
	}
	s := &Set{}
	if err := root.Decode(s); err != nil {
		return nil, notYAML(err)
	}
	if err := s.check(place{root}, allow); err != nil {
		return nil, err
	}
	return s, nil
}

// document is the root of the one document in data, or nil when that is empty.
func document(data []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, notYAML(err)
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, notYAML(err)
		}
		return nil, wrong(&more, "", "a second document: want one")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" && root.Value == "" {
		return nil, nil
	}
	return root, nil
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// notYAML takes the line out of what the decoder says.
func notYAML(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	e := &Error{Text: "not YAML: " + text}
	if m := yamlError.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Text = "not YAML: " + m[2]
	}
	return e
}
