package prestage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

const (
	redialEvery  = time.Second      // while it is down
	lookEvery    = 10 * time.Second // while it is up and nothing is heard of it
	silentLimit  = 10               // requests without a sound answer, within
	silentWindow = time.Minute
)

// Endpoint knows whether LOTA is there. A dial decides, not a request: without
// a bucket there is nothing to ask. While the endpoint is down its gate is
// closed, and work in hand waits there. Run opens it again.
type Endpoint struct {
	addr string
	dial func(context.Context) error
	log  *slog.Logger
	up   func(bool)
	back func() // it is up again; nil: nobody wants to know

	dialling chan struct{} // held by the one that dials

	mu      sync.Mutex
	open    chan struct{} // closed while the endpoint is up
	lost    chan struct{} // tells Run, capacity 1
	cause   error         // why it is down
	checked time.Time     // when the latest dial ended
	heard   time.Time     // the latest sound answer
	silent  []time.Time   // the latest requests without a sound answer, silentLimit at most
	served  map[string]time.Time
}

// EndpointConfig is what an Endpoint needs.
type EndpointConfig struct {
	Addr    string                      // host:port that is dialled, for messages
	Dial    func(context.Context) error // connects to Addr and hangs up
	Metrics *Metrics
	Log     *slog.Logger
}

// NewEndpoint returns an Endpoint that is taken to be up until a dial fails.
func NewEndpoint(c EndpointConfig) *Endpoint {
	e := &Endpoint{
		addr: c.Addr, dial: c.Dial, log: c.Log, up: c.Metrics.endpointUp,
		dialling: make(chan struct{}, 1), open: make(chan struct{}), lost: make(chan struct{}, 1),
		served: make(map[string]time.Time),
	}
	close(e.open)
	e.up(true)
	return e
}

// Run dials the endpoint once, and from then on every second while it is down,
// and every ten while nothing is heard of it (with jitter). It returns when ctx
// ends.
func (e *Endpoint) Run(ctx context.Context) error {
	_, _ = e.reachable(ctx)
	for {
		every := lookEvery
		if !e.Up() {
			every = redialEvery
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.lost:
			continue // sooner, then
		case <-time.After(every/2 + rand.N(every)):
		}
		if e.quietFor() >= every/2 {
			_, _ = e.reachable(ctx)
		}
	}
}

// quietFor is how long ago the latest sound answer came.
func (e *Endpoint) quietFor() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Since(e.heard)
}

// onReturn has back called before the gate opens again.
func (e *Endpoint) onReturn(back func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.back = back
}

// Up says that the gate is open.
func (e *Endpoint) Up() bool {
	select {
	case <-e.gate():
		return true
	default:
		return false
	}
}

// Wait blocks while the endpoint is down. The error is Interrupted.
func (e *Endpoint) Wait(ctx context.Context) error {
	select {
	case <-e.gate():
		return nil
	case <-ctx.Done():
		return ended(ctx, "wait for the endpoint", object.Ref{})
	}
}

func (e *Endpoint) gate() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.open
}

// Ready says why the endpoint is no use now: it cannot be dialled, or the ten
// latest requests, all within a minute, brought no answer below 500.
func (e *Endpoint) Ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cause != nil {
		return fmt.Errorf("LOTA endpoint %s is down: %w", e.addr, e.cause)
	}
	if len(e.silent) == silentLimit && time.Since(e.silent[0]) < silentWindow {
		return fmt.Errorf("LOTA endpoint %s accepts connections, but the latest %d requests brought no sound answer", e.addr, silentLimit)
	}
	return nil
}

// Served is when a ranged HEAD in bucket last brought a 2xx; zero: never yet.
func (e *Endpoint) Served(bucket string) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.served[bucket]
}

func (e *Endpoint) noteServed(bucket string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.served[bucket] = time.Now()
}

// observe learns from how a request ended.
func (e *Endpoint) observe(err error) {
	var failure *outcome.Error
	if err != nil {
		failure = outcome.As(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case failure == nil, failure.Status != 0 && failure.Status < 500:
		e.silent, e.heard = nil, time.Now()
	case failure.Class == outcome.Transient, failure.Class == outcome.Throttled:
		if len(e.silent) == silentLimit {
			e.silent = e.silent[1:]
		}
		e.silent = append(e.silent, time.Now())
	}
}

// explain finds out what an Unreachable error of one bucket's host means. The
// endpoint is dialled: if that works, the bucket refuses; if not, the gate is
// closed and the error stands.
func (e *Endpoint) explain(ctx context.Context, err *outcome.Error) *outcome.Error {
	up, cause := e.reachable(ctx)
	switch {
	case ctx.Err() != nil:
		return ended(ctx, err.Op, err.Ref)
	case up:
		return deadBucket(err.Op, err.Ref, err.Err)
	}
	out := *err
	out.Class, out.Hint = outcome.Unreachable, ""
	out.Err = fmt.Errorf("LOTA endpoint %s cannot be dialled: %w", e.addr, cause)
	return &out
}

// reachable dials, unless somebody else did since it was called.
func (e *Endpoint) reachable(ctx context.Context) (up bool, cause error) {
	came := time.Now()
	select {
	case e.dialling <- struct{}{}:
		defer func() { <-e.dialling }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	e.mu.Lock()
	fresh, cause := e.checked.After(came), e.cause
	e.mu.Unlock()
	if fresh {
		return cause == nil, cause
	}

	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	err := e.dial(dialCtx)
	if ctx.Err() != nil {
		return false, ctx.Err() // we hung up: that tells nothing
	}
	if err != nil {
		err = errors.New(brief(err))
	}
	e.turn(err)
	return err == nil, err
}

// turn opens or closes the gate.
func (e *Endpoint) turn(cause error) {
	e.mu.Lock()
	was := e.cause
	e.cause, e.checked = cause, time.Now()
	switch {
	case was == nil && cause != nil:
		e.open = make(chan struct{})
		select {
		case e.lost <- struct{}{}:
		default:
		}
	case was != nil && cause == nil:
		if e.back != nil {
			e.back()
		}
		close(e.open)
		e.silent = nil
	}
	e.mu.Unlock()

	if (was == nil) == (cause == nil) {
		return
	}
	e.up(cause == nil)
	if cause != nil {
		e.log.Warn("endpoint is down, work waits", slog.String("addr", e.addr), slog.Any("error", cause))
		return
	}
	e.log.Info("endpoint is up again", slog.String("addr", e.addr))
}

// deadHostError is why a bucket's host is held for dead. No other failure without a
// status says anything of the host: credentials, for one, fail before anything
// is sent.
type deadHostError struct{ error }

// deadBucket is the error of a bucket whose host cannot be reached while the
// endpoint can: most likely there is no such bucket, since a bucket's name is
// part of a host name.
func deadBucket(op string, ref object.Ref, err error) *outcome.Error {
	return &outcome.Error{
		Op: op, Ref: ref, Class: outcome.Refused, Reason: outcome.BadRequest, Err: deadHostError{err},
		Hint: fmt.Sprintf("the endpoint is there, but the host of bucket %q does not answer: is the name right, is the bucket new?", ref.Bucket),
	}
}
