package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// listener is a port and what serves there.
type listener struct {
	name     string
	listener net.Listener
	server   *http.Server
	grace    time.Duration // that requests under way have when it closes
}

// listen binds addr, which setting named, and says so.
func listen(ctx context.Context, name, setting, addr string, grace time.Duration, log *slog.Logger) (*listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &SettingError{setting, addr, fmt.Sprintf("cannot be listened on: %v", err)}
	}
	log.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("name", name), slog.String("addr", l.Addr().String()))
	return &listener{name: name, listener: l, grace: grace}, nil
}

// listenAdmin binds the operator's listener. Nothing on it changes state. ready
// says why the program is not ready, or nil; pages are what else can be got.
func listenAdmin(ctx context.Context, addr string, reg prometheus.Gatherer, ready func() error, pages map[string]http.HandlerFunc, log *slog.Logger) (*listener, error) {
	l, err := listen(ctx, "admin", "PRESTAGE_HTTP_ADDR", addr, time.Second, log)
	if err != nil {
		return nil, err
	}
	routes := map[string]http.HandlerFunc{
		"/healthz": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") },
		"/readyz": func(w http.ResponseWriter, _ *http.Request) {
			if err := ready(); err != nil {
				http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintln(w, "ok")
		},
		"/metrics": promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP,
	}
	maps.Copy(routes, pages)
	mux := http.NewServeMux()
	for path, answer := range routes {
		mux.HandleFunc("GET "+path, answer)
	}
	l.server = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	return l, nil
}

func (l *listener) serve() error {
	serve := l.server.Serve
	if l.server.TLSConfig != nil {
		serve = func(listener net.Listener) error { return l.server.ServeTLS(listener, "", "") }
	}
	if err := serve(l.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s listener: %w", l.name, err)
	}
	return nil
}

// close lets requests under way finish for the grace time.
func (l *listener) close(ctx context.Context) {
	defer l.listener.Close()
	if l.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.grace)
	defer cancel()
	if l.server.Shutdown(ctx) != nil {
		_ = l.server.Close()
	}
}
