package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/prestage/prestage/internal/consumer"
)

// Place is a message of the stream that was looked at before: its sequence, and
// when it was stored, zero when nobody noted that. A stream that was deleted and
// made anew counts from 1 again, so that a sequence alone may be another's.
type Place struct {
	Seq  uint64
	Time time.Time
}

// readsAtOnce is how many messages are looked up at the same time.
const readsAtOnce = 16

// present are the sequences of those places that the stream still has, sorted.
func present(ctx context.Context, stream jetstream.Stream, places []Place) ([]uint64, error) {
	found := make([]bool, len(places))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for i, p := range places {
		group.Go(func() error {
			m, err := stream.GetMsg(ctx, p.Seq)
			switch {
			case errors.Is(err, jetstream.ErrMsgNotFound):
				return nil
			case err != nil:
				return fmt.Errorf("read message %d: %w", p.Seq, err)
			}
			found[i] = p.Time.IsZero() || m.Time.Equal(p.Time)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var seqs []uint64
	for i, p := range places {
		if found[i] {
			seqs = append(seqs, p.Seq)
		}
	}
	return seqs, nil
}

// digest stands for a list of places, "" for none.
func digest(places []Place) string {
	if len(places) == 0 {
		return ""
	}
	var b strings.Builder
	for _, p := range places {
		fmt.Fprintf(&b, "%d %s,", p.Seq, p.Time.UTC().Format(time.RFC3339Nano))
	}
	return consumer.Hash(b.String())
}

// Sorted are places by their sequences, each once.
func Sorted(places []Place) []Place {
	slices.SortFunc(places, func(a, b Place) int {
		if a.Seq != b.Seq {
			return cmp.Compare(a.Seq, b.Seq)
		}
		return a.Time.Compare(b.Time)
	})
	return slices.CompactFunc(places, func(a, b Place) bool { return a.Seq == b.Seq && a.Time.Equal(b.Time) })
}
