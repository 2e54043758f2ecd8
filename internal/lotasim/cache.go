package lotasim

import (
	"container/list"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// Filled says what a request did to the cache.
type Filled string

// What a request did to the cache. LOTA tells none of it.
const (
	FillNone      Filled = "none"      // nothing: plain HEAD, small object, primary listener, failure
	FillStarted   Filled = "started"   // a fill of this version began
	FillHit       Filled = "hit"       // this version was there
	FillCoalesced Filled = "coalesced" // a fill of this version was under way
	FillDropped   Filled = "dropped"   // answered like a fill, but none will happen
)

// name is what the cache knows an object by. In a bucket without versioning the
// version id is "", and an overwrite shows only in the ETag.
type name struct {
	object.Ref
	versionID string
}

// version is one version of an object as a backend's answer describes it.
type version struct {
	id       string // "" where the bucket has no versions
	etag     string // without quotes
	size     int64
	modified time.Time
	archived bool // the class is STANDARD_IA
}

// cache is what is warm and what is becoming so, in one LRU pool for all nodes.
type cache struct {
	mu       sync.Mutex
	capacity int64
	ttl      time.Duration // 0: none
	refuses  bool          // when full, instead of evicting
	node     func(ref object.Ref, etag string) int
	used     int64
	recent   list.List // of *entry that are cached, most recently used first
	entries  map[name]*entry
	latest   map[object.Ref]string // version id that was last asked for
	evicted  int64
}

// entry is what is known of an object that was ever accessed.
type entry struct {
	name     name
	cached   *list.Element // nil: cold
	version  version       // the cached one
	node     int           // that holds it; allNodes: each a part
	filled   time.Time
	filling  *fill // the newest fill under way
	fills    int64 // started ever
	drawn    uint64
	heads    int64 // ranged HEADs that succeeded
	modified int64 // Unix seconds, as last seen
	accessed int64 // Unix seconds, 0: never
	archived bool  // as last seen
}

// fill is one transfer of a whole object into the cache.
type fill struct {
	entry   *entry
	version version
	stale   bool          // the object was rewritten meanwhile
	flows   chan struct{} // closed when the bytes start to come
	since   time.Time     // when that was; read after flows
	done    chan struct{} // closed at the end, whatever the end
}

func (c *cache) entry(n name) *entry {
	e := c.entries[n]
	if e == nil {
		e = &entry{name: n}
		c.entries[n] = e
	}
	c.expire(e)
	return e
}

// expire makes e cold when its time is over.
func (c *cache) expire(e *entry) {
	if c.ttl > 0 && e.cached != nil && time.Since(e.filled) >= c.ttl {
		c.drop(e)
	}
}

// expireAll does that to every object.
func (c *cache) expireAll() {
	if c.ttl == 0 {
		return
	}
	for _, e := range c.all() {
		c.expire(e)
	}
}

// all is what is cached, most recently used first.
func (c *cache) all() []*entry {
	all := make([]*entry, 0, c.recent.Len())
	for el := c.recent.Front(); el != nil; el = el.Next() {
		if e, ok := el.Value.(*entry); ok {
			all = append(all, e)
		}
	}
	return all
}

// state says what an access to version v finds, without a change.
func (e *entry) state(v version) Filled {
	switch {
	case e.cached != nil && e.version.etag == v.etag:
		return FillHit
	case e.filling != nil && e.filling.version.etag == v.etag:
		return FillCoalesced
	}
	return FillNone
}

// holds tells whether version v of n is cached.
func (c *cache) holds(n name, v version) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entry(n).state(v) == FillHit
}

// accessed notes an access for the tier and counts a ranged HEAD.
func (c *cache) accessed(n name, v version, now time.Time, rangedHead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.described(n, v)
	e.accessed = now.Unix()
	if rangedHead {
		e.heads++
	}
}

// seen notes what a plain HEAD tells of an object; that is no access.
func (c *cache) seen(n name, v version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.described(n, v)
}

// described is the entry of a version that was asked for and answered.
func (c *cache) described(n name, v version) *entry {
	e := c.entry(n)
	c.latest[n.Ref] = n.versionID
	e.archived = v.archived
	if !v.modified.IsZero() {
		e.modified = v.modified.Unix()
	}
	return e
}

// put makes f's version the cached one, unless it has become stale or finds no
// room.
func (c *cache) put(f *fill) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := f.entry
	if e.filling == f {
		e.filling = nil
	}
	if f.stale {
		return false
	}
	c.drop(e)
	if c.refuses {
		c.expireAll()
		if c.used+f.version.size > c.capacity {
			return false
		}
	}
	for c.used+f.version.size > c.capacity {
		oldest, ok := c.recent.Back().Value.(*entry)
		if !ok {
			return false
		}
		c.drop(oldest)
		c.evicted++
	}
	e.version, e.filled = f.version, time.Now()
	e.node = c.node(e.name.Ref, e.version.etag)
	e.cached = c.recent.PushFront(e)
	c.used += e.version.size
	return true
}

// drop makes e cold.
func (c *cache) drop(e *entry) {
	if e.cached == nil {
		return
	}
	c.recent.Remove(e.cached)
	c.used -= e.version.size
	e.cached, e.version = nil, version{}
}

// abandon ends f without a result.
func (c *cache) abandon(f *fill) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.entry.filling == f {
		f.entry.filling = nil
	}
}

// invalidate forgets an object that was rewritten or deleted.
func (c *cache) invalidate(n name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[n]
	if e == nil {
		return
	}
	c.drop(e)
	e.supersede()
}

// supersede makes the fill under way, if any, one that leads to nothing.
func (e *entry) supersede() {
	if e.filling != nil {
		e.filling.stale = true
		e.filling = nil
	}
}
