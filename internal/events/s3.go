package events

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// FormatS3 is an S3 event notification, of AWS and those who follow it.
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

// isRemoved lists the events that tell of a removal by a program. One by a
// lifecycle rule has another name, and completes nothing.
func isRemoved(eventName string) bool {
	return eventName == "ObjectRemoved:Delete" || eventName == "ObjectRemoved:DeleteMarkerCreated"
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
	return readRecords(in.root("").get("Records"), storeKey, ev)
}

// keyReader returns an object's key from how a record of the event source
// writes it.
type keyReader func(source, bucket, written string) (string, error)

// storeKey goes by the event source alone.
func storeKey(source, _, written string) (string, error) {
	if source == sourceCeph {
		return written, nil
	}
	return unescapeKey(written)
}

// unescapeKey undoes S3's form encoding, once: "+" is a space, "%2B" a plus.
func unescapeKey(written string) (string, error) {
	key, err := url.QueryUnescape(written)
	if err != nil {
		return "", fmt.Errorf("not escaped as S3 escapes keys: %w", err)
	}
	return key, nil
}

// readRecords reads every record that tells of new bytes. One that cannot be
// read refuses the message: half of it would be forgotten otherwise.
func readRecords(list *node, plainKey keyReader, ev *Event) error {
	ev.Kind = KindObject
	records := recordsOf(list)
	var objects []object.Attrs
	var left leftOut
	for _, r := range records {
		name := readEventName(r)
		if list.doc.err != nil {
			return list.doc.err
		}
		if isRemoved(name) && ev.noteRemoval(r, plainKey) {
			continue
		}
		if !isCreated(name) {
			left.add(name)
			continue
		}
		attrs := readRecord(r, plainKey)
		if list.doc.err != nil {
			return list.doc.err
		}
		if isFolderMarker(attrs) {
			left.add(name + " of a folder marker")
			continue
		}
		if isCephUploadBegun(r, name, attrs) {
			left.add(name + " of an upload that has only begun")
			continue
		}
		if len(objects) == 0 {
			readTime(r.get("eventTime"), ev)
		}
		objects = append(objects, attrs)
	}
	if list.doc.err != nil {
		return list.doc.err
	}
	ev.Objects = latest(objects)
	ev.Note = left.note(len(records))
	if len(objects)+len(ev.Removed) == 0 {
		ev.Skip = outcome.NotActionable
	}
	return nil
}

// noteRemoval notes what a record tells is gone, if that may complete a
// checkpoint. One that cannot be read is like all other removals: nothing is to
// be done.
func (ev *Event) noteRemoval(r *node, plainKey keyReader) bool {
	attrs := readRecord(r, plainKey)
	if r.doc.err != nil {
		r.doc.err = nil
		return false
	}
	if len(layout.Removals(attrs.Key, "")) == 0 {
		return false
	}
	if len(ev.Removed) == 0 {
		readTime(r.get("eventTime"), ev)
	}
	if !slices.Contains(ev.Removed, attrs.Ref) {
		ev.Removed = append(ev.Removed, attrs.Ref)
	}
	return true
}

// recordsOf returns the records of a list, or the lone one that stands in its
// place: Ceph's script for NATS and the CloudEvents adapters send it so.
func recordsOf(n *node) []*node {
	if _, lone := n.value.(jsonObject); lone {
		return []*node{n}
	}
	return n.items()
}

// isFolderMarker finds the empty objects by which people make "folders".
func isFolderMarker(o object.Attrs) bool {
	return o.IsPrefix() && o.Size == object.UnknownSize
}

// readTime reads the producer's time where there is one that can be read: no
// event is lost for the sake of its clock.
func readTime(n *node, ev *Event) {
	if t, err := parseTime(n.lenientText()); err == nil {
		ev.Time = t
	}
}

// readEventName returns the name without the "s3:" of MinIO and Ceph.
func readEventName(r *node) string {
	r.object()
	r.get("s3").required().object() // other AWS services send Records too
	return strings.TrimPrefix(r.get("eventName").required().text(), "s3:")
}

func readRecord(r *node, plainKey keyReader) object.Attrs {
	version := r.get("eventVersion")
	// A minor version adds fields; a major one may change what they mean.
	if major, _, _ := strings.Cut(version.text(), "."); version.present() && major != "2" {
		r.doc.fail(unsupported("configure notifications of event version 2",
			"%s: %s is not read", version.path(), quote(version.lenientText())))
	}
	source := r.get("eventSource").text()
	bucket, o := r.get("s3").get("bucket").get("name"), r.get("s3").get("object")
	attrs := object.Attrs{Size: notifiedSize(o.get("size"))}
	attrs.Ref = readRef(bucket, o.get("key"), func(bucket, written string) (string, error) {
		return plainKey(source, bucket, written)
	})
	etag := o.get("eTag")
	if !etag.present() {
		etag = o.get("etag") // an older Ceph's spelling
	}
	attrs.ETag = object.TrimETag(etag.text())
	attrs.ID = o.get("versionId").text()
	if source != sourceCeph {
		attrs.Sequencer = readSequencer(source, o.get("sequencer"))
	}
	return attrs
}

// readRef reads a bucket's name and a key, which plainKey un-escapes.
func readRef(bucket, key *node, plainKey func(bucket, written string) (string, error)) object.Ref {
	ref := object.Ref{Bucket: bucket.required().text()}
	if err := object.CheckBucket(ref.Bucket); err != nil {
		bucket.fail("%w", err)
	}
	plain, err := plainKey(ref.Bucket, key.required().text())
	if err == nil {
		err = object.CheckKey(plain)
	}
	if err != nil {
		key.fail("%w", err)
	}
	ref.Key = plain
	return ref
}

// readSequencer reads a sequencer of the event source. One that is no hex
// number orders nothing; the event still counts.
func readSequencer(source string, n *node) object.Sequencer {
	seq, err := object.NewSequencer(source, n.lenientText())
	if err != nil {
		return object.Sequencer{}
	}
	return seq
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
