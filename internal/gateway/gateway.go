package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/tracing"
)

// Config is what a Gateway is made from.
type Config struct {
	Link     *Link
	Stream   string // the one that the subjects below have to belong to
	Subjects Subjects
	Keys     map[events.Route]*Keyring
	Insecure bool        // opens routes that were given no secret
	TLS      *tls.Config // of NewTLS; nil: plain HTTP
	// WholeBucket has events stored that name a whole bucket: rules decide.
	WholeBucket bool

	Cluster  string // whose receipts are told
	Receipts string // the KV bucket that they are in

	Tracer *tracing.Tracer // nil: no request has a span
	Log    *slog.Logger
}

// Subjects are where events go, or below.
type Subjects struct {
	Model, Checkpoint, Object string
}

// Gateway is the HTTP handler. Serve it with NewServer.
type Gateway struct {
	cfg     Config
	mux     *http.ServeMux
	sources *sources
	asking  slots         // of those who ask for a receipt
	refused *rate.Limiter // of log lines
}

// route is one way in.
type route struct {
	name  events.Route
	path  string
	keys  *Keyring
	guard guard
	large slots // of those whose body is not small
	store slots
}

// New returns a Gateway.
func New(cfg Config) *Gateway {
	g := &Gateway{cfg: cfg, mux: http.NewServeMux(), sources: newSources(), asking: make(slots, maxInHand), refused: rate.NewLimiter(10, 50)}
	g.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		(&problem{Status: http.StatusNotFound, Detail: "there is no such path; events go to /v1/events, webhooks to /hooks/…"}).write(w)
	})
	g.mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	g.mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := g.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	for _, r := range []route{
		{name: events.RouteEvents, path: "/v1/events", guard: bearer},
		{name: events.RouteMLflow, path: "/hooks/mlflow", guard: mlflowSignature},
		{name: events.RouteWandB, path: "/hooks/wandb", guard: wandbSignature},
		{name: events.RouteHuggingFace, path: "/hooks/huggingface", guard: sharedSecret},
		{name: events.RouteS3, path: "/hooks/s3", guard: bearerOrPassword},
		{name: events.RouteHarbor, path: "/hooks/harbor", guard: authorization},
		{name: events.RouteDistribution, path: "/hooks/distribution", guard: bearer},
	} {
		r.keys, r.large, r.store = cfg.Keys[r.name], make(slots, maxLarge), make(slots, maxInHand)
		g.mux.HandleFunc(r.path, func(w http.ResponseWriter, req *http.Request) {
			req, end := g.cfg.Tracer.Serve(req, r.path)
			end(g.serve(w, req, r))
		})
	}
	return g
}

// ServeHTTP answers a request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, req *http.Request) { g.mux.ServeHTTP(w, req) }

// Ready says why no event can be taken, or nil.
func (g *Gateway) Ready() error {
	_, err := g.cfg.Link.stream()
	return err
}

// serve answers a request for r, and returns the status.
func (g *Gateway) serve(w http.ResponseWriter, req *http.Request, r route) int {
	var p *problem
	done := http.StatusAccepted
	switch {
	case !g.sources.allow(req.RemoteAddr):
		p = &problem{Status: http.StatusTooManyRequests, Detail: "too many requests from this address", retry: time.Second}
	case req.Method == http.MethodGet && r.name == events.RouteEvents:
		done = http.StatusOK
		p = g.tell(w, req, r)
	case req.Method == http.MethodPost:
		p = g.take(w, req, r)
	default:
		allowed := "POST"
		if r.name == events.RouteEvents {
			allowed = "GET, POST"
		}
		w.Header().Set("Allow", allowed)
		p = &problem{Status: http.StatusMethodNotAllowed, Detail: "send the event as the body of a POST"}
	}
	if p == nil {
		return done
	}
	if p.Status == http.StatusUnauthorized && r.guard.scheme != "" {
		w.Header().Set("WWW-Authenticate", r.guard.scheme+` realm="prestage"`)
	}
	p.write(w)
	if g.refused.Allow() { // whoever is refused must not fill the log
		g.cfg.Log.LogAttrs(req.Context(), slog.LevelWarn, "refused", slog.String("route", string(r.name)),
			slog.String("remote", req.RemoteAddr), slog.Int("status", p.Status), slog.String("detail", p.Detail), slog.Any("cause", p.cause))
	}
	return p.Status
}

// seldom is a log for what the server has to say by itself: of TLS handshakes that
// fail, mostly, which is whatever a port scanner sends.
type seldom struct {
	slog.Handler

	limiter *rate.Limiter
}

// Handle leaves out what is too much.
func (s seldom) Handle(ctx context.Context, r slog.Record) error {
	if !s.limiter.Allow() {
		return nil
	}
	return s.Handler.Handle(ctx, r)
}

// NewServer returns a server for g that waits for nobody who is slow. It speaks
// HTTP/1.1 alone, with TLS too: who sends a hook has one request at a time, and
// the limits have one meaning.
func NewServer(g *Gateway) *http.Server {
	only := &http.Protocols{}
	only.SetHTTP1(true)
	return &http.Server{
		Handler:           g,
		TLSConfig:         g.cfg.TLS,
		Protocols:         only,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(seldom{g.cfg.Log.Handler(), g.refused}, slog.LevelWarn),
	}
}
