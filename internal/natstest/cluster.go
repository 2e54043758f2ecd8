package natstest

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// Cluster is several nats-servers of one test that share their streams. Its
// methods are for the test's own goroutine.
type Cluster struct {
	servers []*Server
}

// StartCluster runs n servers as one cluster until the test ends. It returns
// when they have agreed on a leader, and all of them take part.
func StartCluster(tb testing.TB, n int) *Cluster {
	tb.Helper()
	c := &Cluster{}
	ports := freePorts(tb, n)
	var routes []*url.URL
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
	}
	for i, port := range ports {
		s := &Server{opts: options(tb, Options{})}
		s.opts.ServerName = "n" + strconv.Itoa(i)
		s.opts.Cluster = server.ClusterOpts{Name: "natstest", Host: "127.0.0.1", Port: port}
		s.opts.Routes = routes
		tb.Cleanup(s.Stop)
		s.start(tb)
		s.keepPort(tb)
		c.servers = append(c.servers, s)
	}
	c.settle(tb)
	return c
}

// freePorts finds ports for the routes. Servers can't choose them when they
// start, as each is told of all the others by then.
func freePorts(tb testing.TB, n int) []int {
	tb.Helper()
	var lc net.ListenConfig
	var ports []int
	for range n {
		l, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		defer l.Close() // all together at the end: so no port is found twice
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			tb.Fatalf("a TCP listener on %v", l.Addr())
		}
		ports = append(ports, addr.Port)
	}
	return ports
}

// settle waits until the running servers have a leader who sees all of them.
func (c *Cluster) settle(tb testing.TB) {
	tb.Helper()
	c.eventually(tb, "the cluster has a leader and all its peers", func() bool {
		for _, s := range c.servers {
			if s.srv != nil && s.srv.JetStreamIsLeader() && len(s.srv.JetStreamClusterPeers()) == len(c.servers) {
				return true
			}
		}
		return false
	})
}

// URL lists what clients connect to; it stays the same over a Restart.
func (c *Cluster) URL() string {
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, s.url)
	}
	return strings.Join(urls, ",")
}

// StopLeader stops the server that leads a stream, without a word to the others,
// and returns it.
func (c *Cluster) StopLeader(tb testing.TB, stream string) *Server {
	tb.Helper()
	var leader *Server
	c.eventually(tb, "stream "+stream+" has a leader", func() bool {
		for _, s := range c.servers {
			if s.srv != nil && s.srv.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
				leader = s
				return true
			}
		}
		return false
	})
	leader.Stop()
	return leader
}

// Restart starts a stopped server again and waits until it takes part.
func (c *Cluster) Restart(tb testing.TB, s *Server) {
	tb.Helper()
	s.start(tb)
	c.eventually(tb, "the server is current", s.srv.JetStreamIsCurrent)
}

// JetStream connects a client that outlives the loss of servers, until the test
// ends.
func (c *Cluster) JetStream(tb testing.TB) jetstream.JetStream {
	tb.Helper()
	return jetStream(tb, connect(tb, c.URL()))
}

func (c *Cluster) eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(clusterTimeout); !ok(); <-tick.C {
		if time.Now().After(end) {
			tb.Fatalf("waited %v for this: %s", clusterTimeout, what)
		}
	}
}

// clusterTimeout is how long servers may take to agree on something.
const clusterTimeout = time.Minute
