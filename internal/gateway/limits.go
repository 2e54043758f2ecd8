package gateway

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxInHand bounds the requests of one route whose body is read or whose event
// is being stored. It bounds memory, and a route whose senders are slow leaves
// the others alone.
const maxInHand = 32

// slotWait is how long a request waits for its turn.
const slotWait = 5 * time.Second

// enter waits for a slot of r. leave gives it back.
func (r route) enter(ctx context.Context) bool {
	select { // without a timer, as mostly
	case r.slots <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(slotWait)
	defer timer.Stop()
	select {
	case r.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (r route) leave() { <-r.slots }

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
