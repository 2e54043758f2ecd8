package lotasim

import (
	"log/slog"
	"net/http"
	"time"
)

// Options is every switch of the emulator. Start from Defaults or Fast: a zero
// field means zero, not the default. What is documented of LOTA, and what is
// only assumed, is told switch by switch in docs/lota-facts.md.
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
	// PlainHeadFills lets a HEAD without a Range fill. That it does not is implied:
	// the documentation says so of tiers only.
	PlainHeadFills bool
	// FillOnPut puts an object into the cache when PutObject writes it through
	// LOTA. CoreWeave's own pages contradict each other about this.
	FillOnPut bool
	// VersionsBypass makes requests with a versionId go past the cache. By
	// default they fill and hit the version that they name.
	VersionsBypass bool
	// HonourCacheControl makes a request with Cache-Control: no-cache or no-store
	// go past the cache. One user relies on that; it isn't documented.
	HonourCacheControl bool
	// SkipArchive keeps objects of the class STANDARD_IA out of the cache.
	SkipArchive bool
	// GetDuringFill is what a GET does that meets a fill of its object.
	GetDuringFill GetDuringFill

	// DropProbability is how often (0 to 1) a fill never happens although its
	// HEAD was answered with success.
	DropProbability float64
	// MinCacheBytes is the largest size that never enters the cache.
	MinCacheBytes int64
	// Nodes x NodeBytes is the cache's capacity in bytes.
	Nodes     int
	NodeBytes int64
	// FullCacheRefuses makes a fill that no longer fits come to nothing. By
	// default the least recently used objects make room.
	FullCacheRefuses bool
	// CacheTTL is how long after its fill an object leaves the cache; 0: never.
	CacheTTL time.Duration
	// RefillLost makes LOTA fill again what LoseNode took.
	RefillLost bool

	// UnknownBucketStall is how long a request for a bucket that doesn't exist
	// hangs on the LOTA listener, before its connection is cut; 0: as long as the
	// client waits. In reality the bucket is a host name that doesn't resolve,
	// and the stall one of DNS.
	UnknownBucketStall time.Duration
	// UnknownBucketAnswers lets the backend answer instead: 404 NoSuchBucket.
	UnknownBucketAnswers bool
	// NewBucketDelay is how long a bucket that was created through the emulator
	// answers 400 InvalidRegion; CoreWeave says about a minute.
	NewBucketDelay time.Duration
	// NewBucketBare leaves that answer without a body, so without a code.
	NewBucketBare bool

	Timing Timing

	// Faults are rules from the start, as AddRule takes them.
	Faults []Rule
	// Seed makes what is random repeatable, whatever the order of concurrent
	// requests; 0 chooses one. Sim.Seed tells it.
	Seed uint64
	// HistoryLimit is the number of requests that are remembered.
	HistoryLimit int
	// Logger receives the seed at start and little else; nil: nobody.
	Logger *slog.Logger
}

// GetDuringFill is what a GET does that meets a fill of its object.
type GetDuringFill string

// The ways of a GET during a fill. Which one is LOTA's is not known.
const (
	ReadThrough GetDuringFill = "read-through" // reads from the backend, beside the fill
	JoinFill    GetDuringFill = "join"         // gets each byte as soon as the fill has brought it
	AwaitFill   GetDuringFill = "await"        // waits for the end of the fill, then is a hit
)

// Defaults is LOTA as documented, with times that let a person see a cache at
// work while 100 MB are still a matter of a second.
func Defaults() Options {
	return Options{
		LOTADomain:         "cwlota.com",
		PrimaryDomain:      "cwobject.com",
		RangedStatus:       http.StatusPartialContent,
		EmptyStatus:        http.StatusRequestedRangeNotSatisfiable,
		GetDuringFill:      ReadThrough,
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
