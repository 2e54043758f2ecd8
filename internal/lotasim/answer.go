package lotasim

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

var errGone = errors.New("lotasim: the client is gone")

// Header is that of the answer.
func (x *exchange) Header() http.Header { return x.w.Header() }

// WriteHeader sees the backend's verdict and does what LOTA does with it.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 || x.dead {
		return
	}
	if status < 200 {
		x.w.WriteHeader(status)
		return
	}
	status = x.effect(status)
	x.wait(x.firstByte - time.Since(x.start))
	if x.dead {
		return
	}
	x.status = status
	x.bodyStart = time.Now()
	if x.slow > 0 {
		x.writeSlowly(status)
		return
	}
	x.w.WriteHeader(status)
}

// Write passes the body on, no faster than the model of time allows.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.dead {
		return 0, errGone
	}
	x.sent += int64(len(p))
	x.wait(max(transfer(x.sent, x.rate)-time.Since(x.bodyStart), time.Until(x.joined.brings(x.sent))))
	if x.dead {
		return 0, errGone
	}
	n, err := x.body().Write(p)
	x.dead = x.dead || (err != nil && !errors.Is(err, http.ErrBodyNotAllowed))
	return n, err
}

// effect is what a successful answer does to the cache, and what the cache does
// to the answer. It returns the status that the client gets.
func (x *exchange) effect(status int) int {
	switch {
	case status/100 == 2 && x.makesBucket():
		x.sim.bucketCreated(x.ref.Bucket)
	case status/100 == 2 && x.ref.Key != "" && rewritesObject(x.r):
		x.written()
	case x.ref.Key == "":
	case x.r.Method == http.MethodHead:
		return x.head(status)
	case x.r.Method == http.MethodGet && status/100 == 2:
		x.get(status)
	}
	return status
}

// warmingRange is the one Range that is documented to fill.
const warmingRange = "bytes=0-0"

// head is a HEAD's effect: with the warming range a fill, else none.
func (x *exchange) head(status int) int {
	x.firstByte = x.sim.opts.Timing.Metadata
	byteRange := x.r.Header["Range"]
	v := described(status, x.Header())
	warming := len(byteRange) == 1 && byteRange[0] == warmingRange
	fills := warming || x.sim.opts.AnyRangeFills
	if len(byteRange) == 0 {
		fills = x.sim.opts.PlainHeadFills
	}
	if !fills {
		if status/100 == 2 {
			x.sim.cache.seen(x.named(v), v)
		}
		return status
	}
	if warming && (status == http.StatusRequestedRangeNotSatisfiable || (status/100 == 2 && v.size == 0)) {
		return x.empty()
	}
	if status/100 != 2 {
		return status
	}
	if len(byteRange) == 0 {
		x.sim.cache.seen(x.named(v), v) // documented: no access for the tier
	} else {
		x.sim.cache.accessed(x.named(v), v, x.start, true)
	}
	if !x.side.cached {
		return status
	}
	if f := x.asks(v); f != nil && x.sim.opts.Synchronous {
		x.await(f.done)
	}
	if !warming {
		return status
	}
	return x.reshape(v.size)
}

// reshape makes the answer to a ranged HEAD what Options.RangedStatus says.
func (x *exchange) reshape(size int64) int {
	h := x.Header()
	n := strconv.FormatInt(size, 10)
	h.Set("Accept-Ranges", "bytes")
	if x.sim.opts.RangedStatus == http.StatusOK {
		h.Del("Content-Range")
		h.Set("Content-Length", n)
	} else {
		h.Set("Content-Range", "bytes 0-0/"+n)
		h.Set("Content-Length", "1")
	}
	return x.sim.opts.RangedStatus
}

// emptyETag is what every object that was put without bytes has.
const emptyETag = `"d41d8cd98f00b204e9800998ecf8427e"`

// empty answers a ranged HEAD of an object without bytes. On the primary
// listener, which is plain S3, it is always AWS's 416.
func (x *exchange) empty() int {
	h := x.Header()
	h.Set("Content-Length", "0")
	if x.side.cached && x.sim.opts.EmptyStatus == http.StatusOK {
		h.Del("Content-Range")
		if h.Get("ETag") == "" {
			h.Set("ETag", emptyETag)
		}
		return http.StatusOK
	}
	h.Set("Content-Range", "bytes */0")
	h.Del("ETag")
	return http.StatusRequestedRangeNotSatisfiable
}
