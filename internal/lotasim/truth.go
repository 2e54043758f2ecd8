package lotasim

import (
	"time"

	"github.com/prestage/prestage/internal/object"
)

// Truth is what the emulator knows of one object and no client of LOTA could.
type Truth struct {
	Bucket      string    `json:"bucket"`
	Key         string    `json:"key"`
	Cached      bool      `json:"cached"`       // the whole object, in the version of ETag
	ETag        string    `json:"etag"`         // of the cached version, without quotes
	Bytes       int64     `json:"bytes"`        // of the cached version
	Filling     bool      `json:"filling"`      // a fill is under way
	Fills       int64     `json:"fills"`        // ever started
	RangedHeads int64     `json:"ranged_heads"` // bytes=0-0 that succeeded, on either listener
	Tier        string    `json:"tier"`         // hot, warm, cold, or "" when the object was never seen
	Accessed    time.Time `json:"accessed"`     // last counted access, whole seconds, zero: none
}

// The documented ages, since the last access, at which an object's tier changes.
const (
	warmAfter = 7 * 24 * time.Hour
	coldAfter = 30 * 24 * time.Hour
)

// Truth tells what is known of an object.
func (s *Sim) Truth(bucket, key string) Truth {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	e := s.cache.entries[object.Ref{Bucket: bucket, Key: key}]
	if e == nil {
		return Truth{Bucket: bucket, Key: key}
	}
	return e.truth(time.Now())
}

// Objects lists everything that is cached, most recently used first.
func (s *Sim) Objects() []Truth {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	now := time.Now()
	all := make([]Truth, 0, s.cache.recent.Len())
	for el := s.cache.recent.Front(); el != nil; el = el.Next() {
		if e, ok := el.Value.(*entry); ok {
			all = append(all, e.truth(now))
		}
	}
	return all
}

func (e *entry) truth(now time.Time) Truth {
	t := Truth{
		Bucket: e.ref.Bucket, Key: e.ref.Key,
		Cached: e.cached != nil, ETag: e.etag, Bytes: e.size,
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
	if last == 0 {
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
