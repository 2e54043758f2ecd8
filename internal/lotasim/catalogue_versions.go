package lotasim

import (
	"fmt"
	"net/http"
)

// The storage classes of CoreWeave's store.
const (
	classStandard = "STANDARD"
	classArchive  = "STANDARD_IA"
)

func (it item) class() string {
	if it.archived {
		return classArchive
	}
	return classStandard
}

// ObjectVersion is one version of an object in a bucket that keeps versions.
type ObjectVersion struct {
	VersionID    string // "null" for what was there before EnableVersioning
	ETag         string // without quotes; "" for a delete marker
	Size         int64
	DeleteMarker bool
}

// EnableVersioning makes a bucket keep versions from now on. It is made when
// missing.
func (c *Catalogue) EnableVersioning(bucket string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bucket(bucket).versioned = true
}

// Versions lists the versions of an object, the newest first. Without versioning
// it is one at most.
func (c *Catalogue) Versions(bucket, key string) []ObjectVersion {
	c.mu.RLock()
	defer c.mu.RUnlock()
	b := c.buckets[bucket]
	if b == nil {
		return nil
	}
	var out []ObjectVersion
	for _, it := range b.versions(key) {
		v := ObjectVersion{VersionID: it.shownID(), Size: it.size, DeleteMarker: it.deleted}
		if !it.deleted {
			v.ETag = etag(bucket, key, it.version)
		}
		out = append(out, v)
	}
	return out
}

// versions are all of key, the newest first.
func (b *catalogueBucket) versions(key string) []item {
	latest, ok := b.latest(key)
	if !ok || (latest.deleted && !b.versioned) {
		return nil
	}
	return append([]item{latest}, b.older[key]...)
}

// shownID is an item's version id as S3 spells it.
func (it item) shownID() string {
	if it.versionID == "" {
		return "null"
	}
	return it.versionID
}

// versionIDOf makes a version id of the number of a write.
func versionIDOf(write uint64) string { return fmt.Sprintf("%032x", mix(write)) }

// requested finds the object that a request names, by ?versionId or the latest,
// and says in the answer's header which version it is. Delete markers are
// answered as AWS answers them: 404 when they are the latest, 405 by their id.
func (c *Catalogue) requested(w http.ResponseWriter, r *http.Request, bucket, key string) (item, *s3Error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	b := c.buckets[bucket]
	if b == nil {
		return item{}, noSuchKey()
	}
	id := r.URL.Query().Get("versionId")
	for _, it := range b.versions(key) {
		if id != "" && it.shownID() != id {
			continue
		}
		if b.versioned {
			w.Header().Set("X-Amz-Version-Id", it.shownID())
		}
		switch {
		case it.deleted && id != "":
			w.Header().Set("X-Amz-Delete-Marker", "true")
			w.Header().Set("Allow", http.MethodDelete)
			return item{}, &s3Error{
				Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed",
				Message: "The specified method is not allowed against this resource.",
			}
		case it.deleted:
			w.Header().Set("X-Amz-Delete-Marker", "true")
			return item{}, noSuchKey()
		}
		return it, nil
	}
	if id != "" {
		return item{}, &s3Error{Status: http.StatusNotFound, Code: "NoSuchVersion", Message: "The specified version does not exist."}
	}
	return item{}, noSuchKey()
}

func noSuchKey() *s3Error {
	return &s3Error{Status: http.StatusNotFound, Code: "NoSuchKey", Message: "The specified key does not exist."}
}
