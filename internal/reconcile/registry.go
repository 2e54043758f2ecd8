package reconcile

import (
	"context"
	"fmt"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// Resolver finds out where in S3 the files of an artifact are.
type Resolver interface {
	Resolve(ctx context.Context, ev events.Event) (events.Event, error)
}

// Version looks at everything that a model version of MLflow's registry consists
// of, as Target does. One whose files are not in a bucket that is allowed, or no
// longer, is a Finding and no failure: a registry holds what was never meant to be
// warm, and what was deleted.
func (p *Pass) Version(ctx context.Context, r Resolver, a events.Artifact) (more bool, err error) {
	ev, err := r.Resolve(ctx, events.Event{Artifact: a})
	if err == nil {
		p.model, p.version = a.Name, a.Version
		defer func() { p.model, p.version = "", "" }()
		return p.Target(ctx, prestage.Request{Prefix: ev.Prefix, Complete: true, Seen: p.now()})
	}
	f := Finding{
		URI: "models:/" + a.Name + "/" + a.Version, State: Failed, Size: object.UnknownSize,
		Reason: outcome.As(err).Reason, Why: err.Error(),
	}
	switch outcome.As(err).Class {
	case outcome.Transient, outcome.Interrupted: // of the server, rather than of this version
		return false, fmt.Errorf("look for %s: %w", f.URI, err)
	case outcome.Permanent:
		f.State = Unresolved
	}
	p.report.Targets++
	return true, p.tell(f)
}
