package prestage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// maxRetryAfter bounds how long a server can make us wait.
const maxRetryAfter = 5 * time.Minute

// Hints are the operator's next step. A HEAD's error has no body, so that one
// status has several causes.
const (
	hintBadRequest = "path-style addressing, a wrong AWS_REGION or a stray AWS_SESSION_TOKEN; " +
		"a new bucket needs about a minute"
	hintForbidden = "check the credentials, the organisation's and the bucket's policy, and this host's clock"
	hintNoCreds   = "no credentials can be had: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " +
		"or the pod's identity"
	hintTLS = "LOTA speaks plain HTTP: use an http:// endpoint"
)

// credentialsError is a failure to get credentials, which is no fault of any
// object.
type credentialsError struct{ err error }

// Error leaves out what it does not know: a credential helper may have printed
// anything.
func (e *credentialsError) Error() string {
	if text := known(e.err); text != "" {
		return "get credentials: " + text
	}
	return "get credentials: the provider failed"
}

func (e *credentialsError) Unwrap() error { return e.err }

// classify makes an *outcome.Error of how a request failed. An Unreachable one
// is provisional: a Guard finds out whether the endpoint or only one bucket's
// host cannot be dialled. When ctx has ended, its cause decides if that is an
// *outcome.Error, and else we were interrupted.
func classify(ctx context.Context, op string, ref object.Ref, err error) *outcome.Error {
	if ctx.Err() != nil {
		return ended(ctx, op, ref)
	}
	var (
		own    *outcome.Error
		creds  *credentialsError
		answer *smithyhttp.ResponseError
	)
	e := &outcome.Error{Op: op, Ref: ref, Err: errors.New(brief(err))}
	switch {
	case errors.As(err, &own):
		c := *own
		c.Op, c.Ref = op, ref
		return &c
	case errors.As(err, &creds):
		e.Class, e.Reason, e.Hint = outcome.Refused, outcome.Forbidden, hintNoCreds
		e.Err = creds
	case errors.As(err, &answer) && answer.HTTPStatusCode() != 0 && !success(answer.HTTPStatusCode()):
		return statusError(op, ref, answer.HTTPStatusCode(), answer.HTTPResponse().Header, e.Err)
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, new(tls.RecordHeaderError)),
		errors.As(err, new(*tls.CertificateVerificationError)):
		e.Class, e.Reason, e.Hint = outcome.Refused, outcome.BadRequest, hintTLS
	case notDialled(err):
		e.Class, e.Reason = outcome.Unreachable, outcome.BadRequest
	default: // reset, EOF, response time-out, an answer that cannot be read
		e.Class, e.Reason = outcome.Transient, outcome.FillFailed
		if isTimeout(err) {
			e.Err = timeoutError{e.Err}
		}
	}
	return e
}

// timeoutError is that a request was sent and nothing answered in time.
type timeoutError struct{ error }

// statusError makes an *outcome.Error of an answer without success.
func statusError(op string, ref object.Ref, status int, h http.Header, err error) *outcome.Error {
	e := &outcome.Error{Op: op, Ref: ref, Status: status, Err: err}
	switch {
	case status == http.StatusNotFound:
		e.Class, e.Reason = outcome.Failed, outcome.NotFound
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.Class, e.Reason, e.Hint = outcome.Refused, outcome.Forbidden, hintForbidden
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		e.Class, e.Reason = outcome.Throttled, outcome.FillFailed
		e.RetryAfter = retryAfter(h.Get("Retry-After"), time.Now())
	case status >= 300 && status < 500:
		e.Class, e.Reason, e.Hint = outcome.Refused, outcome.BadRequest, hintBadRequest
	default:
		e.Class, e.Reason = outcome.Transient, outcome.FillFailed
	}
	return e
}

// ended says why ctx ended.
func ended(ctx context.Context, op string, ref object.Ref) *outcome.Error {
	if cause, ok := errors.AsType[*outcome.Error](context.Cause(ctx)); ok {
		c := *cause
		c.Op, c.Ref = op, ref
		return &c
	}
	return &outcome.Error{Op: op, Ref: ref, Class: outcome.Interrupted, Err: errors.New("stopped before the answer")}
}

func success(status int) bool { return status >= 200 && status < 300 }

// notDialled says that no connection was made: no request was sent.
func notDialled(err error) bool {
	var op *net.OpError
	return errors.As(err, new(*net.DNSError)) || (errors.As(err, &op) && op.Op == "dial")
}

// retryAfter reads seconds or an HTTP date (RFC 9110, 10.2.3).
func retryAfter(v string, now time.Time) time.Duration {
	d := time.Duration(0)
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		d = time.Duration(min(max(n, 0), int64(maxRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// brief is the part of an error that a reader needs and may see. The whole text
// can hold a URL with its query, or pages of a server's prose.
func brief(err error) string {
	if text := known(err); text != "" {
		return text
	}
	return clean(innermost(err).Error())
}

// known describes the errors whose parts are known to be harmless.
func known(err error) string {
	var (
		api  smithy.APIError
		path *fs.PathError
		op   *net.OpError
		dns  *net.DNSError
	)
	switch {
	case errors.As(err, &api):
		return clean(api.ErrorCode())
	case errors.As(err, &path):
		return path.Error()
	case errors.As(err, &dns):
		return fmt.Sprintf("look up %q: %s", dns.Name, clean(dns.Err))
	case errors.As(err, &op):
		return op.Error()
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection was closed before the answer"
	case isTimeout(err):
		return "no answer in time"
	}
	return ""
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// clean keeps a word or sentence of a server printable and short.
func clean(s string) string {
	out := make([]rune, 0, min(len(s), 120))
	for _, r := range s {
		if len(out) == 120 {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}
