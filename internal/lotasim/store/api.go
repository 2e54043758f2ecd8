package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api"
)

// api is one S3 server on a unix socket, and the way to it.
type api struct {
	server    *s3api.S3ApiServer
	transport *http.Transport
	proxy     http.Handler
	ended     chan struct{} // closed when nothing is served any more
}

// startAPI returns when the server answers.
func startAPI(ctx context.Context, be backend.Backend, who *accounts, region, domain, socket string) (*api, error) {
	listens := make(chan struct{})
	server, err := s3api.New(be, who.root, region, who, nil, nil, nil, nil,
		s3api.WithHostStyle(domain),
		s3api.WithQuiet(),
		s3api.WithOnListen(sync.OnceFunc(func() { close(listens) })),
		s3api.WithConcurrencyLimiter(maxConnections, maxConnections),
	)
	if err != nil {
		return nil, fmt.Errorf("S3 server for %s: %w", domain, err)
	}
	a := &api{server: server, ended: make(chan struct{})}
	a.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableCompression: true, // it would add a header that nobody signed
		DisableKeepAlives:  true, // the server closes connections anyway
	}
	a.proxy = newProxy(a.transport)
	var served error
	go func() {
		defer close(a.ended)
		served = server.ServeMultiPort([]string{socket}) // an error also after a shutdown
	}()
	select {
	case <-listens:
	case <-a.ended:
		return nil, fmt.Errorf("S3 server for %s: %w", domain, served)
	}
	// It listens, but a shutdown before it serves would be lost.
	if err := a.answers(ctx, domain); err != nil {
		return nil, fmt.Errorf("S3 server for %s: %w", domain, errors.Join(err, a.close()))
	}
	return a, nil
}

// answers waits for the first answer, whatever it says.
func (a *api) answers(ctx context.Context, domain string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+domain+"/", nil)
	if err != nil {
		return err
	}
	resp, err := a.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// endTimeout bounds the wait for a server that was told to end.
const endTimeout = 10 * time.Second

// maxConnections is more than any client opens.
const maxConnections = 16 << 10

// newProxy passes requests on as they are, so that the server can verify their
// signatures.
func newProxy(transport http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = r.In.Host // only the dialler's address counts
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			for _, h := range []string{"X-Amz-Request-Id", "X-Amz-Id-2"} {
				if v := r.Header.Get(h); v != "" {
					r.Header.Set(h, v) // the server sends them twice
				}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

func (a *api) close() error {
	if a == nil {
		return nil
	}
	err := a.server.ShutDown()
	select {
	case <-a.ended:
		return err
	case <-time.After(endTimeout):
		return errors.Join(err, errors.New("S3 server: still serving after its shutdown"))
	}
}
