package events

import (
	"fmt"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/object"
)

const (
	typeCheckpoint = "ai.checkpoint.written.v1"
	typeModel      = "ai.model.published.v1"

	adviceTypes = "the accepted types are " + typeCheckpoint + " and " + typeModel
)

// readType reads what an event tells of.
func readType(a attributes, ev *Event) error {
	typ, err := required(a, "type")
	if err != nil {
		return err
	}
	switch {
	case typ == typeCheckpoint:
		ev.Kind = KindCheckpoint
	case typ == typeModel:
		ev.Kind = KindModel
	case isRecordType(typ):
		ev.Kind = KindObject
	default:
		return unsupported(adviceForeign(a), "%s: %s is not known", a.where("type"), quote(typ))
	}
	return nil
}

// readTyped reads the data of an event whose type readType has read.
func readTyped(data *node, stored time.Time, ev *Event) error {
	if ev.Kind == KindObject {
		return readAdapted(data, ev)
	}
	return readData(data, stored, ev)
}

// isRecordType finds the types of the CloudEvents adapter for S3, "s3." and the
// record's eventName after the prefix, and those of Ceph, which leaves out "s3.".
// https://github.com/cloudevents/spec/blob/main/cloudevents/adapters/aws-s3.md
func isRecordType(typ string) bool {
	name, ok := strings.CutPrefix(typ, "com.amazonaws.")
	return ok && (strings.HasPrefix(name, "s3.") || strings.HasPrefix(name, "s3:Object") || strings.HasPrefix(name, "Object"))
}

// readAdapted reads the record of a store's notification, or the whole one. Its
// eventName decides, not the type. The event's subject repeats the key, escaped
// or not, and is not read.
func readAdapted(data *node, ev *Event) error {
	if data.object(); data.doc.err != nil {
		return data.doc.err
	}
	list := data
	if records := data.get("Records"); records.present() {
		list = records
	}
	if err := readRecords(list, storeKey, ev); err != nil {
		return advised(err, adviceS3)
	}
	return nil
}

// maxAdvisedBytes bounds the URI that an advice repeats.
const maxAdvisedBytes = 256

// adviceForeign says what to send instead of an event of a foreign type. An
// object that its subject or source names is repeated where that is safe: a
// query could be a presigned request's.
func adviceForeign(a attributes) string {
	for _, name := range []string{"subject", "source"} {
		s, _, err := optional(a, name)
		if err != nil || len(s) > maxAdvisedBytes || strings.Contains(s, "?") {
			continue
		}
		if ref, err := object.ParseURI(s); err == nil && ref.Key != "" {
			return fmt.Sprintf("send a native event with the data {%q:%q}; %s", "uri", ref, adviceTypes)
		}
	}
	return "send a native event that names the object by its s3:// URI; " + adviceTypes
}
