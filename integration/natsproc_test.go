package integration_test

import (
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsProcess is a nats-server as a child process, for tests that kill it. Its
// port and its store outlive it.
type natsProcess struct {
	t    *testing.T
	addr string
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

var natsBuild = &build{name: "nats-server", source: "github.com/nats-io/nats-server/v2"}

// newNATS makes one that is not running yet, with more arguments than it needs
// by itself. It is killed when the test ends.
func newNATS(t *testing.T, args ...string) *natsProcess {
	t.Helper()
	s := &natsProcess{t: t, addr: freeAddrs(t, 1)[0]}
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.args = append([]string{"-a", host, "-p", port, "-js", "-sd", t.TempDir()}, args...)
	t.Cleanup(s.kill)
	return s
}

// startNATS runs one until the test ends.
func startNATS(t *testing.T) *natsProcess {
	t.Helper()
	s := newNATS(t)
	s.start()
	return s
}

// freeAddrs finds addresses on loopback: a server cannot be told to choose a port
// and to keep it.
func freeAddrs(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // all together at the end: so none is found twice
		out = append(out, ln.Addr().String())
	}
	return out
}

// start runs it, also again after kill, and waits until it answers.
func (s *natsProcess) start() {
	s.launch()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		nc, err := nats.Connect(s.url())
		if err == nil {
			js, err := jetstream.New(nc)
			if err == nil {
				_, err = js.AccountInfo(s.t.Context())
			}
			nc.Close()
			if err == nil {
				return
			}
		}
	}
	s.t.Errorf("nats-server does not answer within %s", patience)
}

// launch runs it and does not wait.
func (s *natsProcess) launch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd = exec.Command(natsBuild.path(s.t), s.args...)
	dieWithUs(s.cmd)
	if err := s.cmd.Start(); err != nil {
		s.t.Errorf("start nats-server: %v", err)
		s.cmd = nil
		return
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		_ = cmd.Wait()
	}(s.cmd, s.done)
}

// kill ends it as kill -9 does.
func (s *natsProcess) kill() { s.end(func(c *exec.Cmd) error { return c.Process.Kill() }) }

func (s *natsProcess) end(how func(*exec.Cmd) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = how(s.cmd)
	<-s.done
	s.cmd = nil
}

func (s *natsProcess) url() string { return "nats://" + s.addr }

// natsCluster is three nats-servers that share their streams.
type natsCluster map[string]*natsProcess // by name

// startCluster runs one until the test ends. Its servers may take a while to
// agree on anything.
func startCluster(t *testing.T) natsCluster {
	t.Helper()
	routes := freeAddrs(t, 3)
	c := make(natsCluster)
	for i, name := range []string{"n0", "n1", "n2"} {
		s := newNATS(t, "-n", name, "-cluster_name", "integration", "-cluster", "nats://"+routes[i],
			"-routes", "nats://"+strings.Join(routes, ",nats://"))
		c[name] = s
		s.launch()
	}
	return c
}

// url lists all servers.
func (c natsCluster) url() string {
	var urls []string
	for _, name := range sortedKeys(c) {
		urls = append(urls, c[name].url())
	}
	return strings.Join(urls, ",")
}

// others are the servers beside the one of that name.
func (c natsCluster) others(name string) []*natsProcess {
	var out []*natsProcess
	for _, n := range slices.DeleteFunc(sortedKeys(c), func(n string) bool { return n == name }) {
		out = append(out, c[n])
	}
	return out
}
