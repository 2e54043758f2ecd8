package events

import (
	"strings"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// FormatEventBridge is what Amazon EventBridge makes of an S3 notification. Its
// keys are plain, and it has an id of its own.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
const FormatEventBridge Format = "eventbridge"

const adviceEventBridge = "let the rule send S3's events as they are, without an input transformer"

const (
	sourceEventBridge = "aws.s3" // of the event
	sourceAWS         = "aws:s3" // the eventSource that the same store's records have
)

func isEventBridge(in *input) bool {
	root := in.root("")
	return root.get("detail-type").present() && root.get("source").is(sourceEventBridge)
}

func decodeEventBridge(in *input, ev *Event) error {
	ev.Kind = KindObject
	root := in.root("")
	id, _, err := optional(jsonAttributes{root}, "id")
	if err != nil {
		return err
	}
	if id != "" {
		ev.ID, ev.Source = id, sourceEventBridge
	}
	if name := root.get("replay-name"); name.present() {
		ev.Note = "replayed from an archive as " + quote(name.lenientText())
	}
	what := root.get("detail-type").text()
	if root.doc.err != nil {
		return root.doc.err
	}
	if what == "Object Deleted" {
		return decodeDeleted(root, ev)
	}
	if what != "Object Created" {
		leaveOut(ev, quote(what))
		return nil
	}
	readTime(root.get("time"), ev)
	attrs := readDetail(root.get("detail").required().object())
	if root.doc.err != nil {
		return root.doc.err
	}
	if isFolderMarker(attrs) {
		leaveOut(ev, "a folder marker")
		return nil
	}
	ev.Objects = []object.Attrs{attrs}
	return nil
}

// decodeDeleted reads a removal, which matters only if it may complete a
// checkpoint.
func decodeDeleted(root *node, ev *Event) error {
	attrs := readDetail(root.get("detail"))
	if root.doc.err != nil || root.get("detail").get("reason").is("Lifecycle Expiration") || len(layout.Removals(attrs.Key, "")) == 0 {
		leaveOut(ev, quote("Object Deleted"))
		return nil
	}
	readTime(root.get("time"), ev)
	ev.Removed = []object.Ref{attrs.Ref}
	return nil
}

// leaveOut makes an event not actionable and says why before what Note holds.
func leaveOut(ev *Event, why string) {
	ev.Skip = outcome.NotActionable
	if ev.Note != "" {
		why += ", " + ev.Note
	}
	ev.Note = why
}

// readDetail reads the object; the reason beside it (PutObject, CopyObject) is
// for people.
func readDetail(detail *node) object.Attrs {
	version := detail.get("event-version")
	if major, _, _ := strings.Cut(version.text(), "."); version.present() && major != "1" {
		detail.doc.fail(unsupported("send a native event instead",
			"%s: %s is not read", version.path(), quote(version.lenientText())))
	}
	o := detail.get("object")
	attrs := object.Attrs{Size: notifiedSize(o.get("size"))}
	attrs.Ref = readRef(detail.get("bucket").get("name"), o.get("key"), func(_, written string) (string, error) {
		return written, nil
	})
	attrs.ETag = object.TrimETag(o.get("etag").text())
	attrs.ID = o.get("version-id").text()
	attrs.Sequencer = readSequencer(sourceAWS, o.get("sequencer"))
	return attrs
}
