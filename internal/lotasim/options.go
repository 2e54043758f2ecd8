package lotasim

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Options is every switch of the emulator. Start from Defaults or Fast: a zero
// field means zero, not the default.
type Options struct {
	// LOTADomain and PrimaryDomain are what bucket names are prefixed to.
	LOTADomain    string
	PrimaryDomain string

	// RangedStatus is the answer to a ranged HEAD that succeeds: 206 with the
	// headers of a range of one byte, or 200 with those of the whole object.
	// Neither is documented for LOTA.
	RangedStatus int
	// EmptyStatus is the answer to a ranged HEAD of an object without bytes:
	// 416, as AWS gives it, or 200.
	EmptyStatus int
	// Synchronous makes a ranged HEAD answer when the fill is done. By default
	// it answers before: that LOTA does is likely, not documented.
	Synchronous bool
	// Refill makes every ranged HEAD start a fill of its own, also of a version
	// that is cached or being filled. By default such a HEAD is a cheap hit.
	Refill bool
	// AnyRangeFills lets every Range on a HEAD fill. Only bytes=0-0 is documented.
	AnyRangeFills bool
	// DropProbability is how often (0 to 1) a fill never happens although its
	// HEAD was answered with success.
	DropProbability float64

	// MinCacheBytes is the largest size that never enters the cache.
	MinCacheBytes int64
	// Nodes x NodeBytes is the cache's capacity in bytes; the least recently
	// used objects leave it first.
	Nodes     int
	NodeBytes int64

	// UnknownBucketStall is how long a request for a bucket that doesn't exist
	// hangs on the LOTA listener, before its connection is cut. In reality the
	// bucket is a host name that doesn't resolve, and the stall one of DNS.
	UnknownBucketStall time.Duration
	// NewBucketDelay is how long a bucket that was created through the emulator
	// answers 400 InvalidRegion; CoreWeave says about a minute.
	NewBucketDelay time.Duration

	Timing Timing

	// Seed makes what is random repeatable, whatever the order of concurrent
	// requests; 0 chooses one. Sim.Seed tells it.
	Seed uint64
	// HistoryLimit is the number of requests that are remembered.
	HistoryLimit int
	// Logger receives the seed at start and little else; nil: nobody.
	Logger *slog.Logger
}

// Timing is the model of time. A duration of 0 adds nothing, a rate of 0 is
// unlimited. Rates are bytes per second.
type Timing struct {
	Metadata         time.Duration // every HEAD: authorisation and metadata
	BackendFirstByte time.Duration // GET that is not a hit, and every fill
	BackendRate      int64
	CacheFirstByte   time.Duration // GET that is a hit
	CacheRate        int64
	FillRate         int64 // from the backend into the cache
}

// Defaults is LOTA as documented, with times that let a person see a cache at
// work while 100 MB are still a matter of a second.
func Defaults() Options {
	return Options{
		LOTADomain:         "cwlota.com",
		PrimaryDomain:      "cwobject.com",
		RangedStatus:       http.StatusPartialContent,
		EmptyStatus:        http.StatusRequestedRangeNotSatisfiable,
		MinCacheBytes:      4_000_000,
		Nodes:              2,
		NodeBytes:          16 << 30,
		UnknownBucketStall: time.Minute,
		NewBucketDelay:     time.Minute,
		HistoryLimit:       1_000_000,
		Timing: Timing{
			Metadata:         3 * time.Millisecond,
			BackendFirstByte: 25 * time.Millisecond,
			BackendRate:      200_000_000,
			CacheFirstByte:   time.Millisecond,
			CacheRate:        2_000_000_000,
			FillRate:         1_000_000_000,
		},
	}
}

// Fast is Defaults without any delay, for tests: a fill is done when its HEAD is
// answered, a bucket is usable at once. Only a bucket that doesn't exist
// stalls, as long as the client waits and at most a minute.
func Fast() Options {
	o := Defaults()
	o.Timing = Timing{}
	o.NewBucketDelay = 0
	return o
}

func (o Options) check() error {
	switch {
	case o.LOTADomain == "" || o.PrimaryDomain == "":
		return errors.New("both domains must be set")
	case o.LOTADomain == o.PrimaryDomain:
		return fmt.Errorf("the LOTA and the primary domain are both %q: they must differ", o.LOTADomain)
	case o.RangedStatus != http.StatusOK && o.RangedStatus != http.StatusPartialContent:
		return fmt.Errorf("status %d for a ranged HEAD: must be 200 or 206", o.RangedStatus)
	case o.EmptyStatus != http.StatusOK && o.EmptyStatus != http.StatusRequestedRangeNotSatisfiable:
		return fmt.Errorf("status %d for an empty object: must be 200 or 416", o.EmptyStatus)
	case !(o.DropProbability >= 0 && o.DropProbability <= 1):
		return fmt.Errorf("drop probability %v: must be 0 to 1", o.DropProbability)
	case o.MinCacheBytes < 0:
		return fmt.Errorf("minimum of %d bytes: must not be negative", o.MinCacheBytes)
	case o.Nodes < 1 || o.NodeBytes < 1:
		return fmt.Errorf("%d nodes of %d bytes: must be at least one of each", o.Nodes, o.NodeBytes)
	case o.UnknownBucketStall < 0 || o.NewBucketDelay < 0:
		return errors.New("a delay must not be negative")
	case o.HistoryLimit < 1:
		return fmt.Errorf("history of %d requests: must be at least 1", o.HistoryLimit)
	}
	return o.Timing.check()
}

func (t Timing) check() error {
	for _, d := range []time.Duration{t.Metadata, t.BackendFirstByte, t.CacheFirstByte} {
		if d < 0 {
			return fmt.Errorf("delay %v: must not be negative", d)
		}
	}
	for _, rate := range []int64{t.BackendRate, t.CacheRate, t.FillRate} {
		if rate < 0 {
			return fmt.Errorf("rate of %d bytes per second: must not be negative", rate)
		}
	}
	return nil
}

// fill is how long it takes to bring size bytes into the cache.
func (t Timing) fill(size int64) time.Duration {
	return t.BackendFirstByte + transfer(size, t.FillRate)
}

// transfer is how long n bytes take at rate bytes per second.
func transfer(n, rate int64) time.Duration {
	if rate == 0 {
		return 0
	}
	return time.Duration(float64(n) / float64(rate) * float64(time.Second))
}
