package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
)

// refusals is what the NATS server has not permitted. The client says so beside
// the call, which only sees that no answer comes.
type refusals struct {
	mu   sync.Mutex
	last error
}

// heard is a handler of the client's errors.
func (r *refusals) heard(_ *nats.Conn, _ *nats.Subscription, err error) {
	if r == nil || !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = err
}

// explain adds the last of them to err, when that is about an answer that did
// not come.
func (r *refusals) explain(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	coded, _ := errors.AsType[*exitError](err)
	late := errors.Is(err, context.DeadlineExceeded) || coded != nil && coded.code == exitTimeout
	if r.last == nil || !late {
		return err
	}
	return fmt.Errorf("%w; NATS has refused this user: %w", err, r.last)
}
