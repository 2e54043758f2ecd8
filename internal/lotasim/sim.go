package lotasim

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// Names of the listeners, as History, rules and log lines have them.
const (
	ListenerLOTA    = "lota"
	ListenerPrimary = "primary"
	ListenerAdmin   = "admin"
)

// Backends are what holds the objects: handlers that speak virtual-hosted S3
// below their own domain and verify signatures. One Catalogue can be both.
type Backends struct {
	LOTA    http.Handler // for <bucket>.<Options.LOTADomain>
	Primary http.Handler // for <bucket>.<Options.PrimaryDomain>
	// HasBucket tells whether a bucket exists, whoever owns it; nil: all do.
	HasBucket func(name string) bool
}

// Sim is a LOTA cache before a store. Its methods may be called concurrently.
type Sim struct {
	opts     Options
	seed     uint64
	backends Backends
	log      *slog.Logger
	cache    *cache
	history  history
	counters counters
	faults   faults

	mu         sync.Mutex
	newBuckets map[string]time.Time // when they become usable

	closing sync.Mutex
	closed  chan struct{}
	fills   sync.WaitGroup
}

// New puts LOTA before b. The Sim must be closed.
func New(o Options, b Backends) (*Sim, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("lotasim options: %w", err)
	}
	if b.LOTA == nil || b.Primary == nil {
		return nil, errors.New("lotasim: a backend is missing")
	}
	if b.HasBucket == nil {
		b.HasBucket = func(string) bool { return true }
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Sim{
		opts: o, seed: o.Seed, backends: b, log: log,
		cache: &cache{
			capacity: int64(o.Nodes) * o.NodeBytes, ttl: o.CacheTTL, refuses: o.FullCacheRefuses,
			entries: map[name]*entry{}, latest: map[object.Ref]string{},
		},
		history:    history{limit: o.HistoryLimit},
		newBuckets: map[string]time.Time{},
		closed:     make(chan struct{}),
	}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	s.cache.node = s.place
	for _, r := range o.Faults {
		if _, err := s.AddRule(r); err != nil {
			return nil, fmt.Errorf("lotasim options: %w", err)
		}
	}
	log.Info("lotasim", slog.Uint64("seed", s.seed))
	return s, nil
}

// Seed is what all chance comes from: Options.Seed, or the one that was chosen.
func (s *Sim) Seed() uint64 { return s.seed }

// LOTA is the cache's listener: http://<bucket>.cwlota.com.
func (s *Sim) LOTA() http.Handler {
	return s.handler(&side{name: ListenerLOTA, domain: s.opts.LOTADomain, backend: s.backends.LOTA, cached: true})
}

// Primary is the store's own listener, which never fills the cache:
// <bucket>.cwobject.com. The real one speaks TLS only; this one doesn't.
func (s *Sim) Primary() http.Handler {
	return s.handler(&side{name: ListenerPrimary, domain: s.opts.PrimaryDomain, backend: s.backends.Primary})
}

// side is one of the two listeners.
type side struct {
	name    string
	domain  string
	backend http.Handler
	cached  bool
}

// handler is no ServeMux on purpose: a mux would redirect keys with "//".
func (s *Sim) handler(l *side) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(l, w, r) })
}

// Close ends fills and held requests and waits for the former.
func (s *Sim) Close() {
	s.closing.Lock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	s.closing.Unlock()
	s.fills.Wait()
}

// bucketCreated starts the time in which a new bucket isn't usable yet.
func (s *Sim) bucketCreated(name string) {
	if s.opts.NewBucketDelay == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newBuckets[name] = time.Now().Add(s.opts.NewBucketDelay)
}

func (s *Sim) bucketSettles(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	usable, ok := s.newBuckets[name]
	if ok && time.Now().After(usable) {
		delete(s.newBuckets, name)
		return false
	}
	return ok
}
