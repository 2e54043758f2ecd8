package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/persist"
)

// receipts stores Receipts in JetStream KV. Its calls wait while NATS is
// unreachable; their only errors are those of ctx, errOutlived, and that of a
// server which takes no message of even a receipt's least size.
type receipts struct {
	kv     jetstream.KeyValue
	events messages
	retry  *persist.Retrier
	log    *slog.Logger
}

// messages is the part of the event stream that tells what it holds.
type messages interface {
	GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error)
}

// errOutlived says that the receipt under this key belongs to another message:
// the stream was deleted and made anew while the delivery was in hand.
var errOutlived = errors.New("the stream was made anew and has another message of this sequence")

// held is a receipt as stored. rev is 0 when there is none; a receipt of
// another incarnation of the stream counts as none, but has a revision.
type held struct {
	Receipt
	rev uint64
}

// read returns what is stored for want's message.
func (s *receipts) read(ctx context.Context, key string, want Receipt) (held, error) {
	var h held
	err := s.retry.Do(ctx, func(ctx context.Context) error {
		var err error
		h, err = s.get(ctx, key, want)
		return err
	})
	return h, err
}

func (s *receipts) get(ctx context.Context, key string, want Receipt) (held, error) {
	entry, err := s.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return held{}, nil
	}
	if err != nil {
		return held{}, fmt.Errorf("read receipt: %w", err)
	}
	h := held{rev: entry.Revision()}
	var r Receipt
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		// Not ours, or damaged: the message decides anew and replaces it.
		s.log.LogAttrs(ctx, slog.LevelWarn, "receipt cannot be read and is replaced",
			slog.String("key", key), slog.Any("error", err))
		return h, nil
	}
	if r.StreamTime.Equal(want.StreamTime) {
		h.Receipt = r
		return h, nil
	}
	ours, err := s.owns(ctx, want, r)
	if err != nil {
		return h, err
	}
	if !ours {
		return h, persist.Final(errOutlived)
	}
	return h, nil
}

// owns says whether want's message, rather than that of the receipt stored, is
// the one that the stream has now. Their timestamps alone do not tell which
// incarnation is the later one: a stream may have been restored from a backup,
// and clocks are set back.
//
// When the stream has no message of that sequence (it expired or was purged
// while we worked), no promise holds for either. The later timestamp is then
// the better guess, and a message that is only missing on the server that
// answered comes again, because the one who gives way settles nothing.
func (s *receipts) owns(ctx context.Context, want, stored Receipt) (bool, error) {
	m, err := s.events.GetMsg(ctx, want.StreamSeq)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound), persist.Mangled(err):
		return want.StreamTime.After(stored.StreamTime), nil
	case err != nil:
		return false, fmt.Errorf("read message %d: %w", want.StreamSeq, err)
	}
	return m.Time.Equal(want.StreamTime), nil
}

// write stores r in place of revision rev and returns what then stands: r, or
// the final receipt of another replica that was faster (won is false). A
// pending one of another replica is replaced. Where the server does not take a
// receipt of that size, the list of failures gives way.
func (s *receipts) write(ctx context.Context, key string, r Receipt, rev uint64) (stands Receipt, won bool, err error) {
	err = s.retry.Do(ctx, func(ctx context.Context) error {
		value, err := json.Marshal(r)
		if err != nil {
			return persist.Final(fmt.Errorf("encode receipt: %w", err))
		}
		if rev == 0 {
			_, err = s.kv.Create(ctx, key, value)
		} else {
			_, err = s.kv.Update(ctx, key, value, rev)
		}
		switch {
		case err == nil:
			stands, won = r, true
			return nil
		case persist.TooLarge(err):
			if len(r.Failures) == 0 && len(r.Busy) == 0 {
				return persist.Final(fmt.Errorf("write receipt: %w", err))
			}
			if len(r.Failures) == 0 {
				r.Busy = nil // so that they are waited for a little longer
			}
			r.Failures = r.Failures[:len(r.Failures)/2]
			return persist.ErrAgain
		case !persist.Conflict(err):
			return fmt.Errorf("write receipt: %w", err)
		}
		now, err := s.get(ctx, key, r)
		if err != nil {
			return err
		}
		if now.Final() {
			// Our own, when only the confirmation of an earlier try was lost.
			same, err := json.Marshal(now.Receipt)
			stands, won = now.Receipt, err == nil && bytes.Equal(same, value)
			return nil
		}
		rev = now.rev
		return persist.ErrAgain
	})
	return stands, won, err
}
