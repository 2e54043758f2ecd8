package lotasim

import (
	"time"

	"github.com/prestage/prestage/internal/object"
)

// Truth is what the emulator knows of one object and no client of LOTA could.
type Truth struct {
	Bucket      string    `json:"bucket"`
	Key         string    `json:"key"`
	VersionID   string    `json:"version_id"`   // "" where the bucket has no versions
	Cached      bool      `json:"cached"`       // the whole object, in the version of ETag
	ETag        string    `json:"etag"`         // of the cached version, without quotes
	Bytes       int64     `json:"bytes"`        // of the cached version
	Filling     bool      `json:"filling"`      // a fill is under way
	Fills       int64     `json:"fills"`        // ever started
	RangedHeads int64     `json:"ranged_heads"` // bytes=0-0 that succeeded, on either listener
	Tier        string    `json:"tier"`         // hot, warm, cold, or "": never seen, or in STANDARD_IA, which has no tiers
	Accessed    time.Time `json:"accessed"`     // last counted access, whole seconds, zero: none
}

// The documented ages, since the last access, at which an object's tier changes.
const (
	warmAfter = 7 * 24 * time.Hour
	coldAfter = 30 * 24 * time.Hour
)

// Truth tells what is known of an object, in a bucket with versions of the one
// that was last asked for.
func (s *Sim) Truth(bucket, key string) Truth {
	ref := object.Ref{Bucket: bucket, Key: key}
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	return s.cache.truth(name{ref, s.cache.latest[ref]})
}

// TruthOf tells what is known of one version of an object.
func (s *Sim) TruthOf(bucket, key, versionID string) Truth {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	return s.cache.truth(name{object.Ref{Bucket: bucket, Key: key}, versionID})
}

func (c *cache) truth(n name) Truth {
	e := c.entries[n]
	if e == nil {
		return Truth{Bucket: n.Bucket, Key: n.Key, VersionID: n.versionID}
	}
	c.expire(e)
	return e.truth(time.Now())
}

// Objects lists everything that is cached, most recently used first.
func (s *Sim) Objects() []Truth {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	s.cache.expireAll()
	now := time.Now()
	all := make([]Truth, 0, s.cache.recent.Len())
	for _, e := range s.cache.all() {
		all = append(all, e.truth(now))
	}
	return all
}

func (e *entry) truth(now time.Time) Truth {
	t := Truth{
		Bucket: e.name.Bucket, Key: e.name.Key, VersionID: e.name.versionID,
		Cached: e.cached != nil, ETag: e.version.etag, Bytes: e.version.size,
		Filling: e.filling != nil, Fills: e.fills, RangedHeads: e.heads,
		Tier: e.tier(now),
	}
	if e.accessed != 0 {
		t.Accessed = time.Unix(e.accessed, 0).UTC()
	}
	return t
}

// tier follows the last access; writing an object is one.
func (e *entry) tier(now time.Time) string {
	last := max(e.accessed, e.modified)
	if last == 0 || e.archived {
		return ""
	}
	switch age := now.Sub(time.Unix(last, 0)); {
	case age >= coldAfter:
		return "cold"
	case age >= warmAfter:
		return "warm"
	}
	return "hot"
}
