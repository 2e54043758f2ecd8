package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// maxTextBytes bounds a string that is read. The longest legal one is a key of
// 1,024 bytes with every byte percent-encoded.
const maxTextBytes = 4 << 10

// document holds the first thing found wrong while fields are read, so that a
// decoder reads them in a row and asks once.
type document struct {
	err error
}

func (d *document) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// node is a place in a document and the value found there, nil when it is
// absent or null. Reading an absent one gives the zero value.
type node struct {
	doc    *document
	parent *node
	name   string // of a member or of the root, "" of a list's item
	index  int
	value  any
}

// newDocument returns the root of value; name is how errors call it, if at all.
func newDocument(name string, value any) *node {
	return &node{doc: &document{}, name: name, value: value}
}

// get goes to a member, by its exact name.
func (n *node) get(name string) *node {
	o, _ := n.value.(jsonObject)
	return &node{doc: n.doc, parent: n, name: name, value: o.get(name)}
}

// path reads like "data.objects[3].size".
func (n *node) path() string {
	switch {
	case n.parent == nil:
		return n.name
	case n.name == "":
		return n.parent.path() + "[" + strconv.Itoa(n.index) + "]"
	}
	if p := n.parent.path(); p != "" {
		return p + "." + n.name
	}
	return n.name
}

func (n *node) fail(format string, args ...any) {
	n.doc.fail(n.errorf(format, args...))
}

func (n *node) errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if p := n.path(); p != "" {
		return fmt.Errorf("%s: %w", p, err)
	}
	return err
}

func (n *node) failWant(want string) {
	n.fail("want %s, got %s", want, typeName(n.value))
}

func (n *node) present() bool { return n.value != nil }

// required complains when nothing is there.
func (n *node) required() *node {
	if !n.present() {
		n.fail("missing")
	}
	return n
}

// object complains when there is anything but a JSON object.
func (n *node) object() *node {
	if _, ok := n.value.(jsonObject); !ok {
		n.failWant("a JSON object")
	}
	return n
}

// items returns the nodes of a list, at most maxObjects of them.
func (n *node) items() []*node {
	list, ok := n.value.([]any)
	switch {
	case !ok:
		n.failWant("a list")
		return nil
	case len(list) == 0:
		n.fail("the list is empty")
		return nil
	case len(list) > maxObjects:
		n.doc.fail(tooMuch("%s: %d entries: one event may name %d objects", n.path(), len(list), maxObjects))
		return nil
	}
	items := make([]*node, len(list))
	for i, v := range list {
		items[i] = &node{doc: n.doc, parent: n, index: i, value: v}
	}
	return items
}

// text reads a string.
func (n *node) text() string {
	if !n.present() {
		return ""
	}
	s, ok := n.value.(string)
	switch {
	case !ok:
		n.failWant("a string")
	case len(s) > maxTextBytes:
		n.fail("string of %d bytes: at most %d are read", len(s), maxTextBytes)
	default:
		return s
	}
	return ""
}

// label is n with a number taken for its digits: versions and run names are
// texts to us and often numbers to a producer.
func (n *node) label() *node {
	if number, ok := n.value.(json.Number); ok {
		labelled := *n
		labelled.value = number.String()
		return &labelled
	}
	return n
}

// lenientText reads a string that may as well be missing or of another type.
func (n *node) lenientText() string {
	s, _ := n.value.(string)
	return s
}

// is says that n is the string s.
func (n *node) is(s string) bool { return n.value == s }

// whole reads a whole number. One that a producer wrote as 100.0 is whole.
func (n *node) whole() int64 {
	if !n.present() {
		return 0
	}
	number, ok := n.value.(json.Number)
	if !ok {
		n.failWant("a whole number")
		return 0
	}
	i, err := parseWhole(number)
	if err != nil {
		n.fail("%w", err)
	}
	return i
}

// count reads a whole number that is not negative.
func (n *node) count() int64 {
	i := n.whole()
	if i < 0 {
		n.fail("want a number of at least 0, got %d", i)
	}
	return i
}

// flag reads true or false.
func (n *node) flag() bool {
	if !n.present() {
		return false
	}
	b, ok := n.value.(bool)
	if !ok {
		n.failWant("true or false")
	}
	return b
}

// timestamp reads an RFC 3339 time.
func (n *node) timestamp() time.Time {
	s := n.text()
	if !n.present() || n.doc.err != nil {
		return time.Time{}
	}
	t, err := parseTime(s)
	if err != nil {
		n.fail("%w", err)
	}
	return t
}

// parseTime leaves out the parse error, which repeats the text however long. A
// time near the ends of what RFC 3339 can say is another year in UTC, which JSON
// cannot say: a receipt with it could never be written.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if t = t.UTC(); err != nil || t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%s is no RFC 3339 time such as 2026-11-20T10:00:00Z", quote(s))
	}
	return t, nil
}

func parseWhole(number json.Number) (int64, error) {
	if i, err := number.Int64(); err == nil {
		return i, nil
	}
	const exact = 1 << 53 // beyond it a float64 no longer tells neighbours apart
	f, err := number.Float64()
	switch {
	case err != nil || math.Abs(f) > exact:
		return 0, errors.New("number out of range")
	case f != math.Trunc(f):
		return 0, errors.New("want a whole number, got a fraction")
	}
	return int64(f), nil
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "a JSON object"
}
