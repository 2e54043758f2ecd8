package lotasim

import (
	"net/http"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// exchange is one request on its way to the backend and back. As the backend's
// ResponseWriter it sees the header of the answer before the client does, which
// is when LOTA knows the object's version and decides.
type exchange struct {
	sim   *Sim
	side  *side
	w     http.ResponseWriter
	r     *http.Request
	ref   object.Ref
	start time.Time

	dropFill bool          // a rule
	holdFill *rule         // a rule
	slow     time.Duration // a rule: time of the header
	slowConn *rawConn      // the connection, when slow took it over

	firstByte time.Duration // after start
	rate      int64         // bytes per second of the body, 0: unlimited
	sent      int64
	bodyStart time.Time
	joined    *joined // the fill that the body follows

	status int
	filled Filled
	dead   bool // nobody listens any more, or the connection is to be cut
}

// serve is a request's whole story.
func (s *Sim) serve(l *side, w http.ResponseWriter, r *http.Request) {
	x := &exchange{sim: s, side: l, w: w, r: r, start: time.Now(), filled: FillNone}
	ref, wrong := address(l.domain, r)
	x.ref = ref
	seq := s.history.begin(newRecord(l.name, ref, r, x.start))
	whole := false
	defer func() {
		x.count()
		s.history.end(seq, time.Since(x.start), x.status, object.TrimETag(w.Header().Get("ETag")), x.filled, !whole || x.dead)
	}()
	x.answer(wrong)
	if x.dead {
		panic(http.ErrAbortHandler) // net/http cuts the connection, without an answer
	}
	x.slowConn.close()
	whole = true
}

// answer lets the first one answer that has a reason to.
func (x *exchange) answer(wrong *s3Error) {
	switch {
	case x.r.Method == http.MethodConnect:
		x.refuse(&s3Error{Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed", Message: "this is no tunnel: LOTA speaks plain HTTP"})
	case wrong != nil:
		x.refuse(wrong)
	case !x.faults():
	case x.unknownBucket():
		x.stall(x.sim.opts.UnknownBucketStall)
	case x.sim.bucketSettles(x.ref.Bucket):
		x.settling()
	default:
		x.side.backend.ServeHTTP(x, x.r)
		x.WriteHeader(http.StatusOK) // for a backend that left that to net/http
	}
}

// makesBucket says that this is CreateBucket, after which the name exists.
func (x *exchange) makesBucket() bool {
	return x.r.Method == http.MethodPut && x.ref.Key == "" && x.r.URL.RawQuery == ""
}

// unknownBucket says that the bucket's host name leads nowhere.
func (x *exchange) unknownBucket() bool {
	return x.side.cached && !x.sim.opts.UnknownBucketAnswers && !x.makesBucket() && !x.sim.backends.HasBucket(x.ref.Bucket)
}

// settling answers for a bucket that isn't usable yet.
func (x *exchange) settling() {
	if x.sim.opts.NewBucketBare {
		x.status = http.StatusBadRequest
		x.w.WriteHeader(x.status)
		return
	}
	x.refuse(&s3Error{Status: http.StatusBadRequest, Code: "InvalidRegion", Message: "Region does not match."})
}

func (x *exchange) refuse(e *s3Error) {
	x.status = e.Status
	e.write(x.w, x.r)
}

// faults applies the rules; false: one of them has ended the request.
func (x *exchange) faults() bool {
	for _, r := range x.sim.faults.applying(x) {
		switch r.Do {
		case AnswerStatus:
			if r.RetryAfter != "" {
				x.w.Header().Set("Retry-After", r.RetryAfter)
			}
			x.refuse(injected(r.Status))
			return false
		case Reset:
			x.reset()
			return false
		case Stall:
			x.stall(r.For)
			return false
		case Latency:
			x.wait(r.For)
		case HoldRequest:
			x.held(r)
		case SlowHeaders:
			x.slow = r.For
		case DropFill:
			x.dropFill = true
		case HoldFill:
			x.holdFill = r
		}
		if x.dead {
			return false
		}
	}
	return true
}

// injected is an error as S3 names it.
func injected(status int) *s3Error {
	code, ok := map[int]string{
		http.StatusBadRequest:          "InvalidRequest",
		http.StatusForbidden:           "AccessDenied",
		http.StatusNotFound:            "NoSuchKey",
		http.StatusTooManyRequests:     "TooManyRequests",
		http.StatusInternalServerError: "InternalError",
		http.StatusServiceUnavailable:  "SlowDown",
	}[status]
	if !ok {
		code = "InternalError"
	}
	return &s3Error{Status: status, Code: code, Message: "injected by a fault rule"}
}

// held waits for the rule's release.
func (x *exchange) held(r *rule) {
	select {
	case r.arrived <- struct{}{}:
	default: // nobody counts that far
	}
	x.await(r.released)
}

// await waits for c to be closed, unless the client leaves or the emulator ends.
func (x *exchange) await(c <-chan struct{}) {
	select {
	case <-c:
	case <-x.r.Context().Done():
		x.dead = true
	case <-x.sim.closed:
		x.dead = true
	}
}

// stall gives no answer for d (0: as long as the client waits), then cuts.
func (x *exchange) stall(d time.Duration) {
	x.dead = true
	var end <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		end = t.C
	}
	select {
	case <-end:
	case <-x.r.Context().Done():
	case <-x.sim.closed:
	}
}

// wait lets d pass, unless the client leaves.
func (x *exchange) wait(d time.Duration) {
	if x.r.Context().Err() != nil {
		x.dead = true
		return
	}
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-x.r.Context().Done():
		x.dead = true
	case <-x.sim.closed:
		x.dead = true
	}
}

// count adds the request to the totals.
func (x *exchange) count() {
	n := &x.sim.counters
	if !x.side.cached {
		n.PrimaryRequests.Add(1)
		return
	}
	n.Requests.Add(1)
	if x.r.Header.Get("Range") != "" {
		n.RangeRequests.Add(1)
	}
	if x.status >= 500 {
		n.ProxyErrors.Add(1)
	}
	if x.filled == FillNone {
		n.ProxyRequests.Add(1)
	}
}
