package events

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// FormatCloudEvents is a native event or a store's record in a CloudEvents 1.0
// envelope, structured or binary, after the CloudEvents NATS protocol binding.
const FormatCloudEvents Format = "cloudevents"

const (
	adviceCloudEvents = `send a CloudEvent 1.0 with id, source, type and data; ` + adviceTypes
	adviceJSONEvent   = "send each event as a message of its own, as application/cloudevents+json"
)

const dataContentType = "datacontenttype"

// maxAttributeBytes bounds a CloudEvents attribute.
const maxAttributeBytes = 1 << 10

// isStructured goes by the Content-Type alone, as the binding says.
func isStructured(in *input) bool {
	return strings.HasPrefix(header(in.Header).mediaType("Content-Type"), "application/cloudevents")
}

// isBinary asks for ce-specversion. By the binding's letter every message
// without the structured Content-Type is binary, a store's notification too.
func isBinary(in *input) bool {
	_, present, _ := header(in.Header).get("ce-specversion")
	return present
}

// isStructuredUnlabelled finds what producers publish without any header.
func isStructuredUnlabelled(in *input) bool {
	return in.root("").get("specversion").present()
}

func decodeStructured(in *input, ev *Event) error {
	switch t := header(in.Header).mediaType("Content-Type"); {
	case !strings.HasPrefix(t, "application/cloudevents"): // unlabelled
	case t != "application/cloudevents" && t != "application/cloudevents+json":
		return unsupported(adviceJSONEvent, "header Content-Type: %s is not read", quote(t))
	}
	if in.bodyErr != nil {
		return in.bodyErr
	}
	root := in.root("")
	if root.object(); root.doc.err != nil {
		return root.doc.err
	}
	if err := readEnvelope(jsonAttributes{root}, ev); err != nil {
		return err
	}
	data, err := structuredData(root)
	if err != nil {
		return err
	}
	return readTyped(data, in.Time, ev)
}

// structuredData finds the data, which base64 may wrap.
func structuredData(root *node) (*node, error) {
	data, encoded := root.get("data"), root.get("data_base64")
	switch {
	case data.present() && encoded.present():
		return nil, errors.New("want one of data and data_base64, got both")
	case !encoded.present():
		data.required()
		return data, data.doc.err
	}
	s, ok := encoded.value.(string)
	if !ok {
		encoded.failWant("a string")
		return nil, encoded.doc.err
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, encoded.errorf("not base64: %w", err)
	}
	v, err := parseJSON(raw)
	if err != nil {
		return nil, encoded.errorf("%w", err)
	}
	return newDocument("data_base64", v), nil
}

func decodeBinary(in *input, ev *Event) error {
	h := header(in.Header)
	if err := readEnvelope(headerAttributes{h}, ev); err != nil {
		return err
	}
	if in.bodyErr != nil {
		return in.bodyErr
	}
	return readTyped(in.root("data"), in.Time, ev)
}

// attributes are a CloudEvent's, wherever they stand.
type attributes interface {
	get(name string) (value string, present bool, err error)
	where(name string) string
}

// readEnvelope reads the attributes. The identity comes first and does not
// depend on the others, so that a refused event has a receipt of its own.
func readEnvelope(a attributes, ev *Event) error {
	id, idErr := required(a, "id")
	source, sourceErr := required(a, "source")
	if idErr == nil && sourceErr == nil {
		ev.ID, ev.Source = id, source
	}
	if ev.TraceParent == "" {
		ev.readTrace(a.get)
	}
	version, err := required(a, "specversion")
	if err != nil {
		return err
	}
	if version != "1.0" {
		return unsupported(`set specversion to "1.0"`, "%s: %s is not read", a.where("specversion"), quote(version))
	}
	if idErr != nil {
		return idErr
	}
	if sourceErr != nil {
		return sourceErr
	}
	if err := readType(a, ev); err != nil {
		return err
	}
	if s, present, err := optional(a, "time"); err != nil {
		return err
	} else if present {
		if ev.Time, err = parseTime(s); err != nil {
			return fmt.Errorf("%s: %w", a.where("time"), err)
		}
	}
	s, present, err := optional(a, dataContentType)
	if err == nil && present && !isJSONType(mediaType(s)) {
		return unsupported("send the data as JSON", "%s: %s is not read", a.where(dataContentType), quote(s))
	}
	return err
}

func required(a attributes, name string) (string, error) {
	s, _, err := optional(a, name)
	if err == nil && s == "" {
		err = fmt.Errorf("%s: missing or empty", a.where(name))
	}
	return s, err
}

// optional reads an attribute and holds it to the rules of CloudEvents' String
// type, which knows no control characters.
func optional(a attributes, name string) (string, bool, error) {
	s, present, err := a.get(name)
	switch {
	case err != nil:
	case len(s) > maxAttributeBytes:
		err = fmt.Errorf("%d bytes: at most %d are read", len(s), maxAttributeBytes)
	case strings.ContainsFunc(s, unicode.IsControl):
		err = errors.New("contains a control character")
	case hasPlaceholder(s):
		err = errors.New("a template was not filled in: the text still holds ${…}")
	}
	if err != nil {
		return "", present, fmt.Errorf("%s: %w", a.where(name), err)
	}
	return s, present, nil
}

func isJSONType(t string) bool {
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}

// jsonAttributes are those of a structured event.
type jsonAttributes struct{ root *node }

func (a jsonAttributes) where(name string) string { return name }

func (a jsonAttributes) get(name string) (string, bool, error) {
	n := a.root.get(name)
	if !n.present() {
		return "", false, nil
	}
	s, ok := n.value.(string)
	if !ok {
		return "", true, fmt.Errorf("want a string, got %s", typeName(n.value))
	}
	return s, true, nil
}

// headerAttributes are those of a binary event.
type headerAttributes struct{ header header }

func (a headerAttributes) where(name string) string {
	if _, present, _ := a.header.get("ce-" + name); !present && name == dataContentType {
		return "header Content-Type"
	}
	return "header ce-" + name
}

func (a headerAttributes) get(name string) (string, bool, error) {
	s, present, err := a.header.get("ce-" + name)
	// The Go SDK sends the data's type under HTTP's name.
	if !present && name == dataContentType {
		s, present, err = a.header.get("Content-Type")
	}
	if err != nil || !present {
		return "", present, err
	}
	s, err = percentDecode(unquote(s))
	return s, true, err
}
