package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/prestage"
)

// isModel says that uri is one of those that models is about.
func (t targets) isModel(uri string) bool { return events.OfMLflow(uri) && !t.Manifest }

// models are requests for those of the URIs that MLflow's tracking server has to
// be asked about. Each is told with what it stands for.
func (t targets) models(ctx context.Context, engine *app.Engine, tell func(string)) ([]prestage.Request, error) {
	var out []prestage.Request
	for _, uri := range t.URIs {
		if !t.isModel(uri) {
			continue
		}
		ev, err := engine.Resolver.Resolve(ctx, events.Event{Artifact: events.Artifact{Registry: events.MLflow, URI: uri}})
		if err != nil {
			return nil, err
		}
		tell(fmt.Sprintf("%s is %s", uri, ev.Prefix))
		out = append(out, prestage.Request{Prefix: ev.Prefix, Seen: time.Now(), Complete: true, Stated: true})
	}
	return out, nil
}

// teller prints what a person wants to see besides the lines of JSON.
func (w world) teller(output string) func(string) {
	return func(text string) {
		if output != "json" {
			fmt.Fprintln(w.stdout, visible(text))
		}
	}
}
