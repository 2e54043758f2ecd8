package prestage

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

var errRefused = errors.New("connection refused")

// newEndpoint dials with dial.
func newEndpoint(dial func(context.Context) error) *Endpoint {
	return NewEndpoint(EndpointConfig{Addr: "cwlota.com:80", Dial: dial, Metrics: NewMetrics(prometheus.NewRegistry()), Log: quiet})
}

func notDialledError() *outcome.Error {
	return &outcome.Error{Op: "fill", Ref: ckpt("k"), Class: outcome.Unreachable, Reason: outcome.BadRequest, Err: errors.New("no such host")}
}

func TestEndpointTellsBucketFromOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		e := newEndpoint(func(context.Context) error {
			if down.Load() {
				return errRefused
			}
			return nil
		})
		got := e.explain(t.Context(), notDialledError())
		if !errors.Is(got, outcome.Refused) || got.Reason != outcome.BadRequest || !strings.Contains(got.Hint, `"ckpt"`) || !e.Up() {
			t.Errorf("endpoint is there: %v", got)
		}
		time.Sleep(time.Second) // of the bubble's clock
		down.Store(true)
		got = e.explain(t.Context(), notDialledError())
		if !errors.Is(got, outcome.Unreachable) || e.Up() || e.Ready() == nil {
			t.Errorf("endpoint is down: %v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := e.Wait(ctx); !errors.Is(err, outcome.Interrupted) {
			t.Errorf("waited: %v", err)
		}
	})
}

func TestEndpointComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		back := time.Now().Add(30 * time.Second)
		r := newRig(t, nil)
		e := r.endpoint
		r.dial = func(context.Context) error {
			dials.Add(1)
			if time.Now().Before(back) {
				return errRefused
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- e.Run(ctx) }()
		synctest.Wait()
		if err := e.Ready(); err == nil || !strings.Contains(err.Error(), "cwlota.com:80") || !strings.Contains(err.Error(), "refused") {
			t.Errorf("at first: %v", err)
		}
		if got := r.metric(t, "prestage_endpoint_up", ""); got != 0 {
			t.Errorf("endpoint_up is %v", got)
		}
		if err := e.Wait(t.Context()); err != nil || time.Now().Before(back) || time.Since(back) > 2*time.Second {
			t.Errorf("waited until %v after it was back: %v", time.Since(back), err)
		}
		if n := dials.Load(); n < 20 || n > 62 {
			t.Errorf("%d dials in 30 s", n)
		}
		if err := e.Ready(); err != nil || r.metric(t, "prestage_endpoint_up", "") != 1 {
			t.Errorf("at last: %v", err)
		}
		n := dials.Load()
		time.Sleep(time.Minute) // of the bubble's clock
		if d := dials.Load() - n; d < 4 || d > 12 {
			t.Errorf("looked %d times in a minute without requests", d)
		}
		n = dials.Load()
		for range 60 {
			e.observe(nil)
			time.Sleep(time.Second) // of the bubble's clock
		}
		if d := dials.Load() - n; d > 0 {
			t.Errorf("looked %d times in a minute of answers", d)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Nobody asks for anything, and the endpoint goes away.
func TestIdleEndpointIsMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		r := newRig(t, nil)
		r.dial = func(context.Context) error {
			if down.Load() {
				return errRefused
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.endpoint.Run(ctx) }()
		time.Sleep(time.Minute) // of the bubble's clock
		if err := r.endpoint.Ready(); err != nil {
			t.Errorf("while it is there: %v", err)
		}
		down.Store(true)
		time.Sleep(2 * lookEvery) // of the bubble's clock
		if up := r.metric(t, "prestage_endpoint_up", ""); r.endpoint.Ready() == nil || up != 0 {
			t.Errorf("ready: %v, prestage_endpoint_up %v", r.endpoint.Ready(), up)
		}
		down.Store(false)
		time.Sleep(2 * redialEvery) // of the bubble's clock
		if up := r.metric(t, "prestage_endpoint_up", ""); r.endpoint.Ready() != nil || up != 1 {
			t.Errorf("back: %v, prestage_endpoint_up %v", r.endpoint.Ready(), up)
		}
		cancel()
		<-ended
	})
}

func TestEndpointDialsOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		e := newEndpoint(func(context.Context) error {
			dials.Add(1)
			time.Sleep(100 * time.Millisecond) // of the bubble's clock
			return errRefused
		})
		results := make(chan *outcome.Error)
		for range 300 {
			go func() { results <- e.explain(t.Context(), notDialledError()) }()
		}
		for range 300 {
			if err := <-results; !errors.Is(err, outcome.Unreachable) {
				t.Error(err)
			}
		}
		if n := dials.Load(); n != 1 {
			t.Errorf("%d dials", n)
		}
	})
}

func TestEndpointHungUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.explain(ctx, notDialledError()); !errors.Is(err, outcome.Interrupted) || !e.Up() {
			t.Errorf("our own end says nothing of the endpoint: %v", err)
		}
	})
}

func TestEndpointReady(t *testing.T) {
	t.Parallel()
	transient, refused := failure(outcome.Transient, ckpt("k")), failure(outcome.Refused, ckpt("k"))
	for name, tt := range map[string]struct {
		results []error
		wait    time.Duration
		ready   bool
	}{
		"nothing yet":              {ready: true},
		"nine without an answer":   {results: repeat(transient, 9), ready: true},
		"ten":                      {results: repeat(transient, 10)},
		"a thousand":               {results: repeat(transient, 1000)},
		"throttled":                {results: repeat(failure(outcome.Throttled, ckpt("k")), 10)},
		"one success after":        {results: append(repeat(transient, 10), nil), ready: true},
		"one 403 after":            {results: append(repeat(transient, 10), refused), ready: true},
		"long ago":                 {results: repeat(transient, 10), wait: time.Minute, ready: true},
		"dead buckets do not tell": {results: repeat(deadBucket("fill", ckpt("k"), errRefused), 10), ready: true},
		"nor does our own end":     {results: repeat(failure(outcome.Interrupted, ckpt("k")), 10), ready: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := newEndpoint(nil)
				for _, err := range tt.results {
					e.observe(err)
				}
				time.Sleep(tt.wait) // of the bubble's clock
				if err := e.Ready(); (err == nil) != tt.ready {
					t.Errorf("ready: %v", err)
				}
			})
		})
	}
}

func repeat[E error](err E, n int) (out []error) {
	for range n {
		out = append(out, err)
	}
	return out
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	b, err := ParseBuckets([]string{"ckpt", "models-*"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"ckpt": true, "ckpt2": false, "models-a": true, "models": false, "": false, "x": false} {
		if b.Allow(name) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
	if (Buckets{}).Allow("ckpt") {
		t.Error("no pattern allows")
	}
	for _, bad := range [][]string{nil, {""}, {"["}, {"ok", "a[]"}, {"s3://ckpt"}, {"ckpt/"}, {"*", "CKPT-*"}, {"my.bucket"}, {"a b"}} {
		if _, err := ParseBuckets(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, good := range []string{"*", "ckpt-?", "[a-c]*", "[^x]9", `\*`, "a"} {
		if _, err := ParseBuckets([]string{good}); err != nil {
			t.Error(err)
		}
	}
}

// stalls never answers; it ends with its context, as the real client does.
func stalls(ctx context.Context, ref object.Ref) (Answer, error) {
	<-ctx.Done()
	return Answer{}, ended(ctx, "fill", ref)
}
