// Package natstest runs a nats-server with JetStream inside a test: on a free
// port of the loopback interface, with its store in the test's own folder. The
// server can be stopped and started again with the same port and store, which
// is how a test makes NATS fail. One server can be a hub, and others its leaf
// nodes.
package natstest

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The server promises its streams a part of these when they are created, so
// they are larger than any test fills.
const (
	maxStore  = 64 << 30
	maxMemory = 1 << 30
)

// startTimeout is how long a server may take until it accepts connections.
const startTimeout = 20 * time.Second

// apiTimeout is how long an answer may take that a test asks for: on a busy
// machine five seconds, which are the client's, pass before a server gets its turn.
const apiTimeout = 30 * time.Second

// Options are what a test may want to be different.
type Options struct {
	MaxPayload int32          // bytes, 0: the server's default of 1 MiB
	TLS        *tls.Config    // nil: none. See Authority
	Users      []*server.User // nil: everybody may do everything

	// Config is a server's configuration file; "": none. Addresses and the
	// store's place are those of the test, whatever it says.
	Config string
	// Hub is where a leaf node's remotes are, host:port, whatever Config says.
	// See LeafAddr.
	Hub string
}

// Server is one nats-server of one test. Its methods are for the test's own
// goroutine; only URL is for any.
type Server struct {
	opts *server.Options
	srv  *server.Server // nil while stopped
	url  string
}

// Start runs a server until the test ends.
func Start(tb testing.TB) *Server {
	tb.Helper()
	return StartWith(tb, Options{})
}

// StartWith is Start with options.
func StartWith(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := &Server{opts: options(tb, o)}
	tb.Cleanup(s.Stop)
	s.start(tb)
	s.keepPort(tb)
	return s
}

// options are those of a server that has not chosen its port yet.
func options(tb testing.TB, o Options) *server.Options {
	tb.Helper()
	if o.Config != "" {
		return configured(tb, o)
	}
	return &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: tb.TempDir(),
		JetStreamMaxStore: maxStore, JetStreamMaxMemory: maxMemory,
		MaxPayload: o.MaxPayload, TLSConfig: o.TLS, Users: o.Users,
		NoLog: true, NoSigs: true,
	}
}

// keepPort makes the port that was chosen that of every start to come.
func (s *Server) keepPort(tb testing.TB) {
	tb.Helper()
	s.url = s.srv.ClientURL()
	// The server writes into the options that it is given, so each start gets a
	// copy.
	addr, ok := s.srv.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatalf("nats-server listens on %v, not on a TCP port", s.srv.Addr())
	}
	s.opts.Port = addr.Port
}

func (s *Server) start(tb testing.TB) {
	tb.Helper()
	srv, err := server.NewServer(s.opts.Clone())
	if err != nil {
		tb.Fatalf("nats-server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(startTimeout) {
		srv.Shutdown()
		srv.WaitForShutdown()
		tb.Fatalf("nats-server on port %d: not ready after %v", s.opts.Port, startTimeout)
	}
	s.srv = srv
}

// URL is what clients connect to; it stays the same over a Restart.
func (s *Server) URL() string { return s.url }

// Received counts the messages that clients have sent since the start.
func (s *Server) Received(tb testing.TB) int64 {
	tb.Helper()
	v, err := s.srv.Varz(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return v.InMsgs
}

// Stop shuts the server down and waits until it is gone. A stopped server may
// be stopped again.
func (s *Server) Stop() {
	if s.srv == nil {
		return
	}
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	s.srv = nil
}

// Restart starts the server again, after stopping it when it still runs.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Stop()
	s.start(tb)
}

// Conn connects a client that outlives every outage of the server, until the
// test ends.
func (s *Server) Conn(tb testing.TB) *nats.Conn {
	tb.Helper()
	return connect(tb, s.url)
}

func connect(tb testing.TB, url string, more ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(url, append(more,
		nats.Name(tb.Name()),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20*time.Millisecond),
		nats.ReconnectJitter(10*time.Millisecond, 10*time.Millisecond),
	)...)
	if err != nil {
		tb.Fatalf("connect to %s: %v", url, err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// JetStream is Conn with the JetStream API on it.
func (s *Server) JetStream(tb testing.TB) jetstream.JetStream {
	tb.Helper()
	return jetStream(tb, s.Conn(tb))
}

func jetStream(tb testing.TB, nc *nats.Conn) jetstream.JetStream {
	tb.Helper()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		tb.Fatalf("jetstream: %v", err)
	}
	return js
}
