package resolve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/prestage/prestage/internal/outcome"
)

// What an operator does about an answer.
const (
	hintAbsent    = "see whether it was deleted, and whether MLFLOW_TRACKING_URI leads to the registry that the event is from"
	hintDown      = "see whether the server is up that MLFLOW_TRACKING_URI names"
	hintToken     = "let MLFLOW_TRACKING_TOKEN, or the file that MLFLOW_TRACKING_TOKEN_FILE names, hold a token that may read the registry"
	hintWorkspace = "want letters, digits, - and _, as MLflow names workspaces"
	hintURI       = "see what MLFLOW_TRACKING_URI leads to: want a tracking server's own address, with the path below which it is, and no login page before it"
)

// errAbsent is what an answer comes to that says that there is no such thing.
var errAbsent = errors.New("knows no such thing")

// fault is what went wrong with a question.
func fault(class outcome.Class, status int, hint string, err error) *outcome.Error {
	return &outcome.Error{
		Op: op, Class: class, Reason: outcome.UnresolvableSource, Status: status, Hint: hint,
		Err: fmt.Errorf("tracking server: %w", err),
	}
}

// interrupted says that ctx ended before there was an answer.
func interrupted(ctx context.Context) *outcome.Error {
	return &outcome.Error{Op: op, Class: outcome.Interrupted, Err: context.Cause(ctx)}
}

// refusal reads an answer that is not 200. MLflow's own have a JSON body with an
// error_code; which of them goes with which status is in mlflow/exceptions.py.
// What stands before a server (a proxy, a login page) has none.
func refusal(resp *http.Response, body []byte) *outcome.Error {
	code := errorCode(body)
	what := errors.New(code)
	if code == "" {
		what = errors.New("refused without an error code of MLflow's")
	}
	switch status := resp.StatusCode; {
	case absent(status, code):
		return fault(outcome.Permanent, status, hintAbsent, fmt.Errorf("%w (%s)", errAbsent, code))
	case status == http.StatusNotFound: // a wrong path, or a proxy between two versions of its rules
		return fault(outcome.Failed, status, hintURI, what)
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusConflict,
		status >= http.StatusInternalServerError && status != http.StatusNotImplemented:
		e := fault(outcome.Transient, status, hintDown, what)
		e.RetryAfter = retryAfter(resp.Header)
		return e
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fault(outcome.Refused, status, hintToken, what)
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest:
		return fault(outcome.Refused, status, hintURI, errors.New("a redirect, which is not followed"))
	default:
		return fault(outcome.Refused, status, hintURI, what)
	}
}

// absent says that MLflow does not know what was asked for. For an alias that
// there is not it answers 400.
func absent(status int, code string) bool {
	switch code {
	case "RESOURCE_DOES_NOT_EXIST", "NOT_FOUND":
		return status == http.StatusNotFound
	case "INVALID_PARAMETER_VALUE":
		return status == http.StatusBadRequest
	}
	return false
}

var isErrorCode = regexp.MustCompile(`^[A-Z_]{1,64}$`).MatchString

// errorCode is MLflow's, or empty.
func errorCode(body []byte) string {
	var answer struct {
		ErrorCode string `json:"error_code"`
	}
	if json.Unmarshal(body, &answer) != nil || !isErrorCode(answer.ErrorCode) {
		return ""
	}
	return answer.ErrorCode
}

// maxRetryAfter bounds what a server may ask for.
const maxRetryAfter = 5 * time.Minute

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}
