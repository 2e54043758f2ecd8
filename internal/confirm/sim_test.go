package confirm

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// noise is a distribution of latencies around a median.
type noise struct {
	median time.Duration
	sigma  float64 // of the logarithm
	even   bool    // evenly within +-sigma instead
}

func (n noise) draw(r *rand.Rand) time.Duration {
	f := math.Exp(n.sigma * r.NormFloat64())
	if n.even {
		f = 1 + n.sigma*(2*r.Float64()-1)
	}
	return time.Duration(float64(n.median) * f)
}

// What a GET brings into the cache that misses, and what one does that meets a
// fill.
const (
	getWhole, getPart, getNone = "whole", "part", "none"

	readThrough, join, await = "read-through", "join", "await"
)

// endpoint is what a simulated LOTA is like.
type endpoint struct {
	synchronous bool
	head        noise   // a HEAD, without any fill
	headGrowth  float64 // seconds per byte that every HEAD takes longer
	hit, miss   noise
	fastMisses  float64 // share of misses at the speed of hits
	perObject   float64 // sigma of a factor that all misses of an object share
	tide        float64 // latencies swing by this share over an hour
	busy        float64 // all takes so many times as long until the fill was asked for, 0: once
	starved     float64 // share of time in which the client is not run

	fillRate   float64 // bytes per second
	fillJitter float64 // sigma
	random     bool    // parts come in random order
	part       int64   // length of a part, 0: 50 MB
	dropped    float64 // share of fills that never happen after the 2xx
	cut        float64 // share that end early
	evicted    float64 // share that are thrown out at some time soon after
	throttled  float64 // share of requests
	already    float64 // share of objects that are cached before their event
	onGet      string  // getWhole when empty
	duringFill string  // readThrough when empty

	smallest, largest int64 // sizes, evenly over the logarithm
}

// fillRun is one fill of an object.
type fillRun struct {
	start   time.Time
	rate    float64
	order   []int // of parts, nil: from the first byte to the last
	limit   int64 // bytes that come
	evicted time.Time
}

// simObject is one object of a simulated endpoint.
type simObject struct {
	target Target
	index  uint64
	part   int64
	factor float64 // of its misses

	mu    sync.Mutex
	fills []fillRun
	reads map[int64]uint64 // by offset
	round time.Time        // when it was last read after a pause
	last  time.Time
}

// cachedAt says when offset is there because of f; zero: never.
func (o *simObject) cachedAt(f fillRun, offset int64) time.Time {
	before := offset + 1
	if f.order != nil {
		i := slices.Index(f.order, int(offset/o.part))
		if i < 0 {
			return time.Time{}
		}
		before = min(int64(i+1)*o.part, o.target.Size)
	}
	if before > f.limit {
		return time.Time{}
	}
	return f.start.Add(time.Duration(float64(before) / f.rate * float64(time.Second)))
}

func (o *simObject) cached(offset int64, now time.Time) bool {
	for _, f := range o.fills {
		at := o.cachedAt(f, offset)
		if !at.IsZero() && !now.Before(at) && (f.evicted.IsZero() || now.Before(f.evicted)) {
			return true
		}
	}
	return false
}

// complete says that every byte is there.
func (o *simObject) complete(now time.Time) bool {
	for end := o.part - 1; ; end += o.part {
		end = min(end, o.target.Size-1)
		if !o.cached(end, now) {
			return false
		}
		if end == o.target.Size-1 {
			return true
		}
	}
}

// filling is the fill under way at now, nil when none is.
func (o *simObject) filling(now time.Time) *fillRun {
	for i, f := range o.fills {
		if now.Before(f.ends()) && (f.evicted.IsZero() || now.Before(f.evicted)) {
			return &o.fills[i]
		}
	}
	return nil
}

func (f fillRun) ends() time.Time {
	return f.start.Add(time.Duration(float64(f.limit) / f.rate * float64(time.Second)))
}

// sim is a simulated endpoint and its requests, a Prober. Whatever is random
// follows from the seed, the object and how often it was asked for the same.
type sim struct {
	endpoint
	seed      uint64
	start     time.Time
	confirmer *Confirmer

	mu       sync.Mutex
	isBusy   bool // endpoint.busy holds
	objects  map[string]*simObject
	probes   int
	requests int
	asks     uint64
	while429 int // probes while throttling was seen
	seen429  time.Time
}

func newSim(e endpoint, seed uint64) *sim {
	return &sim{endpoint: e, seed: seed, start: time.Now(), objects: make(map[string]*simObject)}
}

func (s *sim) rand(o *simObject, what, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed^o.index<<20, what<<40^n))
}

// Purposes of random numbers.
const (
	forSize uint64 = iota
	forHead
	forFill
	forRead
	forThrottle
	forStarving
	forThread
)

func (s *sim) object(i int) *simObject {
	o := &simObject{index: uint64(i), reads: make(map[int64]uint64)}
	r := s.rand(o, forSize, 0)
	size := int64(float64(s.smallest) * math.Pow(float64(s.largest)/float64(s.smallest), r.Float64()))
	o.target = Target{Ref: object.Ref{Bucket: "sim", Key: strconv.Itoa(i)}, ETag: "e", Size: size}
	o.factor = math.Exp(s.perObject * r.NormFloat64())
	o.part = s.part
	if o.part == 0 {
		o.part = stratum
	}
	if r.Float64() < s.already {
		o.fills = append(o.fills, fillRun{start: time.Now().Add(-time.Hour), rate: 1e12, limit: size})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[o.target.Key] = o
	return o
}

// scale is the tide, and how busy all are.
func (s *sim) scale(d time.Duration) time.Duration {
	at := 2 * math.Pi * time.Since(s.start).Hours()
	f := 1 + s.tide*math.Sin(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isBusy && s.busy > 0 {
		f *= s.busy
	}
	return time.Duration(float64(d) * f)
}

// setBusy begins the time in which all is slow, or ends it.
func (s *sim) setBusy(now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isBusy = now
}

// turn is in how much time each thread of the client that starves is not run, once.
const turn = 100 * time.Millisecond

// noticed is how long what takes d from now on takes for a client that is not
// always run. The n-th request of an object is one of its threads'.
func (s *sim) noticed(d time.Duration, o *simObject, n uint64) time.Duration {
	at := time.Since(s.start) + d
	thread := s.rand(o, forThread, n).Uint64N(2)
	r := rand.New(rand.NewPCG(s.seed^thread, forStarving<<40^uint64(at/turn)))
	length := time.Duration(2 * s.starved * r.Float64() * float64(turn))
	begin := time.Duration(r.Float64() * float64(turn-min(length, turn)))
	if in := at % turn; in >= begin && in < begin+length {
		d += begin + length - in
	}
	return d
}

func (s *sim) isThrottled(o *simObject, n uint64) error {
	if s.rand(o, forThrottle, n).Float64() >= s.throttled {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen429 = time.Now()
	return &outcome.Error{Op: "sim", Status: http.StatusTooManyRequests, Class: outcome.Throttled}
}

// fill begins a fill, unless the object is there or on its way.
func (s *sim) fill(o *simObject, n uint64, byHead bool) {
	now := time.Now()
	if o.complete(now) || o.filling(now) != nil {
		return
	}
	r := s.rand(o, forFill, n)
	f := fillRun{
		start: now.Add(s.miss.median), rate: s.fillRate * math.Exp(s.fillJitter*r.NormFloat64()), limit: o.target.Size,
	}
	if s.random {
		f.order = r.Perm(int((o.target.Size + o.part - 1) / o.part))
	}
	drop, cut, evict, share := r.Float64() < s.dropped, r.Float64() < s.cut, r.Float64() < s.evicted, r.Float64()
	if byHead && drop {
		return
	}
	if byHead && cut {
		f.limit = int64(share * float64(f.limit))
		if f.order != nil { // whole parts, and not all of them
			f.limit = f.limit / o.part * o.part
		}
	}
	if evict {
		f.evicted = f.ends().Add(time.Duration(share * float64(2*time.Second)))
	}
	o.fills = append(o.fills, f)
}

// headRequest is a plain HEAD, or a ranged one, which fills.
func (s *sim) headRequest(o *simObject, n uint64, ranged bool) (time.Duration, error) {
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	if err := s.isThrottled(o, n); err != nil {
		return 0, err
	}
	d := s.scale(s.head.draw(s.rand(o, forHead, n))) + time.Duration(s.headGrowth*float64(o.target.Size)*float64(time.Second))
	begun := time.Now()
	if ranged {
		o.mu.Lock()
		s.fill(o, n, true)
		if f := o.filling(begun); s.synchronous && f != nil {
			d += f.ends().Sub(begun)
		}
		o.mu.Unlock()
	}
	d = s.noticed(d, o, n)
	time.Sleep(d)
	return d, nil
}

// Probe reads.
func (s *sim) Probe(_ context.Context, t Target, offset int64) (time.Duration, error) {
	s.mu.Lock()
	s.probes++
	if since := time.Since(s.seen429); !s.seen429.IsZero() && since > 0 && since < quietFor {
		s.while429++
	}
	o := s.objects[t.Key]
	s.mu.Unlock()
	if offset < 0 || offset+ReadBytes > t.Size {
		return 0, &outcome.Error{Op: "sim", Status: http.StatusRequestedRangeNotSatisfiable, Class: outcome.Refused}
	}

	o.mu.Lock()
	now := time.Now()
	if now.Sub(o.last) > 100*time.Millisecond+3*s.miss.median {
		o.round = now
	}
	o.last = now
	o.reads[offset]++
	r := s.rand(o, forRead+uint64(offset)<<8, o.reads[offset])
	d := s.noticed(s.read(o, offset, now, r), o, uint64(offset)<<8|o.reads[offset])
	o.mu.Unlock()
	time.Sleep(d)
	return d, nil
}

// read is the time of one read, and what it does to the cache.
func (s *sim) read(o *simObject, offset int64, now time.Time, r *rand.Rand) time.Duration {
	hit := s.scale(s.hit.draw(r))
	miss := s.scale(time.Duration(float64(s.miss.draw(r)) * o.factor))
	if o.cached(offset, now) || r.Float64() < s.fastMisses {
		return hit
	}
	if f := o.filling(now); f != nil && s.duringFill != "" && s.duringFill != readThrough {
		at := f.ends()
		if s.duringFill == join {
			at = o.cachedAt(*f, offset)
		}
		if !at.IsZero() {
			return max(at.Sub(now), 0) + hit
		}
	}
	switch s.onGet {
	case getNone:
	case getPart:
		o.fills = append(o.fills, fillRun{
			start: now, rate: 1e15, limit: min(o.part, o.target.Size), order: []int{int(offset / o.part)},
		})
	default:
		s.fill(o, uint64(offset), false)
	}
	return miss
}

// truth says whether the object was all there when it was last looked at.
func (o *simObject) truth() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.complete(o.round) || o.complete(time.Now())
}
