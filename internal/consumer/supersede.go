package consumer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/events"
)

// lookTimeout bounds the question for the last message on a subject. Without an
// answer the event is filled.
const lookTimeout = 2 * time.Second

// superseded says that the last message on the event's subject is a newer
// checkpoint of the same run, so that nobody will read this one. Newer is what
// the stream stored later; steps say nothing, runs roll back. Whatever is not
// sure counts as no: filling what nobody needs is cheap, the reverse is not.
//
// Two messages are no newer checkpoint although they are stored later: the same
// event, sent twice, and a redriven one, which may be older than both.
func (l *Lane) superseded(ctx context.Context, ev events.Event, d *delivery) bool {
	if !l.cfg.Supersede || l.kind != events.KindCheckpoint || ev.Kind != events.KindCheckpoint || ev.Run == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	last, err := l.cfg.Events.GetLastMsgForSubject(ctx, d.Subject)
	if err != nil {
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			l.log.LogAttrs(ctx, slog.LevelDebug, "last message of a subject unknown, the event is filled",
				slog.Uint64("seq", d.Seq), slog.Any("error", err))
		}
		return false
	}
	if last.Sequence <= d.Seq || last.Time.Before(d.Time) || l.letters.IsRedriven(last.Header) {
		return false
	}
	newer, err := l.decode(ctx, &delivery{
		Stream: d.Stream, Seq: last.Sequence, Time: last.Time.UTC(), Subject: last.Subject, Header: last.Header, Data: last.Data,
	})
	return err == nil && newer.Skip == "" && newer.Kind == events.KindCheckpoint && newer.Run == ev.Run &&
		(newer.ID != ev.ID || newer.Source != ev.Source)
}
