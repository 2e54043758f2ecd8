package lotasim

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	sim "github.com/prestage/prestage/internal/lotasim"
)

// The keys and the region of a store whose StoreOptions name none.
const (
	AccessKeyID     = "lotasim"
	SecretAccessKey = "lotasim-secret"
	Region          = "US-EAST-04A"
)

// Sim is a cache at work. An Emulator has its methods: Truth and History tell
// what happened, AddRule lets requests fail, Hold and HoldFills stop them until
// the test goes on, LoseNode empties a part of the cache.
type Sim = sim.Sim

// Emulator is a LOTA before a store, on loopback.
type Emulator struct {
	*Sim
	// Objects is the store; what is put here is there for clients at once.
	Objects *Catalogue

	server *sim.Server
	opts   Options
}

// Start starts an Emulator, which must be closed. Options come from Fast or
// Defaults. A zero StoreOptions is a store with the constants' keys and region.
func Start(ctx context.Context, o Options, store StoreOptions) (*Emulator, error) {
	if len(store.Credentials) == 0 {
		store.Credentials = []Credential{{AccessKeyID: AccessKeyID, SecretAccessKey: SecretAccessKey}}
	}
	if store.Region == "" {
		store.Region = Region
	}
	e := &Emulator{Objects: sim.NewCatalogue(store), opts: o}
	var err error
	if e.Sim, err = sim.New(o, e.Objects.Backends()); err != nil {
		return nil, err
	}
	if e.server, err = sim.Listen(ctx, e.Sim, sim.Addrs{Admin: sim.NoListener}); err != nil {
		e.Sim.Close()
		return nil, err
	}
	return e, nil
}

// Close cuts all connections, ends what is held and waits for running fills.
func (e *Emulator) Close() {
	e.server.Close()
	e.Sim.Close()
}

// ProxyURL is LOTA's listener, for HTTP_PROXY of a process or http.ProxyURL.
func (e *Emulator) ProxyURL() *url.URL { return &url.URL{Scheme: "http", Host: e.server.LOTAAddr()} }

// DialContext connects to LOTA for hosts below Options.LOTADomain and to the
// store's own listener for those below Options.PrimaryDomain, as DNS would. Any
// other host is an error: a test that leaves the machine is a mistake.
func (e *Emulator) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	to := ""
	switch {
	case below(host, e.opts.LOTADomain):
		to = e.server.LOTAAddr()
	case below(host, e.opts.PrimaryDomain):
		to = e.server.PrimaryAddr()
	default:
		return nil, fmt.Errorf("dial %s: the emulator is %s and %s only", addr, e.opts.LOTADomain, e.opts.PrimaryDomain)
	}
	return new(net.Dialer).DialContext(ctx, network, to)
}

func below(host, domain string) bool {
	host = strings.ToLower(host)
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// Transport makes an http.Client's requests reach the emulator and nothing else,
// whatever HTTP_PROXY says. Close its idle connections at the end.
func (e *Emulator) Transport() *http.Transport { return &http.Transport{DialContext: e.DialContext} }
