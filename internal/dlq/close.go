package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
)

// ErrOther says that an event names a letter which is of another event.
var ErrOther = errors.New("the event names a letter that is not its own")

// maxChain bounds how many letters one event closes: its own, the one that this
// was redriven from, and so on.
const maxChain = 64

// IsRedriven says that an event with the header h was redriven from a letter of
// this cluster, or claims so.
func (b *Box) IsRedriven(h nats.Header) bool { return isSubject(h.Get(headerOf), b.cluster) }

// Close removes the letter that a redriven event came from, and the letters that
// this in turn came from; there may be none. Whoever can publish events can name
// any letter, so only one that holds the very same event (subject, headers and
// payload) is removed: what that letter says was not warmed has then been dealt
// with, whoever sent the event.
func (b *Box) Close(ctx context.Context, subject string, h nats.Header, data []byte) error {
	var chain []Letter
	of, at := h.Get(headerOf), h.Get(headerOfTime)
	for range maxChain {
		if !isSubject(of, b.cluster) {
			break
		}
		all, err := b.at(ctx, of)
		if err != nil {
			return err
		}
		parent, parentAt := "", ""
		for _, l := range all {
			if l.raw.Get(HeaderTime) != at || l.Damage != "" {
				continue
			}
			if !l.carries(subject, h, data) {
				return fmt.Errorf("%w: %s", ErrOther, of)
			}
			chain = append(chain, l)
			parent, parentAt = l.Parent, l.raw.Get(OriginalPrefix+headerOfTime)
		}
		of, at = parent, parentAt
	}
	// The first ones first: a letter that is left still leads to its own.
	for _, l := range slices.Backward(chain) {
		if _, err := b.Delete(ctx, l); err != nil {
			return err
		}
	}
	return nil
}
