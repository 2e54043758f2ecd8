package events

import "github.com/prestage/prestage/internal/object"

// FormatCeph is an S3 notification of Ceph's RADOS Gateway, from its bucket
// notifications or from its Lua script for NATS, which puts one record in the
// place of the list. What differs from S3:
//
//   - the key is written as it is, not escaped;
//   - the sequencer is the memory of two little-endian words, or whole seconds
//     in the script: its digits order nothing, and it is not read.
//
// https://docs.ceph.com/en/latest/radosgw/notifications/
const FormatCeph Format = "ceph"

// sourceCeph is the eventSource of every record that Ceph writes.
const sourceCeph = "ceph:s3"

// isCeph goes by the first record. Each is read by its own eventSource.
func isCeph(in *input) bool {
	records := in.root("").get("Records").value
	if list, ok := records.([]any); ok && len(list) > 0 {
		records = list[0]
	}
	return newDocument("", records).get("eventSource").is(sourceCeph)
}

// isCephUploadBegun finds the notice of a multipart upload's beginning, which
// Ceph sends under the name of a finished POST but has no bytes to tell of.
func isCephUploadBegun(r *node, eventName string, o object.Attrs) bool {
	return r.get("eventSource").is(sourceCeph) && eventName == "ObjectCreated:Post" &&
		o.ETag == "" && o.Size == object.UnknownSize
}
