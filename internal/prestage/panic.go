package prestage

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// catch is deferred: it makes a panic the failure of one object, and logs its
// stack.
func catch(log *slog.Logger, ref object.Ref, fail func(error)) {
	if v := recover(); v != nil {
		fail(panicked(log, ref, v, debug.Stack()))
	}
}

func panicked(log *slog.Logger, ref object.Ref, v any, stack []byte) *outcome.Error {
	log.Error("panic while handling an object", slog.String("uri", ref.String()),
		slog.Any("panic", v), slog.String("stack", string(stack)))
	return &outcome.Error{
		Op: "warm", Ref: ref, Class: outcome.Failed, Reason: outcome.FillFailed,
		Err: fmt.Errorf("panic: %s", clean(fmt.Sprint(v))),
	}
}
