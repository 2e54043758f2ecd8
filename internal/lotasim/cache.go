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

// version is one version of an object as a backend's answer describes it.
type version struct {
	etag     string // without quotes
	size     int64
	modified time.Time
}

// cache is what is warm and what is becoming so: one LRU pool for all nodes.
type cache struct {
	mu       sync.Mutex
	capacity int64
	used     int64
	recent   list.List // of *entry that are cached, most recently used first
	entries  map[object.Ref]*entry
	evicted  int64
}

// entry is what is known of an object that was ever accessed.
type entry struct {
	ref      object.Ref
	cached   *list.Element // nil: cold
	etag     string        // of the cached version
	size     int64
	filling  *fill // the newest fill under way
	fills    int64 // started ever
	drawn    uint64
	heads    int64 // ranged HEADs that succeeded
	modified int64 // Unix seconds, as last seen
	accessed int64 // Unix seconds, 0: never
}

// fill is one transfer of a whole object into the cache.
type fill struct {
	entry   *entry
	version version
	stale   bool          // the object was rewritten meanwhile
	done    chan struct{} // closed at the end, whatever the end
}

func newCache(capacity int64) *cache {
	return &cache{capacity: capacity, entries: map[object.Ref]*entry{}}
}

func (c *cache) entry(ref object.Ref) *entry {
	e := c.entries[ref]
	if e == nil {
		e = &entry{ref: ref}
		c.entries[ref] = e
	}
	return e
}

// state says what an access to version v finds, without a change.
func (e *entry) state(v version) Filled {
	switch {
	case e.cached != nil && e.etag == v.etag:
		return FillHit
	case e.filling != nil && e.filling.version.etag == v.etag:
		return FillCoalesced
	}
	return FillNone
}

// accessed notes an access for the tier and counts a ranged HEAD.
func (c *cache) accessed(ref object.Ref, v version, now time.Time, rangedHead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(ref)
	e.accessed = now.Unix()
	if !v.modified.IsZero() {
		e.modified = v.modified.Unix()
	}
	if rangedHead {
		e.heads++
	}
}

// seen notes what a plain HEAD tells of an object; that is no access.
func (c *cache) seen(ref object.Ref, v version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entry(ref); !v.modified.IsZero() {
		e.modified = v.modified.Unix()
	}
}

// put makes f's version the cached one, unless it has become stale.
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
	for c.used+f.version.size > c.capacity {
		oldest, ok := c.recent.Back().Value.(*entry)
		if !ok {
			return false
		}
		c.drop(oldest)
		c.evicted++
	}
	e.etag, e.size = f.version.etag, f.version.size
	e.cached = c.recent.PushFront(e)
	c.used += e.size
	return true
}

// drop makes e cold.
func (c *cache) drop(e *entry) {
	if e.cached == nil {
		return
	}
	c.recent.Remove(e.cached)
	c.used -= e.size
	e.cached, e.etag, e.size = nil, "", 0
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
func (c *cache) invalidate(ref object.Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[ref]
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
