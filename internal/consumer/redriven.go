package consumer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/persist"
)

// closeTimeout bounds the closing of a letter: a user who may not delete from
// the stream gets no answer at all.
const closeTimeout = 30 * time.Second

// closeLetter removes the letter of a redriven event that ended well. A letter
// that stays holds up no event: that is a warning.
func (l *Lane) closeLetter(ctx context.Context, d *delivery, r Receipt) {
	well := r.Outcome == Warm || (r.Outcome == Skipped && r.Reason != outcome.DryRun)
	if !well || !l.letters.IsRedriven(d.Header) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	err := l.outbox.retry.Do(ctx, func(ctx context.Context) error {
		err := l.letters.Close(ctx, d.Subject, d.Header, d.Data)
		if errors.Is(err, dlq.ErrOther) {
			return persist.Final(err)
		}
		return err
	})
	if err != nil {
		l.log.LogAttrs(ctx, slog.LevelWarn, "the letter of a redriven event was not closed: purge it",
			slog.String("event", r.EventID), slog.Uint64("seq", d.Seq), slog.Any("error", err))
	}
}
