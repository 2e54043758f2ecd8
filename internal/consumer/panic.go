package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/prestage/prestage/internal/outcome"
)

// process is protocol, in which a panic is the event's own failure: it counts
// as an attempt and ends as a dead letter. Where even that panics nothing can
// be counted, and the message comes back ever later.
func (l *Lane) process(ctx, start context.Context, d *delivery) Settlement {
	ev, decodeErr := l.decode(ctx, d)
	ctx, end := l.trace(ctx, d, ev)
	defer end()
	s, p := try(func() Settlement { return l.protocol(ctx, start, d, ev, decodeErr) })
	if p == nil {
		return s
	}
	l.log.LogAttrs(ctx, slog.LevelError, "panic while handling an event",
		slog.Uint64("seq", d.Seq), slog.Any("panic", p.value), slog.String("stack", string(p.stack)))
	s, again := try(func() Settlement { return l.fail(ctx, start, d, p) })
	if again == nil {
		return s
	}
	delay := backOff(int(min(d.Deliveries, 100))) //nolint:gosec // bounded
	l.log.LogAttrs(ctx, slog.LevelError, "the panic could not be put on record, the event waits",
		slog.Uint64("seq", d.Seq), slog.Any("panic", again.value), slog.String("retry_in", delay.String()))
	return Settlement{Action: Retry, Delay: delay}
}

// fail counts an attempt that came to no decision of its own. It shares as
// little with protocol as it can.
func (l *Lane) fail(ctx, start context.Context, d *delivery, p *caught) Settlement {
	ev, _ := l.decode(ctx, d) // sets the identity even when it fails
	key, blank := l.blank(ev, d)
	held, err := l.receipts.read(ctx, key, blank)
	switch {
	case err != nil:
		return l.cutShort(ctx, start, d, err)
	case held.Final():
		return l.complete(ctx, start, d, held.Receipt)
	}
	if early := held.early(); early > 0 { // it was counted already
		return Settlement{Action: Retry, Delay: early}
	}
	r := blank.after(held.Receipt)
	r.Attempts++
	r.Error = printable("handle event: "+p.String(), maxErrorHeader)
	if r.Attempts < l.cfg.Policy.MaxAttempts {
		return l.postpone(ctx, start, d, key, held.rev, r, decision{
			refusedSince: held.FirstRefusal, busySince: held.BusySince, busy: held.Busy, delay: backOff(r.Attempts),
		})
	}
	r.Outcome, r.Reason = DeadLettered, outcome.FillFailed
	return l.finalise(ctx, start, d, key, held.rev, r)
}

// caught is a panic.
type caught struct {
	value any
	stack []byte
}

func (p *caught) String() string { return fmt.Sprintf("panic: %v", p.value) }

// try calls f and returns its panic.
func try(f func() Settlement) (s Settlement, p *caught) {
	defer func() {
		if v := recover(); v != nil {
			p = &caught{value: v, stack: debug.Stack()}
		}
	}()
	return f(), nil
}

// rescue is deferred around what is told to the server: after a panic it has
// been told nothing, and delivers the message again.
func rescue(ctx context.Context, log *slog.Logger) {
	if v := recover(); v != nil {
		log.LogAttrs(ctx, slog.LevelError, "panic while telling the server of a message, left to redelivery",
			slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	}
}
