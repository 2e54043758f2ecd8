package outcome

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// Class says what a failure asks for. It is an error itself, so that
// errors.Is(err, outcome.Throttled) works on any *Error.
type Class int

// The classes, by what is done about them.
const (
	Failed      Class = iota + 1 // the object's own failure: counts as an attempt
	Transient                    // perhaps the store's: tried again, counts as nothing
	Throttled                    // 429, 503: slower, counts as nothing
	Refused                      // 400, 403, dead bucket host: waits up to PRESTAGE_GIVE_UP_AFTER
	Unreachable                  // the endpoint itself is down: waits without limit
	Permanent                    // will never succeed: dead letter at once
	Interrupted                  // we stopped it ourselves
)

var classNames = map[Class]string{
	Failed: "failed", Transient: "transient", Throttled: "throttled", Refused: "refused",
	Unreachable: "unreachable", Permanent: "permanent", Interrupted: "interrupted",
}

// Error makes a Class usable with errors.Is.
func (c Class) Error() string { return classNames[c] }

// Error is a failure with everything that a decision or an operator needs.
type Error struct {
	Op         string        // what was tried: "fill", "head", "list", "decode"
	Ref        object.Ref    // zero when it concerns no single object
	Status     int           // HTTP status, 0 when there was none
	Class      Class         // decides
	Reason     Reason        // what a dead letter would say
	RetryAfter time.Duration // what the server asked for, else 0
	Hint       string        // the operator's next step, else ""
	Err        error         // for humans only
}

// Error reads "fill s3://b/k: 403: text (hint)".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Ref.Bucket != "" {
		fmt.Fprintf(&b, " %q", e.Ref)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.Status)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	return b.String()
}

// Unwrap gives the class and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.Err}
}

// As returns err as an *Error. An error that nobody classified is taken for
// the object's own failure, so that it is counted and comes to an end.
func As(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Op: "internal", Class: Failed, Reason: FillFailed, Err: err}
}
