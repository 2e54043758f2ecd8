package prestage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

const (
	dialTimeout    = 5 * time.Second
	idleTimeout    = 90 * time.Second
	maxHeaderBytes = 64 << 10
	// maxBodyBytes is above the largest body that is of use: an index of 16 MiB,
	// or a page of 1,000 keys of 1 KiB, escaped.
	maxBodyBytes = 32 << 20
)

// NewTransport is the one transport for requests to LOTA. It keeps as many
// connections as there are fills at once (with the SDK's own transport 3,000
// HEADs, 300 at once, were seen to open 2,000 connections), uses no proxy,
// speaks HTTP/1.1, and waits for an answer no longer than the longest request may
// take.
// A dial that is not empty ("host:port") is dialled for every address instead
// of what its name resolves to.
func NewTransport(concurrency int, longest time.Duration, dial string) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	idle := concurrency + 16 // listings and bucket probes besides the fills
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dial != "" {
				addr = dial
			}
			return dialer.DialContext(ctx, network, addr)
		},
		Protocols:              protocols,
		DisableCompression:     true,
		MaxIdleConns:           idle,
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        idleTimeout,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  longest,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// sentry lets only virtual-hosted requests to the endpoint pass, so that
// nothing (an endpoint that is an IP address, a bucket with a dot, a setting of
// the SDK) makes us send a signed request elsewhere or in path style. Of the
// answers it passes on what this package reads: the SDK gives up on a whole
// answer when one header that nobody asked for does not parse.
type sentry struct {
	endpoint *url.URL
	next     http.RoundTripper
}

func (s *sentry) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := s.check(r); err != nil {
		return nil, &outcome.Error{
			Op: "send", Class: outcome.Refused, Reason: outcome.BadRequest, Err: err,
			Hint: "LOTA takes virtual-hosted requests only: the endpoint must be a host name, not an IP address",
		}
	}
	resp, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Header = wanted(resp.Header)
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxBodyBytes}
	return resp, nil
}

func (s *sentry) check(r *http.Request) error {
	bucket, ok := strings.CutSuffix(r.URL.Host, "."+s.endpoint.Host)
	_, notIP := netip.ParseAddr(s.endpoint.Hostname())
	switch {
	case notIP == nil:
		return fmt.Errorf("refused to send to the IP address %q", s.endpoint.Host)
	case r.URL.Scheme != s.endpoint.Scheme:
		return fmt.Errorf("refused to send with scheme %q", r.URL.Scheme)
	case !ok || (r.Host != "" && r.Host != r.URL.Host):
		return fmt.Errorf("refused to send to host %q: not a bucket of %q", r.URL.Host, s.endpoint.Host)
	}
	return object.CheckBucket(bucket)
}

// wantedHeaders are those of an answer that are read by anyone.
var wantedHeaders = []string{
	"Content-Length", "Content-Range", "Content-Type", "Date", "Etag", "Location", "Retry-After",
	"X-Amz-Bucket-Region", "X-Amz-Request-Id", "X-Amz-Storage-Class", "X-Amz-Version-Id",
}

func wanted(h http.Header) http.Header {
	out := make(http.Header, len(wantedHeaders)+1)
	for _, name := range wantedHeaders {
		if v, ok := h[name]; ok {
			out[name] = v[:1]
		}
	}
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		out.Set("Last-Modified", t.UTC().Format(http.TimeFormat))
	}
	return out
}

// errLongBody ends the reading of a body without a sensible length.
var errLongBody = errors.New("answer longer than 32 MiB")

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongBody
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
