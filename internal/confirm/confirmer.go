package confirm

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Mode is what counts as filled.
type Mode string

// The modes of PRESTAGE_CONFIRM in which anything is confirmed.
const (
	Auto  Mode = "auto"  // the most that the endpoint lets us know
	Probe Mode = "probe" // only what reads have shown
)

const (
	// refreshTrust is how often an object is read before its fill while hits can
	// be told from misses, refreshDoubt while they cannot though much was tried, or
	// can by little.
	refreshTrust = 10 * time.Minute
	refreshDoubt = time.Minute
)

// Prober makes the requests through LOTA. Errors are *outcome.Error.
type Prober interface {
	// Probe reads ReadBytes bytes of the version t at offset, and returns the time
	// from the request to the first byte of the answer. The error's status is 412
	// when there is another version now.
	Probe(ctx context.Context, t Target, offset int64) (time.Duration, error)
	// Head sends a plain HEAD of t, and returns the time as Probe does.
	Head(ctx context.Context, t Target) (time.Duration, error)
	// Ask sends the ranged HEAD of t once more.
	Ask(ctx context.Context, t Target) error
}

// Target is one version of an object whose fill was asked for, or soon will be.
type Target struct {
	object.Ref
	ETag  string
	Size  int64     // bytes
	Asked time.Time // when the answer to the ranged HEAD came
	Until time.Time // all must end by then
	Read  bool      // it was read before
	Doubt bool      // it could not be confirmed before
	Owner any       // the caller's own
}

// Confirmable says that enough is known of t.
func (t Target) Confirmable() bool { return t.ETag != "" && t.Size >= MinBytes }

// version is what reads are about.
func (t Target) version() version { return version{t.Ref, t.ETag} }

// Config is what a Confirmer needs; all of it is required.
type Config struct {
	Mode        Mode
	Concurrency int        // requests that may be under way at once; probes get a tenth
	Rand        *rand.Rand // places to read; the Confirmer's alone
	Tells       func(bool) // told when the endpoint begins or ceases to tell more than accepted
	Log         *slog.Logger
}

// Confirmer learns what one endpoint lets us know, and applies it. It is safe
// for concurrent use.
type Confirmer struct {
	mode   Mode
	tells  func(bool)
	log    *slog.Logger
	rounds chan struct{} // those under way

	mu         sync.Mutex
	rnd        *rand.Rand
	synchrony  Synchrony
	reads      Reads
	pace       pace
	budget     budget
	lastBefore time.Time
	lessons    int  // objects read before their fill
	waiting    int  // targets whose rounds are not over
	verified   bool // the latest target whose rounds came to an end
	told       bool
	warned     bool
}

// New checks c.
func New(c Config) (*Confirmer, error) {
	switch {
	case c.Mode != Auto && c.Mode != Probe:
		return nil, errors.New("confirm: no such mode")
	case c.Rand == nil, c.Tells == nil, c.Log == nil:
		return nil, errors.New("confirm: a dependency is missing")
	case c.Concurrency <= 0:
		return nil, errors.New("confirm: concurrency must be positive")
	}
	c.Tells(false)
	return &Confirmer{
		mode: c.Mode, tells: c.Tells, log: c.Log,
		rounds: make(chan struct{}, max(c.Concurrency/(10*maxPlaces), 1)),
		rnd:    c.Rand, reads: Reads{Alone: c.Mode == Probe}, pace: newPace(), budget: budget{unlimited: c.Mode == Probe},
	}, nil
}

// Strict says that an object that is not verified is a failure.
func (c *Confirmer) Strict() bool { return c.mode == Probe }

// ReadsTell says that reads tell hits from misses.
func (c *Confirmer) ReadsTell() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads.Tells()
}

// Quiet says that no probe may be sent: requests were throttled a moment ago.
func (c *Confirmer) Quiet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.budget.isQuiet(time.Now())
}

// Request counts a request that is no probe, and whether it was throttled.
func (c *Confirmer) Request(throttled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget.request()
	if throttled {
		c.budget.throttled(time.Now())
	}
}

// Plain takes the latency of a plain HEAD.
func (c *Confirmer) Plain(size int64, latency time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synchrony.Plain(size, latency)
	c.tell()
}

// WantsPlain says that a plain HEAD of an object of size bytes would help to
// learn.
func (c *Confirmer) WantsPlain(size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mode == Auto && !c.budget.isQuiet(time.Now()) && c.synchrony.WantsPlain(size)
}

// Filled takes the latency of a ranged HEAD and says how its fill is known by
// it. read: the object was read before, so that it may be there already.
func (c *Confirmer) Filled(size int64, latency time.Duration, read bool) outcome.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if read || !c.synchrony.Ranged(size, latency) {
		c.tell()
		return outcome.Accepted
	}
	c.tell()
	return outcome.Synchronous
}

// WantsBefore says that an object of size bytes, if that is known, that is about
// to be filled for the first time should be read first, by ReadBefore.
func (c *Confirmer) WantsBefore(size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.budget.isQuiet(now) || (c.mode == Auto && c.synchrony.Known()) {
		return false
	}
	interval := time.Duration(0)
	switch tried := len(c.reads.before.values) >= muchTried; {
	case c.reads.Tells() && tried:
		interval = refreshTrust
	case tried, c.reads.Tells() && c.mode == Auto:
		interval = refreshDoubt
	}
	lesson := cost(max(size, CacheableBytes), lastRound, false) // what will be read when it is filled
	if now.Sub(c.lastBefore) < interval || !c.budget.take(beforeReads+lesson) {
		return false
	}
	c.budget.giveBack(lesson)
	c.lastBefore = now
	c.lessons++
	return true
}

// ReadBefore reads t, at several places at once, before its fill is asked for:
// so real misses are seen. The fill then brings what the reads have begun to.
func (c *Confirmer) ReadBefore(ctx context.Context, p Prober, t Target) {
	c.mu.Lock()
	offsets := placesBefore(t.Size, c.rnd)
	c.mu.Unlock()
	times := make([]time.Duration, len(offsets))
	heads, err := besideHeads(ctx, p, t, len(offsets), func() error {
		errs := make([]error, len(offsets))
		var wg sync.WaitGroup
		for i, offset := range offsets {
			wg.Go(func() { times[i], errs[i] = p.Probe(ctx, t, offset) })
		}
		wg.Wait()
		return errors.Join(errs...)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed(err)
		return
	}
	c.reads.Before(t.version(), times, heads)
	c.tell()
}

// besideHeads calls read, and sends n plain HEADs at the same moment.
func besideHeads(ctx context.Context, p Prober, t Target, n int, read func() error) ([]time.Duration, error) {
	heads := make([]time.Duration, n)
	errs := make([]error, n+1)
	var wg sync.WaitGroup
	for i := range heads {
		wg.Go(func() { heads[i], errs[i] = p.Head(ctx, t) })
	}
	errs[n] = read()
	wg.Wait()
	return heads, errors.Join(errs...)
}

// failed takes what a probe's failure says of the endpoint.
func (c *Confirmer) failed(err error) {
	if errors.Is(err, outcome.Throttled) {
		c.budget.throttled(time.Now())
	}
}

// tell passes on whether the endpoint tells more than accepted, when that
// changes.
func (c *Confirmer) tell() {
	synchronous, reads := c.synchrony.Known(), c.reads.Tells() || c.verified
	if now := synchronous || reads; now != c.told {
		c.told = now
		c.tells(now)
		c.log.Info("what this endpoint lets us know of fills has changed",
			slog.Bool("synchronous", synchronous), slog.Bool("reads_tell", reads))
	}
}

// warn says once that fills are known as accepted only.
func (c *Confirmer) warn() {
	if c.warned || c.told || c.mode != Auto {
		return
	}
	c.warned = true
	c.log.Warn("fills are known as accepted only: this endpoint has not shown yet when they are done")
}
