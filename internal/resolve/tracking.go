package resolve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/prestage/prestage/internal/outcome"
)

// How a tracking server is asked.
const (
	dialTimeout  = 5 * time.Second
	askTimeout   = 10 * time.Second // one question, all of the answer included
	maxQuestions = 8                // at once: events wait here rather than there
	maxHeader    = 64 << 10
	maxAnswer    = 1 << 20 // bytes; one run with all its metrics and tags is a part of that
)

// headerWorkspace names the workspace that a question is about, on servers that
// have several (MLflow 3.10).
const headerWorkspace = "X-MLFLOW-WORKSPACE"

// Tracking asks one MLflow tracking server, by its REST API, version 2.0:
// https://mlflow.org/docs/latest/api_reference/rest-api.html
//
// It calls no other host: redirects are not followed and no proxy is used, since
// either would be given the token. Nothing in an answer is taken for an address.
//
// Errors are *outcome.Error. They name neither the token nor what the server had
// to say beyond MLflow's error code.
type Tracking struct {
	base          *url.URL
	authorization func(ctx context.Context) string
	client        http.Client
	slots         chan struct{}
	rest          rest
}

// NewTracking returns a client of the server below base, which has no credentials.
// The header Authorization has what authorization returns, if that is not empty.
func NewTracking(base *url.URL, authorization func(ctx context.Context) string) *Tracking {
	return &Tracking{
		base: base, authorization: authorization, slots: make(chan struct{}, maxQuestions),
		client: http.Client{
			Transport: &http.Transport{
				DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
				TLSHandshakeTimeout:    dialTimeout,
				MaxIdleConnsPerHost:    maxQuestions,
				IdleConnTimeout:        time.Minute,
				MaxResponseHeaderBytes: maxHeader,
				ForceAttemptHTTP2:      true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)

// Close ends the connections that are idle.
func (t *Tracking) Close() { t.client.CloseIdleConnections() }

// get asks for the resource at path, below the API's own, and decodes the answer,
// a JSON object, into answer.
func (t *Tracking) get(ctx context.Context, workspace string, query url.Values, answer any, path ...string) error {
	if workspace != "" && !isID(workspace) { // no header can have some of what an event may hold
		return fault(outcome.Permanent, 0, hintWorkspace, fmt.Errorf("%s is no name of a workspace", quote(workspace)))
	}
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return interrupted(ctx)
	}
	if err := t.rest.over(time.Now()); err != nil {
		return err
	}
	try, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	u := t.base.JoinPath(append([]string{"api", "2.0", "mlflow"}, path...)...)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(try, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return fault(outcome.Permanent, 0, hintURI, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "prestage")
	if workspace != "" {
		req.Header.Set(headerWorkspace, workspace)
	}
	if value := t.authorization(ctx); value != "" {
		req.Header.Set("Authorization", value)
	}
	e := t.ask(req, answer)
	switch {
	case e != nil && ctx.Err() != nil:
		return interrupted(ctx)
	case e != nil && e.Class == outcome.Transient:
		t.rest.begin(time.Now(), e)
		return e
	}
	t.rest.end() // a refusal is an answer
	if e != nil {
		return e
	}
	return nil
}

func (t *Tracking) ask(req *http.Request, answer any) *outcome.Error {
	resp, err := t.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok { // which repeats the URL
			err = e.Err
		}
		return fault(outcome.Transient, 0, hintDown, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fault(outcome.Transient, resp.StatusCode, hintDown, fmt.Errorf("the answer broke off: %w", err))
	case resp.StatusCode != http.StatusOK:
		return refusal(resp, body)
	case len(body) > maxAnswer:
		return fault(outcome.Refused, 0, hintURI, errTooLarge)
	}
	// The decoder of the standard library ends at a depth of 10,000.
	if err := json.Unmarshal(body, answer); err != nil {
		return fault(outcome.Refused, 0, hintURI, errors.New("the answer is not what MLflow answers: no JSON, or of another shape"))
	}
	return nil
}
