package dedupe

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is the name of the KV bucket that holds the ledgers of all clusters.
const Bucket = "prestage_objects"

// maxBucketBytes is room for about a million and a half records: a stored one
// takes some 700 bytes on disk, and about 0.55 kB of the server's memory.
const maxBucketBytes = 1 << 30

// BucketConfig is what Bucket is created with when it is missing. ttl only
// cleans up, as records that are too old to count are told by their own time;
// replicas is that of the stream below. A full bucket refuses new records rather
// than drop old ones, as every KV bucket does.
func BucketConfig(ttl time.Duration, replicas int) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:       Bucket,
		Description:  "prestage: which version of which object is warm",
		MaxValueSize: MaxValueBytes,
		History:      1,
		TTL:          ttl,
		MaxBytes:     maxBucketBytes,
		Storage:      jetstream.FileStorage,
		Replicas:     replicas,
	}
}
