package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/prestage"
)

// artifactOf is the artifact of a registry that uri names: models:/ and runs:/ as
// MLflow has them, hf://OWNER/NAME@REVISION, wandb://COLLECTION:VERSION,
// oci://REPOSITORY@DIGEST.
func artifactOf(uri string) (a events.Artifact, ok bool) {
	scheme, rest, _ := strings.Cut(uri, "://")
	switch {
	case events.OfMLflow(uri):
		return events.Artifact{Registry: events.MLflow, URI: uri}, true
	case scheme == "hf":
		a.Registry = events.HuggingFace
		a.Name, a.Version, _ = strings.Cut(rest, "@")
		if !commit.MatchString(a.Version) {
			a.Ref = "refs/heads/" + cmp.Or(a.Version, "main")
		}
	case scheme == "wandb":
		a.Registry = events.WandB
		a.Name, a.Version, _ = strings.Cut(rest, ":")
		a.Ref = a.Version // it may be an alias
	case scheme == "oci":
		a.Registry = events.OCI
		a.Name, a.Version, _ = strings.Cut(rest, "@")
	}
	return a, a.Named()
}

// commit is the id of one.
var commit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// isModel says that uri is one of those that models is about.
func (t targets) isModel(uri string) bool {
	_, ok := artifactOf(uri)
	return ok && !t.Manifest
}

// models are requests for those of the URIs that name artifacts of registries. Each
// is told with what it stands for.
func (t targets) models(ctx context.Context, engine *app.Engine, tell func(string)) ([]prestage.Request, error) {
	var out []prestage.Request
	for _, uri := range t.URIs {
		if !t.isModel(uri) {
			continue
		}
		artifact, _ := artifactOf(uri)
		ev, err := engine.Resolver.Resolve(ctx, events.Event{Artifact: artifact})
		if err != nil {
			return nil, err
		}
		r := prestage.Request{Prefix: ev.Prefix, Objects: ev.Objects, Subject: t.Subject, Seen: time.Now(), Complete: true, Stated: true}
		text := fmt.Sprintf("%s is %s", uri, title(r))
		if ev.Note != "" {
			text += ", " + ev.Note
		}
		tell(text)
		out = append(out, r)
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
