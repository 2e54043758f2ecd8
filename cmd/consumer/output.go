package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// visible is s with everything escaped that a terminal might act on or hide:
// control characters, changes of direction, broken UTF-8.
func visible(s string) string {
	if !strings.ContainsFunc(s, func(c rune) bool { return c == utf8.RuneError || !unicode.IsPrint(c) }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		c, n := utf8.DecodeRuneInString(s)
		switch {
		case c == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(c):
			b.WriteRune(c)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		}
		s = s[n:]
	}
	return b.String()
}

// cell is visible text of at most width characters.
func cell(s string, width int) string {
	if len(s) > 8*width { // most of it would not be seen
		s = s[:8*width]
	}
	r := []rune(visible(s))
	if len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return string(r)
}

// visibleJSON is v as JSON in which everything is escaped that visible escapes:
// JSON itself asks for that only below U+0020.
func visibleJSON(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if bytes.IndexFunc(data, func(c rune) bool { return !unicode.IsPrint(c) }) < 0 {
		return data, nil
	}
	var b bytes.Buffer
	for _, c := range string(data) { // what is not printable is inside a string
		switch hi, lo := utf16.EncodeRune(c); {
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c > 0xffff:
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	return b.Bytes(), nil
}

// printJSON prints v as a line of visibleJSON.
func printJSON(w io.Writer, v any) error {
	line, err := visibleJSON(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// jsonList writes a JSON array element by element, one a line, so that a long
// list needs no memory.
type jsonList struct {
	out *bufio.Writer
	n   int
}

func newJSONList(w io.Writer) *jsonList { return &jsonList{out: bufio.NewWriter(w)} }

func (l *jsonList) add(v any) error {
	data, err := visibleJSON(v)
	if err != nil {
		return err
	}
	before := ",\n"
	if l.n == 0 {
		before = "[\n"
	}
	l.n++
	_, err = fmt.Fprintf(l.out, "%s%s", before, data)
	return err
}

func (l *jsonList) end() error {
	after := "\n]\n"
	if l.n == 0 {
		after = "[]\n"
	}
	if _, err := l.out.WriteString(after); err != nil {
		return err
	}
	return l.out.Flush()
}

// ageText is a duration as people say it.
func ageText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
