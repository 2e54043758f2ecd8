package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/status"
)

// statusTimeout bounds the reading of a status.
const statusTimeout = 10 * time.Second

// errStatus is all that whoever asks over HTTP is told.
var errStatus = errors.New("the status cannot be read, the log says why")

// serveStatus answers with what "prestage status --output json" prints. With
// ?event= it tells of one event.
func (a *App) serveStatus(w http.ResponseWriter, r *http.Request) {
	var answer any
	var err error
	if id := r.URL.Query().Get("event"); id != "" {
		answer, err = a.eventStatus(r.Context(), id)
	} else {
		answer, err = a.clusterStatus(r.Context())
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if answer == nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	h.Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// clusterStatus is the cluster's, or with an error what this instance alone can
// tell.
func (a *App) clusterStatus(ctx context.Context) (*status.Status, error) {
	source, err := a.statusSource()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		defer cancel()
		var s status.Status
		if s, err = status.Read(ctx, source); err == nil {
			return &s, nil
		}
		err = a.unreadable(ctx, err)
	}
	alone := status.Alone(source, err.Error())
	return &alone, err
}

// eventStatus is nil with an error.
func (a *App) eventStatus(ctx context.Context, id string) (*status.Event, error) {
	source, err := a.statusSource()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	e, err := status.ReadEvent(ctx, source, id)
	if err != nil {
		return nil, a.unreadable(ctx, err)
	}
	return &e, nil
}

func (a *App) unreadable(ctx context.Context, err error) error {
	a.deps.Log.LogAttrs(ctx, slog.LevelWarn, "status cannot be read", slog.Any("error", err))
	return errStatus
}

// statusSource is usable as far as the error leaves that.
func (a *App) statusSource() (status.Source, error) {
	var js jetstream.JetStream
	nc, err := a.state.Load().nc, errUnreachable
	if nc != nil && a.link.IsConnected() {
		js, err = jetstream.New(nc)
	}
	source := a.cfg.StatusSource(js)
	source.Self, source.Expand = a.instance, a.expand
	return source, err
}

func (a *App) expand(ctx context.Context, ev events.Event, subject string, stored time.Time, yield func(prestage.Item) error) error {
	planner, err := a.lota.planner(a.cfg, a.deps.Log)
	if err != nil {
		return err
	}
	return expand(ctx, a.resolver, planner, ev, subject, stored, yield)
}

// instance is what this process knows of itself.
func (a *App) instance() status.Instance {
	out := status.Instance{
		Name: instanceName(a.cfg), Confirm: status.Confirm{Mode: a.cfg.Confirm},
		Breakers: []status.Breaker{}, Tasks: a.desk.Tasks(),
	}
	if err := a.Ready(); err != nil {
		out.NotReady = err.Error()
	}
	lota := a.lota
	out.Endpoint, out.Confirm.Discriminate = lota.addr, lota.tells.Load()
	out.InFlight, out.Limit, out.Ceiling = lota.guard.Load()
	for _, r := range lota.guard.Refusing() {
		out.Breakers = append(out.Breakers, status.Breaker{Bucket: r.Bucket, Reason: r.Reason, Error: r.Why.Error(), Since: r.Since.UTC(), Trial: r.Trial.UTC()})
	}
	return out
}
