package persist

import (
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// Link is a connection to NATS as far as it is known without asking it. To ask it
// waits for whatever it does, which takes seconds while it tries a server that says
// nothing: its lock is held until then. The zero Link is not connected. It is a
// Conn.
type Link struct {
	up   atomic.Bool
	most atomic.Int64
}

// Watch is a nats.Option: the connection tells l what becomes of it, and then whom
// it was told to before.
func (l *Link) Watch(o *nats.Options) error {
	found := func(then nats.ConnHandler) nats.ConnHandler {
		return func(nc *nats.Conn) {
			l.most.Store(nc.MaxPayload())
			l.up.Store(true)
			if then != nil {
				then(nc)
			}
		}
	}
	o.ConnectedCB, o.ReconnectedCB = found(o.ConnectedCB), found(o.ReconnectedCB)
	lost := o.DisconnectedErrCB
	o.DisconnectedErrCB = func(nc *nats.Conn, err error) {
		l.up.Store(false)
		if lost != nil {
			lost(nc, err)
		}
	}
	return nil
}

// IsConnected says that there is a connection.
func (l *Link) IsConnected() bool { return l.up.Load() }

// MaxPayload is the largest message that the server takes, in bytes; 0 before the
// first connection.
func (l *Link) MaxPayload() int64 { return l.most.Load() }
