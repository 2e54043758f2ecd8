package integration_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy carries TCP connections to a target until a test makes it fail: it can
// refuse, cut, hold and delay what passes. Its port stays the same.
type proxy struct {
	target string
	addr   string
	sift   func(io.Reader) io.Reader // what the client sends, nil: all of it passes

	mu    sync.Mutex
	ln    net.Listener // nil while it refuses
	conns map[net.Conn]struct{}
	flow  chan struct{} // closed while bytes may pass
	held  bool
	delay time.Duration // of each chunk, in both directions
	over  bool
	work  sync.WaitGroup
}

// newProxy starts one that lives until the test ends.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	return newSievedProxy(t, target, nil)
}

// newSievedProxy is newProxy with a sieve for what clients send.
func newSievedProxy(t *testing.T, target string, sift func(io.Reader) io.Reader) *proxy {
	t.Helper()
	p := &proxy{target: target, sift: sift, conns: make(map[net.Conn]struct{}), flow: make(chan struct{})}
	close(p.flow)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = ln.Addr().String()
	p.serve(ln)
	t.Cleanup(func() {
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		p.refuse()
		p.cut()
		p.hold(false)
		p.work.Wait()
	})
	return p
}

// refuse closes the listener: new connections are refused, old ones go on.
func (p *proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		_ = p.ln.Close()
		p.ln = nil
	}
}

// accept ends refuse.
func (p *proxy) accept() error {
	p.mu.Lock()
	open := p.ln != nil
	p.mu.Unlock()
	if open {
		return nil
	}
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	p.serve(ln)
	return nil
}

// cut resets all connections, as a crash of the other side does.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// hold lets nothing pass while on is true, without a sign to either side: a
// partition.
func (p *proxy) hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && !p.held:
		p.flow = make(chan struct{})
	case !on && p.held:
		close(p.flow)
	}
	p.held = on
}

// slow delays each chunk by d from now on; 0: not at all.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *proxy) serve(ln net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		_ = ln.Close()
		return
	}
	p.ln = ln
	p.work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.work.Go(func() { p.carry(c) })
		}
	})
}

// carry joins a client with the target until either side ends.
func (p *proxy) carry(client net.Conn) {
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	if !p.pass(client) {
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil || !p.keep(server) {
		return
	}
	defer p.drop(server)
	var both sync.WaitGroup
	var said io.Reader = client
	if p.sift != nil {
		said = p.sift(client)
	}
	both.Go(func() { p.pump(server, client, said) })
	both.Go(func() { p.pump(client, server, server) })
	both.Wait()
}

// pump passes on what from says.
func (p *proxy) pump(to, from net.Conn, said io.Reader) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := said.Read(buf)
		if n > 0 {
			if !p.pass(from) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits as the present fault says; false: the connection is gone.
func (p *proxy) pass(c net.Conn) bool {
	p.mu.Lock()
	flow, delay := p.flow, p.delay
	p.mu.Unlock()
	<-flow
	if delay > 0 {
		time.Sleep(delay)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, alive := p.conns[c]
	return alive && !p.over
}

func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}
