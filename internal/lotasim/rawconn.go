package lotasim

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// rawConn is a connection taken over from net/http, to do to it what a handler
// cannot.
type rawConn struct {
	net.Conn
	buf *bufio.ReadWriter
}

// takeOver is nil where the server doesn't let go of the connection.
func takeOver(w http.ResponseWriter) *rawConn {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	return &rawConn{Conn: conn, buf: buf}
}

func (c *rawConn) close() {
	if c != nil {
		_ = c.Close() // nothing is lost: every Write went straight to the socket
	}
}

// reset cuts the connection with a TCP RST.
func (x *exchange) reset() {
	c := takeOver(x.w)
	if c == nil {
		x.dead = true
		return
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the peer would see an orderly end
	}
	c.close()
	x.dead = true
}

// writeSlowly sends the header byte by byte in the rule's time, and leaves the
// connection to the body.
func (x *exchange) writeSlowly(status int) {
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	h := x.Header().Clone()
	h.Set("Connection", "close")
	_ = h.Write(&head) // a buffer takes everything
	head.WriteString("\r\n")

	c := takeOver(x.w)
	if c == nil {
		x.w.WriteHeader(status)
		return
	}
	x.slowConn = c
	pause := x.slow / time.Duration(head.Len())
	for _, b := range head.Bytes() {
		x.wait(pause)
		if x.dead {
			break
		}
		if _, err := c.Write([]byte{b}); err != nil {
			x.dead = true
			break
		}
	}
	if x.dead {
		c.close()
	}
}

// body is where the answer's body goes.
func (x *exchange) body() io.Writer {
	switch {
	case x.slowConn == nil:
		return x.w
	case x.r.Method == http.MethodHead:
		return io.Discard
	}
	return x.slowConn
}
