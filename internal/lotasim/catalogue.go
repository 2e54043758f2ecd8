package lotasim

import (
	"cmp"
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
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
// ListObjectsV2 without a delimiter, and HeadBucket. Its methods may be called
// while it serves.
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
	single map[string]item
	keys   []string // of single, sorted; nil: to be made anew
	ranges []keyRange
}

// item is one version of an object.
type item struct {
	size     int64
	version  uint64
	modified time.Time
	body     []byte // nil: generated
	deleted  bool   // hides an object of a range
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
		b = &catalogueBucket{single: map[string]item{}}
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
	c.writes++
	it.version = c.writes
	c.bucket(bucket).set(key, it)
	return etag(bucket, key, it.version)
}

// Delete removes an object, also one of a range. Without one it does nothing.
func (c *Catalogue) Delete(bucket, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.bucket(bucket)
	if b.inRange(key) {
		b.set(key, item{deleted: true})
		return
	}
	delete(b.single, key)
	b.keys = nil
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
	r, err := newKeyRange(format, n, item{size: size, version: c.writes, modified: c.opts.Now()})
	if err != nil {
		return err
	}
	b := c.bucket(bucket)
	b.ranges = append(b.ranges, r)
	return nil
}

// find returns the object that key names.
func (c *Catalogue) find(bucket, key string) (item, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	b := c.buckets[bucket]
	if b == nil {
		return item{}, false
	}
	return b.find(key)
}

func (b *catalogueBucket) find(key string) (item, bool) {
	if it, ok := b.single[key]; ok {
		return it, !it.deleted
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

// listed is an object with its key.
type listed struct {
	key string
	item
}

// list returns the first n objects whose keys start with prefix and come after
// after, in the order of their bytes.
func (c *Catalogue) list(bucket, prefix, after string, n int) []listed {
	c.mu.Lock() // the sorted keys may have to be made
	defer c.mu.Unlock()
	b := c.buckets[bucket]
	if b == nil {
		return nil
	}
	if b.keys == nil {
		b.keys = make([]string, 0, len(b.single))
		for k := range b.single {
			b.keys = append(b.keys, k)
		}
		slices.Sort(b.keys)
	}
	var out []listed
	for len(out) < n {
		key, ok := b.next(prefix, after)
		if !ok {
			break
		}
		if it, ok := b.find(key); ok {
			out = append(out, listed{key, it})
		}
		after = key
	}
	return out
}

// next is the smallest key with the prefix that comes after after.
func (b *catalogueBucket) next(prefix, after string) (string, bool) {
	from := max(prefix, after+"\x00") // the least string that is greater than after
	if after == "" {
		from = prefix
	}
	best, found := "", false
	consider := func(key string) {
		if strings.HasPrefix(key, prefix) && (!found || key < best) {
			best, found = key, true
		}
	}
	if i, _ := slices.BinarySearchFunc(b.keys, from, cmp.Compare[string]); i < len(b.keys) {
		consider(b.keys[i])
	}
	for _, r := range b.ranges {
		if key, ok := r.first(from); ok {
			consider(key)
		}
	}
	return best, found
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
