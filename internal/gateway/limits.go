package gateway

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxInHand bounds the requests of one route whose event is being stored, and those
// that ask for a receipt. It bounds memory, and a route whose senders are slow
// leaves the others alone.
const maxInHand = 32

// smallBody is a body that needs no turn to be read, in bytes: it is no larger than
// the header that was read without one. So whoever sends slowly, for which a signed
// route asks for no secret, is in nobody's way but that of larger bodies.
const smallBody = 16 << 10

// maxLarge bounds the requests of one route whose body is larger: JSON of a mebibyte
// can come to thirty when it is decoded.
const maxLarge = 4

// slotWait is how long a request waits for its turn.
const slotWait = 5 * time.Second

// slots are the turns of requests, as many as it has room for.
type slots chan struct{}

// enter waits for a turn. leave gives it back.
func (s slots) enter(ctx context.Context) bool {
	select { // without a timer, as mostly
	case s <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(slotWait)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (s slots) leave() { <-s }

// What one address may ask. Behind an ingress all senders have one address, so
// this is not for telling them apart: it keeps one that has gone mad from taking
// the processor.
const (
	sourceRate  = 1000 // requests a second
	sourceBurst = 2000
	maxSources  = 4096 // addresses that are known at a time
)

// sources limits the rate of each address.
type sources struct {
	mu    sync.Mutex
	known map[netip.Addr]*rate.Limiter
	rest  *rate.Limiter // for those that find no room
	swept time.Time
}

func newSources() *sources {
	return &sources{known: map[netip.Addr]*rate.Limiter{}, rest: rate.NewLimiter(sourceRate, sourceBurst)}
}

// allow takes one request of remote, a host:port.
func (s *sources) allow(remote string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(remote).Allow()
}

func (s *sources) of(remote string) *rate.Limiter {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return s.rest
	}
	addr := at.Addr().Unmap().WithZone("")
	if addr.Is6() { // a host has a whole /64 of them
		if prefix, err := addr.Prefix(64); err == nil {
			addr = prefix.Addr()
		}
	}
	if l := s.known[addr]; l != nil {
		return l
	}
	if len(s.known) >= maxSources && time.Since(s.swept) > time.Second {
		s.forget()
	}
	if len(s.known) >= maxSources {
		return s.rest
	}
	l := rate.NewLimiter(sourceRate, sourceBurst)
	s.known[addr] = l
	return l
}

// forget drops those that have used nothing lately: a new limiter is the same.
func (s *sources) forget() {
	s.swept = time.Now()
	for addr, l := range s.known {
		if l.Tokens() >= sourceBurst {
			delete(s.known, addr)
		}
	}
}
