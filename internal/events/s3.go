package events

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// FormatS3 is an S3 event notification, of AWS and those who follow it (Ceph).
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
const FormatS3 Format = "s3"

const adviceS3 = "send the store's notification unchanged"

// testEvent is what S3 sends once when notifications are configured.
const testEvent = "s3:TestEvent"

// isCreated lists the events that tell of new bytes. MinIO's ObjectCreated:*
// has more, about tags, retention and legal holds.
func isCreated(eventName string) bool {
	switch eventName {
	case "ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload":
		return true
	}
	return false
}

func isS3(in *input) bool {
	_, ok := in.root("").get("Records").value.([]any)
	return ok
}

func isS3Test(in *input) bool { return in.root("").get("Event").is(testEvent) }

func decodeS3Test(_ *input, ev *Event) error {
	ev.Kind = KindObject
	ev.Skip, ev.Note = outcome.NotActionable, testEvent
	return nil
}

func decodeS3(in *input, ev *Event) error {
	return readRecords(in.root(""), unescapeKey, ev)
}

// unescapeKey undoes S3's form encoding, once: "+" is a space, "%2B" a plus.
func unescapeKey(_, written string) (string, error) {
	key, err := url.QueryUnescape(written)
	if err != nil {
		return "", fmt.Errorf("not escaped as S3 escapes keys: %w", err)
	}
	return key, nil
}

// readRecords reads every record that tells of new bytes; plainKey turns a key
// as written into the object's own. One record that cannot be read refuses the
// message: half of it would be forgotten otherwise.
func readRecords(root *node, plainKey func(bucket, written string) (string, error), ev *Event) error {
	ev.Kind = KindObject
	records := root.get("Records").items()
	var objects []object.Attrs
	var left leftOut
	for _, r := range records {
		name := readEventName(r)
		if root.doc.err != nil {
			return root.doc.err
		}
		if !isCreated(name) {
			left.add(name)
			continue
		}
		attrs := readRecord(r, plainKey)
		if root.doc.err != nil {
			return root.doc.err
		}
		if attrs.IsPrefix() && attrs.Size == object.UnknownSize {
			left.add(name + " of a folder marker")
			continue
		}
		if len(objects) == 0 {
			// No event is lost for the sake of its clock.
			ev.Time, _ = parseTime(r.get("eventTime").lenientText())
		}
		objects = append(objects, attrs)
	}
	if root.doc.err != nil {
		return root.doc.err
	}
	ev.Objects = latest(objects)
	ev.Note = left.note(len(records))
	if len(objects) == 0 {
		ev.Skip = outcome.NotActionable
	}
	return nil
}

// readEventName returns the name without the "s3:" of MinIO and Ceph.
func readEventName(r *node) string {
	r.object()
	r.get("s3").required().object() // other AWS services send Records too
	return strings.TrimPrefix(r.get("eventName").required().text(), "s3:")
}

func readRecord(r *node, plainKey func(bucket, written string) (string, error)) object.Attrs {
	version := r.get("eventVersion")
	// A minor version adds fields; a major one may change what they mean.
	if major, _, _ := strings.Cut(version.text(), "."); version.present() && major != "2" {
		r.doc.fail(unsupported("configure notifications of event version 2",
			"%s: %s is not read", version.path(), quote(version.lenientText())))
	}
	bucket, o := r.get("s3").get("bucket").get("name"), r.get("s3").get("object")
	attrs := object.Attrs{Ref: object.Ref{Bucket: bucket.required().text()}, Size: notifiedSize(o.get("size"))}
	attrs.ETag = object.TrimETag(o.get("eTag").text())
	attrs.ID = o.get("versionId").text()
	// A sequencer that is no hex number orders nothing; the event still counts.
	attrs.Sequencer, _ = object.NewSequencer(r.get("eventSource").text(), o.get("sequencer").lenientText())

	if err := object.CheckBucket(attrs.Bucket); err != nil {
		bucket.fail("%w", err)
	}
	written := o.get("key")
	key, err := plainKey(attrs.Bucket, written.required().text())
	if err == nil {
		err = object.CheckKey(key)
	}
	if err != nil {
		written.fail("%w", err)
	}
	attrs.Key = key
	return attrs
}

// notifiedSize reads a size, which Ceph may send as a string. 0 is unknown.
func notifiedSize(n *node) int64 {
	size := int64(0)
	if s, ok := n.value.(string); ok {
		i, err := strconv.ParseInt(s, 10, 64)
		if err != nil || i < 0 {
			n.fail("%s is no number of bytes", quote(s))
		}
		size = i
	} else {
		size = n.count()
	}
	if size == 0 {
		return object.UnknownSize
	}
	return size
}

// leftOut counts the records that ask for nothing.
type leftOut struct {
	count int
	first string
}

func (l *leftOut) add(what string) {
	if l.count++; l.count == 1 {
		l.first = what
	}
}

func (l *leftOut) note(records int) string {
	if l.count == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d records left out, the first is %s", l.count, records, quote(l.first))
}
