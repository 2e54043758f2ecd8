package dlq

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// link carries connections to a server, and fails once in the middle of what the
// server sends.
type link struct {
	url    string
	left   atomic.Int64 // bytes until then; above what is ever sent: never
	once   sync.Once
	fail   func() error // what happens then
	failed atomic.Bool
}

func newLink(t *testing.T, target string) *link {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{url: "nats://" + ln.Addr().String()}
	l.left.Store(1 << 40)
	var work sync.WaitGroup
	t.Cleanup(func() { // after the clients, which are closed first
		_ = ln.Close()
		work.Wait()
	})
	work.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(target, "nats://"))
			if err != nil {
				_ = client.Close()
				continue
			}
			work.Go(func() {
				_, _ = io.Copy(server, client)
				_ = server.Close()
			})
			work.Go(func() {
				_, _ = io.Copy(client, failing{server, l})
				_ = client.Close()
			})
		}
	})
	return l
}

// failAfter has the link fail after so many bytes.
func (l *link) failAfter(n int64, fail func() error) {
	l.fail = fail
	l.left.Store(n)
}

// stall is longer than silence is taken for.
func stall() error {
	time.Sleep(quiet + time.Second)
	return nil
}

func cut() error { return io.ErrUnexpectedEOF }

// failing is what the server sends.
type failing struct {
	io.Reader

	link *link
}

func (h failing) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if h.link.left.Add(int64(-n)) < 0 {
		h.link.once.Do(func() {
			err = h.link.fail()
			h.link.failed.Store(true)
		})
	}
	return n, err
}
