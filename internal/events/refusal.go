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

// advised makes any error of a decoder a refusal that has advice.
func advised(err error, advice string) *refusal {
	full := &refusal{reason: outcome.Malformed, advice: advice, err: err}
	if r, ok := errors.AsType[*refusal](err); ok {
		full.reason = r.reason
		if r.advice != "" {
			full.advice = r.advice
		}
	}
	return full
}

// within is err, of a document that n holds, in the outer document's terms.
func within(n *node, err error, advice string) error {
	r := advised(err, advice)
	r.err = n.errorf("%w", r.err)
	return r
}

// refuse makes any error of a decoder the one that Decode promises.
func refuse(err error, advice string) *outcome.Error {
	r := advised(err, advice)
	return &outcome.Error{Op: "decode", Class: outcome.Permanent, Reason: r.reason, Hint: r.advice, Err: err}
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
