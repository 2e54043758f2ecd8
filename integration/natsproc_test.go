package integration_test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsProcess is a nats-server as a child process, for tests that kill it. Its
// port and its store outlive it.
type natsProcess struct {
	t     *testing.T
	addr  string
	store string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

var natsBuild = struct {
	once sync.Once
	err  error
}{}

// startNATS runs one until the test ends.
func startNATS(t *testing.T) *natsProcess {
	t.Helper()
	path := filepath.Join(builds, "nats-server")
	natsBuild.once.Do(func() {
		if text, err := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
			natsBuild.err = fmt.Errorf("go build nats-server: %w\n%s", err, text)
		}
	})
	if natsBuild.err != nil {
		t.Fatal(natsBuild.err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the server cannot be told to choose and keep a port
	if err != nil {
		t.Fatal(err)
	}
	s := &natsProcess{t: t, addr: ln.Addr().String(), store: t.TempDir()}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// start runs it again after kill or stop, and waits until it answers.
func (s *natsProcess) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.cmd = exec.Command(filepath.Join(builds, "nats-server"), "-a", host, "-p", port, "-js", "-sd", s.store)
	if err := s.cmd.Start(); err != nil {
		s.t.Errorf("start nats-server: %v", err)
		return
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		_ = cmd.Wait()
	}(s.cmd, s.done)
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
