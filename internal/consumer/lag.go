package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/persist"
)

// lagEvery is how often the lane's consumer is looked at. It is the least
// AckWait, so that one that was shortened is known after one redelivery.
const lagEvery = 5 * time.Second

// WatchLag keeps the lane's lag metrics, and the pace of its heartbeats, until
// ctx ends.
func (l *Lane) WatchLag(ctx context.Context, stream jetstream.Stream, cons jetstream.Consumer) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		if err := l.lag(ctx, stream, cons); err != nil && ctx.Err() == nil {
			l.log.LogAttrs(ctx, slog.LevelDebug, "lag unknown", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *Lane) lag(ctx context.Context, stream jetstream.Stream, cons jetstream.Consumer) error {
	ctx, cancel := context.WithTimeout(ctx, lagEvery)
	defer cancel()
	info, err := cons.Info(ctx)
	if err != nil {
		return fmt.Errorf("consumer info: %w", err)
	}
	l.ackWait.set(info.Config.AckWait)
	lag := float64(info.NumPending) + float64(info.NumAckPending)
	l.cfg.Metrics.lag.WithLabelValues(l.name).Set(lag)
	age := 0.0
	if lag > 0 {
		oldest, err := Oldest(ctx, stream, info)
		if err != nil {
			return err
		}
		if !oldest.IsZero() {
			age = max(time.Since(oldest).Seconds(), 0)
		}
	}
	l.cfg.Metrics.oldest.WithLabelValues(l.name).Set(age)
	return nil
}

// Oldest is the time of the first message above the ack floor that the lane's
// filters let through. Messages above the floor may be acked already, so this
// is the age of the oldest unsettled one or a little more. It is zero where that
// one's headers cannot be read.
func Oldest(ctx context.Context, stream jetstream.Stream, info *jetstream.ConsumerInfo) (time.Time, error) {
	filters := info.Config.FilterSubjects
	if info.Config.FilterSubject != "" {
		filters = []string{info.Config.FilterSubject}
	}
	if len(filters) == 0 {
		filters = []string{">"}
	}
	var first time.Time
	for _, f := range filters {
		m, err := stream.GetMsg(ctx, info.AckFloor.Stream+1, jetstream.WithGetMsgSubject(f))
		if errors.Is(err, jetstream.ErrMsgNotFound) || persist.Mangled(err) { // its time is in its headers
			continue
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("oldest message of %s: %w", f, err)
		}
		if first.IsZero() || m.Time.Before(first) {
			first = m.Time
		}
	}
	return first, nil
}
