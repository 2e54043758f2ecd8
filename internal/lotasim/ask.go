package lotasim

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// asks brings version v into the cache or finds it there, unless this request
// goes past the cache. The fill is the one to wait for, if there is one.
func (x *exchange) asks(v version) *fill {
	if x.bypasses(v) {
		return nil
	}
	filled, f := x.sim.fill(fillOrder{
		name: x.named(v), v: v, drop: x.dropFill, hold: x.holdFill,
		head: x.r.Method == http.MethodHead,
	})
	x.filled = filled
	x.sim.counters.access(filled)
	return f
}

// bypasses says that the cache has nothing to do with this request.
func (x *exchange) bypasses(v version) bool {
	o := x.sim.opts
	return (o.SkipArchive && v.archived) ||
		(o.VersionsBypass && x.r.URL.Query().Has("versionId")) ||
		(o.HonourCacheControl && uncached(x.r.Header))
}

// uncached says that a request's Cache-Control asks for the backend's own answer.
func uncached(h http.Header) bool {
	for _, line := range h.Values("Cache-Control") {
		for d := range strings.SplitSeq(line, ",") {
			d = strings.TrimSpace(d)
			if strings.EqualFold(d, "no-cache") || strings.EqualFold(d, "no-store") {
				return true
			}
		}
	}
	return false
}

// get is a GET's effect: a hit comes at the cache's speed, a miss reads through
// at the backend's; one that meets a fill does as Options.GetDuringFill says.
func (x *exchange) get(status int) {
	v := described(status, x.Header())
	t := x.sim.opts.Timing
	x.firstByte, x.rate = t.BackendFirstByte, t.BackendRate
	if v.etag == "" { // a sub-resource, no object's bytes
		return
	}
	x.sim.cache.accessed(x.named(v), v, x.start, false)
	if !x.side.cached {
		return
	}
	f := x.asks(v)
	switch {
	case x.filled == FillHit:
		x.firstByte, x.rate = t.CacheFirstByte, t.CacheRate
	case x.filled == FillCoalesced && x.sim.opts.GetDuringFill == JoinFill:
		x.join(f, firstOffset(x.Header()))
	case x.filled == FillCoalesced && x.sim.opts.GetDuringFill == AwaitFill:
		x.await(f.done)
		if x.sim.cache.holds(x.named(v), v) { // else the fill came to nothing
			x.firstByte, x.rate = t.CacheFirstByte, t.CacheRate
		}
		x.firstByte += time.Since(x.start)
	}
}

// joined is the fill that a body follows.
type joined struct {
	timing Timing
	since  time.Time // when the fill's bytes started to come
	offset int64     // of the body in the object
}

// join lets the body come from the cache, but no byte before the fill has
// brought it.
func (x *exchange) join(f *fill, offset int64) {
	x.await(f.flows)
	if x.dead {
		return
	}
	t := x.sim.opts.Timing
	x.joined = &joined{timing: t, since: f.since, offset: offset}
	x.firstByte = max(t.CacheFirstByte, x.joined.brings(0).Sub(x.start))
	x.rate = t.CacheRate
}

// brings is when the fill has the first n bytes of the body; nil: at once.
func (j *joined) brings(n int64) time.Time {
	if j == nil {
		return time.Time{}
	}
	return j.since.Add(j.timing.fill(j.offset + n))
}

// firstOffset is where the body starts in the object.
func firstOffset(h http.Header) int64 {
	from, _, _ := strings.Cut(strings.TrimPrefix(h.Get("Content-Range"), "bytes "), "-")
	n, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		return 0 // the whole object
	}
	return n
}

// written is the effect of a write: what was cached is cold, before the client
// knows of it, so that it never reads what was.
func (x *exchange) written() {
	id := x.r.URL.Query().Get("versionId")
	x.sim.cache.invalidate(name{x.ref, versionID(id)})
	copied := x.r.Header.Get("X-Amz-Copy-Source") != ""
	if !x.sim.opts.FillOnPut || !x.side.cached || x.r.Method != http.MethodPut || copied {
		return
	}
	v := version{
		id:   versionID(x.Header().Get("X-Amz-Version-Id")),
		etag: object.TrimETag(x.Header().Get("ETag")), size: x.r.ContentLength, modified: x.start,
	}
	if n, err := strconv.ParseInt(x.r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64); err == nil {
		v.size = n // the body was sent in chunks with checksums or signatures between them
	}
	if v.etag == "" {
		return
	}
	x.sim.cache.accessed(x.named(v), v, x.start, false)
	x.asks(v)
}

// named is what the cache knows version v of this request's object by.
func (x *exchange) named(v version) name { return name{x.ref, v.id} }

// versionID is a version id as the cache names it: what was written before a
// bucket got versions has "null".
func versionID(id string) string {
	if id == "null" {
		return ""
	}
	return id
}

// described reads the version of the whole object from an answer's header. A
// 206's Content-Length is that of the part; the whole is in Content-Range.
func described(status int, h http.Header) version {
	v := version{
		id:       versionID(h.Get("X-Amz-Version-Id")),
		etag:     object.TrimETag(h.Get("ETag")),
		archived: h.Get("X-Amz-Storage-Class") == classArchive,
	}
	size := h.Get("Content-Length")
	if status == http.StatusPartialContent {
		_, size, _ = strings.Cut(h.Get("Content-Range"), "/")
	}
	if n, err := strconv.ParseInt(size, 10, 64); err == nil {
		v.size = n
	}
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		v.modified = t
	}
	return v
}
