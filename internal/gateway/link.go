package gateway

import (
	"errors"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Link is a connection to NATS as far as it is known without asking it. To ask it
// waits for whatever it does, which takes seconds while it tries a server that says
// nothing; senders of events are to be told at once to come again. The zero Link
// is not connected.
type Link struct {
	js   atomic.Pointer[jetstream.JetStream]
	up   atomic.Bool
	most atomic.Int64 // bytes of a message
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

// Use has js be what events are stored with. Its connection is watched.
func (l *Link) Use(js jetstream.JetStream) { l.js.Store(&js) }

// stream is what to store events with, or why there is nothing.
func (l *Link) stream() (jetstream.JetStream, error) {
	js := l.js.Load()
	if js == nil || !l.up.Load() {
		return nil, errors.New("nats is not reachable")
	}
	return *js, nil
}
