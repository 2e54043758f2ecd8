package gateway

import (
	"errors"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/persist"
)

// Link is a connection to NATS that is not asked whether it is one: senders of
// events are to be told at once to come again. The zero Link is not connected.
type Link struct {
	persist.Link

	js atomic.Pointer[jetstream.JetStream]
}

// Use has js be what events are stored with. Its connection is watched.
func (l *Link) Use(js jetstream.JetStream) { l.js.Store(&js) }

// stream is what to store events with, or why there is nothing.
func (l *Link) stream() (jetstream.JetStream, error) {
	js := l.js.Load()
	if js == nil || !l.IsConnected() {
		return nil, errors.New("nats is not reachable")
	}
	return *js, nil
}
