package events

import (
	"errors"
	"fmt"

	"github.com/prestage/prestage/internal/outcome"
)

// refusal is an error that brings a reason and advice of its own. Any other
// error of a decoder means malformed, with the dialect's advice.
type refusal struct {
	reason outcome.Reason
	advice string // "": the dialect's
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }

// unsupported refuses what was understood but is not warmed.
func unsupported(advice, format string, args ...any) error {
	return &refusal{reason: outcome.Unsupported, advice: advice, err: fmt.Errorf(format, args...)}
}

// tooMuch refuses what is beyond a bound that a manifest does not have.
func tooMuch(format string, args ...any) error {
	const advice = "name the objects in a manifest and send its URI"
	return &refusal{reason: outcome.Malformed, advice: advice, err: fmt.Errorf(format, args...)}
}

// refuse makes any error of a decoder the one that Decode promises.
func refuse(err error, advice string) *outcome.Error {
	e := &outcome.Error{
		Op: "decode", Class: outcome.Permanent, Reason: outcome.Malformed, Hint: advice, Err: err,
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		e.Reason = r.reason
		if r.advice != "" {
			e.Hint = r.advice
		}
	}
	return e
}

// maxQuoted bounds how much of a foreign text an error or a note repeats.
const maxQuoted = 64

// quote repeats foreign text for people: cut short, control characters escaped.
func quote(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q…", s[:maxQuoted])
	}
	return fmt.Sprintf("%q", s)
}
