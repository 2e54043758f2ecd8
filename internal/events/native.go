package events

import (
	"strings"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// FormatNative is a native event's data alone, as plain JSON.
const FormatNative Format = "native"

const adviceNative = `send {"uri":"s3://bucket/key"}, with a "/" at the end for a prefix; or "manifest" with the URI of a list; or "objects"`

// adviceWholeBucket is the hint where an event names a whole bucket.
const adviceWholeBucket = `only "prestage warm --whole-bucket", or a rule with whole_bucket, warms a whole bucket; name a prefix`

func isNative(in *input) bool {
	root := in.root("")
	return root.get("uri").present() || root.get("manifest").present() || root.get("objects").present()
}

func decodeNative(in *input, ev *Event) error {
	ev.Kind = in.Kind
	return readData(in.root(""), in.Time, ev)
}

// readData reads the native event's data. stored is when the stream stored the
// message.
func readData(data *node, stored time.Time, ev *Event) error {
	if data.object(); data.doc.err != nil {
		return data.doc.err
	}
	readTarget(data, ev)
	ev.Run = filledIn(data.get("run").label())
	ev.Step = data.get("step").whole()
	ev.HasStep = data.get("step").present()
	ev.Model = filledIn(data.get("model").label())
	ev.Version = filledIn(data.get("version").label())
	ev.Layout = filledIn(data.get("format"))
	ev.Complete = data.get("complete").flag()
	ev.TotalBytes = data.get("total_bytes").count()
	ev.TotalObjects = data.get("total_objects").count()

	rewarm := data.get("rewarm_before")
	ev.RewarmBefore = rewarm.timestamp()
	// A later time would make every delivery warm everything again.
	if ev.RewarmBefore.After(stored) {
		rewarm.fail("later than the event itself, which the stream stored at %s", stored.UTC().Format(time.RFC3339))
	}
	return data.doc.err
}

// readTarget reads the one of uri, manifest and objects that is there.
func readTarget(data *node, ev *Event) {
	var given []*node
	for _, name := range []string{"uri", "manifest", "objects"} {
		if n := data.get(name); n.present() {
			given = append(given, n)
		}
	}
	if len(given) != 1 {
		data.fail("want exactly one of uri, manifest and objects, got %d", len(given))
		return
	}
	switch target := given[0]; target.name {
	case "uri":
		if uri := target.lenientText(); OfMLflow(uri) && filledIn(target) != "" {
			ev.Artifact = Artifact{Registry: MLflow, URI: uri}
			return
		}
		ev.setTarget(readURI(target))
	case "manifest":
		ev.Manifest = readURI(target)
		if ev.Manifest.IsPrefix() {
			target.fail("names a prefix, want the object that holds the list")
		}
	case "objects":
		ev.Objects = readObjects(target, readBucket(data.get("bucket")))
	}
}

// setTarget makes ref what the event asks for: an object, or a prefix when it
// ends in "/".
func (ev *Event) setTarget(ref object.Ref) {
	if ref.IsPrefix() {
		ev.Prefix = ref
		return
	}
	ev.Objects = []object.Attrs{{Ref: ref, Size: object.UnknownSize}}
}

func readBucket(n *node) string {
	name := filledIn(n)
	if n.present() && n.doc.err == nil {
		if err := object.CheckBucket(name); err != nil {
			n.fail("%w", err)
		}
	}
	return name
}

// readObjects reads a list of objects; bucket is where bare keys are.
func readObjects(list *node, bucket string) []object.Attrs {
	items := list.items()
	objects := make([]object.Attrs, 0, len(items))
	for _, item := range items {
		objects = append(objects, readObject(item.object(), bucket))
		if list.doc.err != nil {
			return nil
		}
	}
	return latest(objects)
}

func readObject(item *node, bucket string) object.Attrs {
	uri, key := item.get("uri"), item.get("key")
	attrs := object.Attrs{Size: item.get("size").count()}
	if attrs.Size == 0 {
		attrs.Size = object.UnknownSize
	}
	attrs.ETag = object.TrimETag(filledIn(item.get("etag")))
	attrs.ID = filledIn(item.get("version_id"))
	switch {
	case uri.present() == key.present():
		item.fail("want exactly one of uri and key")
	case uri.present():
		attrs.Ref = readURI(uri)
		if attrs.IsPrefix() {
			uri.fail("names a prefix, which only the event's own uri may; a key that ends in / is given as key")
		}
	case bucket == "":
		key.fail("a bare key needs bucket beside the list of objects")
	default:
		attrs.Ref = object.Ref{Bucket: bucket, Key: filledIn(key)}
		if err := object.CheckKey(attrs.Key); err != nil {
			key.fail("%w", err)
		}
	}
	return attrs
}

func readURI(n *node) object.Ref {
	s := filledIn(n)
	if n.doc.err != nil {
		return object.Ref{}
	}
	ref, err := object.ParseURI(s)
	if err != nil {
		n.fail("%w", err)
	}
	return ref
}

// readSource is readURI for what registries call a source. One that is missing
// or is a URI of another scheme than S3's is the second result.
func readSource(n *node) (ref object.Ref, elsewhere string, inS3 bool) {
	s := filledIn(n)
	if n.doc.err != nil {
		return object.Ref{}, "", false
	}
	scheme, _, found := strings.Cut(strings.ToLower(s), ":")
	if s == "" || (found && scheme != "s3" && scheme != "cw") {
		return object.Ref{}, s, false
	}
	return readURI(n), "", true
}

// filledIn reads a string in which no template's ${NAME} was left over. A
// notification of a store may hold one, for the store knows the key; a person's
// template may not.
func filledIn(n *node) string {
	s := n.text()
	if hasPlaceholder(s) {
		n.fail("a template was not filled in: the text still holds ${…}")
	}
	return s
}

func hasPlaceholder(s string) bool {
	_, after, found := strings.Cut(s, "${")
	return found && strings.Contains(after, "}")
}

// latest leaves each key once: its greatest sequencer, else its last mention.
// It reuses list.
func latest(list []object.Attrs) []object.Attrs {
	at := make(map[object.Ref]int, len(list))
	kept := list[:0]
	for _, o := range list {
		i, seen := at[o.Ref]
		if !seen {
			at[o.Ref] = len(kept)
			kept = append(kept, o)
			continue
		}
		if order, ok := kept[i].Sequencer.Compare(o.Sequencer); !ok || order <= 0 {
			kept[i] = o
		}
	}
	return kept
}
