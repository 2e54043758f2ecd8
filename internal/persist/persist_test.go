package persist_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/persist"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type conn struct{ down atomic.Bool }

func (c *conn) IsConnected() bool { return !c.down.Load() }

var errRefused = errors.New("refused")

func TestDo(t *testing.T) {
	t.Parallel()
	unanswered := errors.New("no answer")
	tests := map[string]struct {
		errs  []error // of the calls, then nil
		want  error
		calls int
		logs  []string
	}{
		"at once":           {nil, nil, 1, nil},
		"final":             {[]error{persist.Final(errRefused)}, errRefused, 1, nil},
		"wrapped final":     {[]error{fmt.Errorf("write: %w", persist.Final(errRefused))}, errRefused, 1, nil},
		"again is no news":  {[]error{persist.ErrAgain, persist.ErrAgain}, nil, 3, nil},
		"an outage":         {[]error{unanswered, unanswered, unanswered}, nil, 4, []string{"does not answer", "answers again"}},
		"ended by an error": {[]error{unanswered, persist.Final(errRefused)}, errRefused, 2, []string{"does not answer", "answers again"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				r := persist.New(new(conn), "bucket", slog.New(slog.NewTextHandler(&log, nil)))
				calls := 0
				err := r.Do(t.Context(), func(context.Context) error {
					calls++
					if calls <= len(tt.errs) {
						return tt.errs[calls-1]
					}
					return nil
				})
				if !errors.Is(err, tt.want) || (err != nil) != (tt.want != nil) || calls != tt.calls {
					t.Errorf("%d calls, error %v; want %d, %v", calls, err, tt.calls, tt.want)
				}
				lines := strings.Count(log.String(), "\n")
				for _, l := range tt.logs {
					if !strings.Contains(log.String(), l) {
						t.Errorf("no %q in the log:\n%s", l, &log)
					}
				}
				if lines != len(tt.logs) {
					t.Errorf("%d lines logged, want %d:\n%s", lines, len(tt.logs), &log)
				}
			})
		})
	}
}

func TestDoSendsNothingWithoutConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(conn)
		c.down.Store(true)
		r := persist.New(c, "bucket", slog.New(slog.DiscardHandler))
		var calls atomic.Int32
		done := make(chan error)
		go func() {
			done <- r.Do(t.Context(), func(context.Context) error { calls.Add(1); return nil })
		}()
		time.Sleep(time.Hour)
		if n := calls.Load(); n != 0 {
			t.Fatalf("%d calls without a connection", n)
		}
		c.down.Store(false)
		if err := <-done; err != nil || calls.Load() != 1 {
			t.Errorf("%d calls, %v", calls.Load(), err)
		}
	})
}

func TestDoEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("drained")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(cause) })
		r := persist.New(new(conn), "bucket", slog.New(slog.DiscardHandler))
		err := r.Do(ctx, func(ctx context.Context) error {
			<-ctx.Done() // nobody answers
			return ctx.Err()
		})
		if !errors.Is(err, cause) {
			t.Errorf("got %v, want %v", err, cause)
		}
		if err := r.Do(ctx, func(context.Context) error { t.Error("called"); return nil }); !errors.Is(err, cause) {
			t.Errorf("got %v, want %v", err, cause)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	api := func(code jetstream.ErrorCode) error {
		return fmt.Errorf("write: %w", &jetstream.APIError{Code: 400, ErrorCode: code})
	}
	tests := map[string]struct {
		err                      error
		conflict, full, tooLarge bool
	}{
		"none":                     {},
		"another":                  {err: errRefused},
		"timeout":                  {err: nats.ErrTimeout},
		"stream missing":           {err: jetstream.ErrStreamNotFound},
		"key exists":               {err: jetstream.ErrKeyExists, conflict: true},
		"revision":                 {err: jetstream.ErrKeyRevisionMismatch, conflict: true},
		"wrong last sequence":      {err: api(10071), conflict: true},
		"the same, replicated":     {err: api(10164), conflict: true},
		"stream full":              {err: api(10077), full: true},
		"account full":             {err: api(10002), full: true},
		"server full":              {err: api(10023), full: true},
		"server's storage full":    {err: api(10047), full: true},
		"above the server's limit": {err: nats.ErrMaxPayload, tooLarge: true},
		"above the stream's limit": {err: jetstream.ErrStreamMessageExceedsMaximum, tooLarge: true},
		"the same, as api error":   {err: api(10054), tooLarge: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := persist.Conflict(tt.err); got != tt.conflict {
				t.Errorf("conflict is %v", got)
			}
			if got := persist.Full(tt.err); got != tt.full {
				t.Errorf("full is %v", got)
			}
			if got := persist.TooLarge(tt.err); got != tt.tooLarge {
				t.Errorf("too large is %v", got)
			}
		})
	}
}
