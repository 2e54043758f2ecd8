package events

import (
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"
)

// header looks names up in any letter case, as CloudEvents wants: NATS keeps
// the case in which a producer wrote them, and nats.Header.Get is exact.
type header map[string][]string

// get returns the value of a name. Two that differ are an error: which one came
// first depends on the reader.
func (h header) get(name string) (value string, present bool, err error) {
	for n, values := range h {
		if !strings.EqualFold(n, name) {
			continue
		}
		for _, v := range values {
			if present && v != value {
				return "", true, errors.New("given more than once, with different values")
			}
			value, present = v, true
		}
	}
	return value, present, nil
}

// mediaType returns a header's media type in lower case, without parameters.
func (h header) mediaType(name string) string {
	v, _, err := h.get(name)
	if err != nil {
		return ""
	}
	return mediaType(v)
}

func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// unquote takes the double quotes of RFC 9110 out of a header's value, which
// CloudEvents wants done before anything else. A value in which they do not pair
// stays as it is.
func unquote(s string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
			continue
		case s[i] == '\\' && quoted && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	if quoted {
		return s
	}
	return b.String()
}

// percentDecode un-escapes s once, as CloudEvents wants of header values. A "%"
// that begins no escape stays, because the Go SDK writes values unescaped.
func percentDecode(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if d, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.Write(d)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	if !utf8.ValidString(b.String()) {
		return "", errors.New("invalid UTF-8")
	}
	return b.String(), nil
}
