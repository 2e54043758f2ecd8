package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/status"
)

// statusTimeout bounds the reading of a status.
const statusTimeout = 10 * time.Second

// serveStatus answers with what "prestage status --output json" prints. With
// ?event= it tells of one event.
func (a *App) serveStatus(w http.ResponseWriter, r *http.Request) {
	nc := a.state.Load().nc
	if nc == nil || !nc.IsConnected() {
		http.Error(w, "nats is not reachable", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
	defer cancel()
	js, err := jetstream.New(nc)
	var answer any
	if err == nil {
		if id := r.URL.Query().Get("event"); id != "" {
			answer, err = status.ReadEvent(ctx, a.cfg.StatusSource(js), id)
		} else {
			answer, err = status.Read(ctx, a.cfg.StatusSource(js))
		}
	}
	if err != nil {
		a.deps.Log.LogAttrs(ctx, slog.LevelWarn, "status cannot be read", slog.Any("error", err))
		http.Error(w, "status cannot be read, the log says why", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(answer)
}
