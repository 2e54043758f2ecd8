package natstest

import (
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// configured are the options of a configuration file, such as one of the
// documents, with a hub's or a leaf node's connections kept inside the test.
func configured(tb testing.TB, o Options) *server.Options {
	tb.Helper()
	opts, err := server.ProcessConfigFile(o.Config)
	if err != nil {
		tb.Fatalf("configuration of a nats-server: %v", err)
	}
	opts.Host, opts.Port, opts.StoreDir = "127.0.0.1", server.RANDOM_PORT, tb.TempDir()
	opts.JetStreamMaxStore, opts.JetStreamMaxMemory = maxStore, maxMemory
	opts.NoLog, opts.NoSigs = true, true
	if opts.LeafNode.Port != 0 {
		opts.LeafNode.Host, opts.LeafNode.Port = "127.0.0.1", server.RANDOM_PORT
	}
	opts.LeafNode.ReconnectInterval = 100 * time.Millisecond
	for _, r := range opts.LeafNode.Remotes {
		r.URLs = []*url.URL{{Scheme: "nats-leaf", Host: o.Hub}}
		r.IgnoreDiscoveredServers = true // else it learns the way past a test's proxy
	}
	return opts
}

// LeafAddr is where the leaf nodes of a hub connect to.
func (s *Server) LeafAddr(tb testing.TB) string {
	tb.Helper()
	v, err := s.srv.Varz(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return net.JoinHostPort(v.LeafNode.Host, strconv.Itoa(v.LeafNode.Port))
}

// Leaves counts the connections with leaf nodes.
func (s *Server) Leaves() int { return s.srv.NumLeafNodes() }
