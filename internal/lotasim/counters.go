package lotasim

import "sync/atomic"

// Counters are totals since the start. Those of the first block have a panel of
// LOTA's dashboard behind them ("CAIOS LOTA"); a cluster has no others, and none
// per object. A ranged HEAD and a GET through LOTA are cache requests.
type Counters struct {
	Requests      int64 `json:"requests"`
	ProxyRequests int64 `json:"proxy_requests"` // went past the cache
	CacheRequests int64 `json:"cache_requests"`
	Hits          int64 `json:"hits"`
	Misses        int64 `json:"misses"`
	InProgress    int64 `json:"in_progress"`
	RangeRequests int64 `json:"range_requests"`
	ProxyErrors   int64 `json:"proxy_errors"` // 5xx, injected ones included
	CacheErrors   int64 `json:"cache_errors"` // fills that came to nothing

	PrimaryRequests int64 `json:"primary_requests"`
	FillsStarted    int64 `json:"fills_started"`
	FillsDone       int64 `json:"fills_done"`
	Evicted         int64 `json:"evicted"`
	CachedObjects   int64 `json:"cached_objects"`
	CachedBytes     int64 `json:"cached_bytes"`
	HistoryDropped  int64 `json:"history_dropped"` // requests that History no longer has
}

type counters struct {
	Requests, PrimaryRequests, ProxyRequests, RangeRequests, ProxyErrors atomic.Int64
	Hits, Misses, InProgress                                             atomic.Int64
	FillsStarted, FillsDone, FillsDropped                                atomic.Int64
}

// access counts what a cache request found.
func (c *counters) access(f Filled) {
	switch f {
	case FillHit:
		c.Hits.Add(1)
	case FillCoalesced:
		c.InProgress.Add(1)
	default:
		c.Misses.Add(1)
	}
}

// Counters tells the totals.
func (s *Sim) Counters() Counters {
	n := &s.counters
	out := Counters{
		Requests:        n.Requests.Load(),
		ProxyRequests:   n.ProxyRequests.Load(),
		Hits:            n.Hits.Load(),
		Misses:          n.Misses.Load(),
		InProgress:      n.InProgress.Load(),
		RangeRequests:   n.RangeRequests.Load(),
		ProxyErrors:     n.ProxyErrors.Load(),
		CacheErrors:     n.FillsDropped.Load(),
		PrimaryRequests: n.PrimaryRequests.Load(),
		FillsStarted:    n.FillsStarted.Load(),
		FillsDone:       n.FillsDone.Load(),
		HistoryDropped:  s.history.lost(),
	}
	out.CacheRequests = out.Hits + out.Misses + out.InProgress
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	s.cache.expireAll()
	out.Evicted = s.cache.evicted
	out.CachedObjects = int64(s.cache.recent.Len())
	out.CachedBytes = s.cache.used
	return out
}
