package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of a payload. The number of values bounds memory: eight mebibytes of
// "[]," would otherwise become hundreds. It allows for the longest list of
// objects, each with four fields and one to spare.
const (
	maxPayloadBytes = 8 << 20
	maxDepth        = 32
	maxValues       = 6*maxObjects + 1000
)

// A JSON value is nil, bool, json.Number, string, []any or jsonObject.
//
// Unmarshalling into structs is not used: encoding/json matches member names
// in any letter case and lets the last of two equal names win, so that two
// readers of one message could see two different objects.

// jsonObject keeps members in the order written. A slice costs a hostile
// payload's millions of tiny objects less than a map each would.
type jsonObject []member

type member struct {
	name  string
	value any
}

func (o jsonObject) get(name string) any {
	if i := o.index(name); i >= 0 {
		return o[i].value
	}
	return nil
}

func (o jsonObject) index(name string) int {
	return slices.IndexFunc(o, func(m member) bool { return m.name == name })
}

// duplicate returns a name that o has twice.
func (o jsonObject) duplicate() (string, bool) {
	const few = 16 // up to here comparing all pairs is the quickest
	if len(o) <= few {
		for i, m := range o {
			if o[:i].index(m.name) >= 0 {
				return m.name, true
			}
		}
		return "", false
	}
	names := make([]string, len(o))
	for i, m := range o {
		names[i] = m.name
	}
	slices.Sort(names)
	for i, name := range names[1:] {
		if name == names[i] {
			return name, true
		}
	}
	return "", false
}

// parseJSON reads exactly one value, within the bounds.
func parseJSON(data []byte) (any, error) {
	switch {
	case len(data) == 0:
		return nil, errors.New("the payload is empty")
	case len(data) > maxPayloadBytes:
		return nil, tooMuch("payload of %d bytes: at most %d are read", len(data), maxPayloadBytes)
	case !utf8.Valid(data):
		return nil, fmt.Errorf("byte %d: invalid UTF-8", invalidUTF8(data))
	}
	p := parser{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	v, err := p.value(1)
	if err != nil {
		return nil, err
	}
	end := p.dec.InputOffset()
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("byte %d: more follows the JSON value", end)
	}
	return v, nil
}

type parser struct {
	data   []byte
	dec    *json.Decoder
	values int
}

func (p *parser) value(depth int) (any, error) {
	if p.values++; p.values > maxValues {
		return nil, tooMuch("byte %d: more than %d JSON values", p.dec.InputOffset(), maxValues)
	}
	tok, err := p.token()
	if err != nil {
		return nil, err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return tok, nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("byte %d: nested deeper than %d levels", p.dec.InputOffset(), maxDepth)
	}
	if delim == '[' {
		return p.list(depth)
	}
	return p.object(depth)
}

func (p *parser) list(depth int) (any, error) {
	items := []any{}
	for p.dec.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	_, err := p.token() // the closing bracket
	return items, err
}

func (p *parser) object(depth int) (any, error) {
	members := jsonObject{}
	for p.dec.More() {
		tok, err := p.token()
		if err != nil {
			return nil, err
		}
		name, ok := tok.(string)
		if !ok {
			return nil, fmt.Errorf("byte %d: want a member name", p.dec.InputOffset())
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{name: name, value: v})
	}
	if _, err := p.token(); err != nil { // the closing brace
		return nil, err
	}
	if name, ok := members.duplicate(); ok {
		return nil, fmt.Errorf("byte %d: the object that ends here has the member %s twice", p.dec.InputOffset(), quote(name))
	}
	return members, nil
}

// token reads the next token and refuses strings that would not survive being
// used as a name: those with a NUL, and those that no UTF-8 can hold.
func (p *parser) token() (json.Token, error) {
	start := p.dec.InputOffset()
	tok, err := p.dec.Token()
	if err != nil {
		return nil, p.syntaxError(err)
	}
	s, ok := tok.(string)
	if !ok {
		return tok, nil
	}
	end := p.dec.InputOffset()
	if strings.ContainsRune(s, 0) {
		return nil, fmt.Errorf("byte %d: NUL in the string that ends here", end)
	}
	// encoding/json turns half a surrogate pair into U+FFFD, another name.
	if loneSurrogate(p.data[start:end]) {
		return nil, fmt.Errorf("byte %d: half a surrogate pair in the string that ends here", end)
	}
	return tok, nil
}

func (p *parser) syntaxError(err error) error {
	at := p.dec.InputOffset()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("byte %d: the JSON ends too early", len(p.data))
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = syntax.Offset
	}
	return fmt.Errorf("byte %d: not JSON: %w", at, err)
}

// loneSurrogate looks for a \u escape of half a pair in a JSON string literal.
func loneSurrogate(literal []byte) bool {
	for i := bytes.IndexByte(literal, '\\'); i >= 0 && i < len(literal); i++ {
		if literal[i] != '\\' {
			continue
		}
		i++ // at what is escaped
		r := escapedRune(literal[i:])
		if !utf16.IsSurrogate(r) {
			continue
		}
		const width = len("u0000")
		rest := literal[i+width:]
		if len(rest) == 0 || rest[0] != '\\' || utf16.DecodeRune(r, escapedRune(rest[1:])) == utf8.RuneError {
			return true
		}
		i += width + 1
	}
	return false
}

// escapedRune reads the u0000 of an escape, or returns 0.
func escapedRune(s []byte) rune {
	if len(s) < 5 || s[0] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(string(s[1:5]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}
