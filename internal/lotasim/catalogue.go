package lotasim

import (
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Catalogue is a store of objects that exist only by name, size and version: a
// backend for tests and benchmarks, read-only for its clients. Any key is
// taken as it is, any size costs nothing, and a range of millions of keys costs
// as little as one. Signatures are verified.
//
// The bytes of an object follow from its ETag and offset, except for those of
// PutBytes. It serves GetObject and HeadObject with one range and conditions,
// ListObjectsV2 without a delimiter, and HeadBucket; a version by its id in
// buckets that keep versions. Its methods may be called while it serves.
type Catalogue struct {
	opts CatalogueOptions

	mu      sync.RWMutex
	buckets map[string]*catalogueBucket
	writes  uint64 // makes each version's ETag new
}

// CatalogueOptions say who may read a Catalogue.
type CatalogueOptions struct {
	// Credentials are the keys that may sign requests.
	Credentials []Credential
	// Region is what HeadBucket tells.
	Region string
	// StrictRegion refuses signatures for another region than Region. What
	// CoreWeave does is not known.
	StrictRegion bool
	// BadSignatureAs400 answers a signature that doesn't match with 400 in place
	// of AWS's 403. Which one is CoreWeave's is not known.
	BadSignatureAs400 bool
	// Now is the clock for signatures and new objects; nil: time.Now.
	Now func() time.Time
}

// Credential is a key pair and what it may do.
type Credential struct {
	AccessKeyID     string
	SecretAccessKey string
	Buckets         []string // globs; empty: all. Others answer 403
	DenyGet         bool     // HeadObject and GetObject answer 403
	DenyList        bool     // lists answer 403, and a missing key 403 instead of 404, as AWS does
}

// catalogueBucket holds single objects, which hide those of the ranges.
type catalogueBucket struct {
	single    map[string]item
	keys      []string // of single, sorted; nil: to be made anew
	ranges    []keyRange
	versioned bool
	older     map[string][]item // former versions, the newest first
}

// item is one version of an object.
type item struct {
	size      int64
	version   uint64
	versionID string // "" when written while the bucket kept no versions
	modified  time.Time
	body      []byte // nil: generated
	archived  bool   // the class is STANDARD_IA
	deleted   bool   // a delete marker, or what hides an object of a range
}

// NewCatalogue returns one without buckets.
func NewCatalogue(o CatalogueOptions) *Catalogue {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Catalogue{opts: o, buckets: map[string]*catalogueBucket{}}
}

// Backends makes c both backends of a Sim.
func (c *Catalogue) Backends() Backends {
	return Backends{LOTA: c, Primary: c, HasBucket: c.HasBucket}
}

// CreateBucket makes a bucket that may stay empty.
func (c *Catalogue) CreateBucket(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bucket(name)
}

// HasBucket tells whether a bucket exists.
func (c *Catalogue) HasBucket(name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.buckets[name] != nil
}

// bucket returns the bucket, made when missing. The caller holds the lock.
func (c *Catalogue) bucket(name string) *catalogueBucket {
	b := c.buckets[name]
	if b == nil {
		b = &catalogueBucket{single: map[string]item{}, older: map[string][]item{}}
		c.buckets[name] = b
	}
	return b
}

// Put writes an object of size bytes, now, in a bucket that is made when
// missing. It returns the new ETag, without quotes; no two writes have the same.
func (c *Catalogue) Put(bucket, key string, size int64) string {
	return c.put(bucket, key, item{size: size, modified: c.opts.Now()})
}

// PutAt is Put with a time of the writing, which S3 cuts to whole seconds.
func (c *Catalogue) PutAt(bucket, key string, size int64, modified time.Time) string {
	return c.put(bucket, key, item{size: size, modified: modified})
}

// PutBytes is Put with real bytes, for an index or a manifest.
func (c *Catalogue) PutBytes(bucket, key string, body []byte) string {
	return c.put(bucket, key, item{size: int64(len(body)), modified: c.opts.Now(), body: slices.Clone(body)})
}

func (c *Catalogue) put(bucket, key string, it item) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(c.bucket(bucket), key, &it)
	return etag(bucket, key, it.version)
}

// write makes it the latest version of key. The caller holds the lock.
func (c *Catalogue) write(b *catalogueBucket, key string, it *item) {
	c.writes++
	it.version = c.writes
	if b.versioned {
		it.versionID = versionIDOf(it.version)
		if former, ok := b.latest(key); ok {
			b.older[key] = slices.Insert(b.older[key], 0, former)
		}
	}
	b.set(key, *it)
}

// Delete removes an object, also one of a range. Without one it does nothing. In
// a bucket that keeps versions it puts a delete marker before them, as S3 does.
func (c *Catalogue) Delete(bucket, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.bucket(bucket)
	marker := item{deleted: true, modified: c.opts.Now()}
	switch {
	case b.versioned:
		c.write(b, key, &marker)
	case b.inRange(key):
		b.set(key, marker)
	default:
		delete(b.single, key)
		b.keys = nil
	}
}

// Archive moves an object to the class STANDARD_IA, where it stays until it is
// written anew: it is the same version, and reading it changes nothing. False:
// there is no such object.
func (c *Catalogue) Archive(bucket, key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.bucket(bucket)
	it, ok := b.find(key)
	if ok {
		it.archived = true
		b.set(key, it)
	}
	return ok
}

func (b *catalogueBucket) set(key string, it item) {
	if _, ok := b.single[key]; !ok {
		b.keys = nil
	}
	b.single[key] = it
}

// AddRange adds n objects of size bytes each without storing them one by one.
// Format holds exactly one verb, %d with zeros to a width in which n numbers
// fit, as in "run/shard-%07d.pt"; numbers start at 0.
func (c *Catalogue) AddRange(bucket, format string, n int, size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	it := item{size: size, version: c.writes, modified: c.opts.Now()}
	b := c.bucket(bucket)
	if b.versioned {
		it.versionID = versionIDOf(it.version)
	}
	r, err := newKeyRange(format, n, it)
	if err != nil {
		return err
	}
	b.ranges = append(b.ranges, r)
	return nil
}

// find returns the object that key names.
func (b *catalogueBucket) find(key string) (item, bool) {
	it, ok := b.latest(key)
	return it, ok && !it.deleted
}

// latest is find, but also what says that the object is deleted.
func (b *catalogueBucket) latest(key string) (item, bool) {
	if it, ok := b.single[key]; ok {
		return it, true
	}
	for _, r := range b.ranges {
		if r.has(key) {
			return r.item, true
		}
	}
	return item{}, false
}

func (b *catalogueBucket) inRange(key string) bool {
	return slices.ContainsFunc(b.ranges, func(r keyRange) bool { return r.has(key) })
}

// etag is unique to one version of one object. Like S3's it is 32 hex digits,
// but no checksum of the content.
func etag(bucket, key string, version uint64) string {
	h := fnv.New128a()
	for _, s := range []string{bucket, key, strconv.FormatUint(version, 10)} {
		_, _ = h.Write([]byte(s))
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}
