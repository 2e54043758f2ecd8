package lotasim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Addrs are the addresses to listen on; "" means a free port of 127.0.0.1.
// Several Sims over the same Backends are several clusters, which share a store
// but no cache: one primary listener is enough for them.
type Addrs struct {
	LOTA    string
	Primary string // NoListener: none
	Admin   string
}

// NoListener stands for an address that nothing listens on.
const NoListener = "-"

// Server is a Sim on three addresses.
type Server struct {
	lota, primary, admin *endpoint
}

// Listen serves s on addrs until Close. Each listener logs one line "listening"
// with its name and address. Closing the Sim stays the caller's business.
func Listen(ctx context.Context, s *Sim, addrs Addrs) (*Server, error) {
	srv := &Server{
		lota:    &endpoint{name: ListenerLOTA, addr: addrs.LOTA, handler: s.LOTA(), log: s.log},
		primary: &endpoint{name: ListenerPrimary, addr: addrs.Primary, handler: s.Primary(), log: s.log},
		admin:   &endpoint{name: ListenerAdmin, addr: addrs.Admin, handler: s.Admin(), log: s.log},
	}
	for _, e := range []*endpoint{srv.lota, srv.primary, srv.admin} {
		if e.addr == NoListener {
			continue
		}
		if err := e.start(ctx); err != nil {
			srv.Close()
			return nil, err
		}
	}
	return srv, nil
}

// LOTAAddr is the host:port of the LOTA listener, for LOTA_DIAL or as a proxy.
func (s *Server) LOTAAddr() string { return s.lota.addr }

// PrimaryAddr is the host:port of the primary listener, or NoListener.
func (s *Server) PrimaryAddr() string { return s.primary.addr }

// AdminAddr is the host:port of the admin listener.
func (s *Server) AdminAddr() string { return s.admin.addr }

// StopLOTA is an outage: connections to the LOTA listener are cut, new ones
// refused, until StartLOTA.
func (s *Server) StopLOTA() { s.lota.stop() }

// StartLOTA ends the outage, on the same port.
func (s *Server) StartLOTA(ctx context.Context) error { return s.lota.start(ctx) }

// Close cuts all connections and waits until nothing is served any more.
func (s *Server) Close() {
	for _, e := range []*endpoint{s.lota, s.primary, s.admin} {
		e.stop()
	}
}

// endpoint is one listener that can be stopped and started again.
type endpoint struct {
	name    string
	addr    string // after the first start with the port that was chosen
	handler http.Handler
	log     *slog.Logger

	mu     sync.Mutex
	server *http.Server // nil: stopped
	cancel context.CancelFunc
	served chan struct{}
	conns  *sync.WaitGroup
}

// headerTimeout ends connections that never say what they want.
const headerTimeout = 30 * time.Second

func (e *endpoint) start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		return nil
	}
	if e.addr == "" {
		e.addr = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", e.addr)
	if err != nil {
		return fmt.Errorf("listen for %s on %s: %w", e.name, e.addr, err)
	}
	e.addr = l.Addr().String()
	conns := &sync.WaitGroup{}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{
		BaseContext:       func(net.Listener) context.Context { return base },
		Handler:           e.handler,
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				conns.Done()
			case http.StateActive, http.StateIdle:
			}
		},
	}
	served := make(chan struct{})
	e.server, e.cancel, e.conns, e.served = server, cancel, conns, served
	go func() {
		defer close(served)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			e.log.Error("serving ended", slog.String("listener", e.name), slog.Any("error", err))
		}
	}()
	e.log.Info("listening", slog.String("name", e.name), slog.String("addr", e.addr))
	return nil
}

// stop cuts all connections; what is being answered sees its context end.
func (e *endpoint) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return
	}
	e.cancel()           // also reaches a handler whose request body nobody reads
	_ = e.server.Close() // the listener is gone either way
	<-e.served           // no connection is added after this
	e.conns.Wait()
	e.server = nil
}
