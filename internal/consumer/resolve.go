package consumer

import (
	"context"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// Resolver finds out where in S3 the files of an event are that names only an
// artifact of a registry. It returns in bounded time, and at once when ctx ends.
type Resolver interface {
	// Resolve returns ev with Objects, Prefix or Manifest set, or with Skip. Errors
	// are *outcome.Error, of class Interrupted when ctx has ended. Beside one there
	// may be Objects, of those artifacts that were found.
	Resolve(ctx context.Context, ev events.Event) (events.Event, error)
}

// Resolve is ev with a target in S3. Most events have one from the beginning.
func (c *Config) Resolve(ctx context.Context, ev events.Event) (events.Event, error) {
	if !ev.Artifact.Named() {
		return ev, nil
	}
	return c.Resolver.Resolve(ctx, ev)
}

// unresolved adds to the report of an attempt that something of it could not even
// be planned.
func unresolved(r *prestage.Report, err error) {
	e := outcome.As(err)
	r.Problems = append(r.Problems, prestage.Problem{Class: e.Class, Reason: e.Reason, Count: 1, RetryAfter: e.RetryAfter, Sample: e})
	if len(r.Failures) < prestage.MaxFailures {
		r.Failures = append(r.Failures, prestage.Failure{Error: e.Error()})
	}
}
