// Package object holds the values that name an object of an S3 store and one
// version of it. It is a leaf: it knows no protocol, no event and no client.
//
// What is in a key? Any UTF-8 text of 1 to 1,024 bytes without NUL. A key is a
// name, not a path: "a/../b", "a//b" and " " are three legal keys and are never
// cleaned. A key in this program is always the plain one; whoever reads an
// escaped form (S3 notifications escape as HTML forms do) un-escapes it once,
// where it is read.
//
// What is in a URI? "s3://bucket/key", where everything after the first slash
// is the key, "?", "#" and "%" included, exactly as the AWS CLI reads it.
// "cw://" means the same. A URI that ends in "/" names a prefix.
//
// What is in a version? The ETag without its quotes; the version id where the
// bucket is versioned; Last-Modified, cut to whole seconds because that is all
// that an HTTP header carries; and the sequencer of the notification, which
// compares only within one event source.
package object
