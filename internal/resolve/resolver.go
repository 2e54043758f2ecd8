package resolve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// op is the Op of the errors.
const op = "resolve"

// Finder knows where in S3 the artifacts of one registry are. It is safe for
// concurrent use, and returns in bounded time.
type Finder interface {
	// Find returns ev with Objects, Prefix or Manifest set, or with Skip and Note
	// where nothing is to be done. Errors are *outcome.Error.
	Find(ctx context.Context, ev events.Event) (events.Event, error)
}

// Resolver has a Finder for each registry that it knows. A nil one knows none.
type Resolver struct {
	finders map[events.Registry]Finder
}

// New returns a Resolver with these finders.
func New(finders map[events.Registry]Finder) *Resolver { return &Resolver{finders} }

// Resolve returns ev with a target that is in S3 in place of its Artifact. An
// event that has no Artifact is returned as it is.
//
// One that names several has the objects of those that were found, even beside an
// error: of the errors, that of an artifact that may yet be found, if there is one.
func (r *Resolver) Resolve(ctx context.Context, ev events.Event) (events.Event, error) {
	if !ev.Artifact.Named() || ev.Skip != "" {
		return ev, nil
	}
	others := ev.Others
	ev.Others = nil
	all, err := r.one(ctx, ev)
	for _, a := range others {
		next := ev
		next.Artifact = a
		more, otherErr := r.one(ctx, next)
		all.Objects = union(all.Objects, more.Objects)
		if err == nil || (otherErr != nil && outcome.As(err).Class == outcome.Permanent) {
			err = otherErr
		}
	}
	return all, err
}

// union is a with those of b that are not in it.
func union(a, b []object.Attrs) []object.Attrs {
	has := make(map[object.Ref]bool, len(a))
	for _, o := range a {
		has[o.Ref] = true
	}
	return append(a, slices.DeleteFunc(b, func(o object.Attrs) bool { return has[o.Ref] })...)
}

// one resolves an event that names one artifact.
func (r *Resolver) one(ctx context.Context, ev events.Event) (events.Event, error) {
	if r == nil || r.finders[ev.Artifact.Registry] == nil {
		return ev, nowhere(ev.Artifact, "nothing says where in S3 its files are")
	}
	found, err := r.finders[ev.Artifact.Registry].Find(ctx, ev)
	if err != nil {
		return ev, err
	}
	found.Artifact = events.Artifact{}
	return found, nil
}

// nowhere says that an artifact cannot be found in S3, and why, with the hint of
// its registry.
func nowhere(a events.Artifact, why string) *outcome.Error {
	return nowheref(a, "%s", why)
}

func nowheref(a events.Artifact, format string, args ...any) *outcome.Error {
	return lost(a, hints[a.Registry], format, args...)
}

// lost is nowhere with a hint of its own.
func lost(a events.Artifact, hint, format string, args ...any) *outcome.Error {
	return &outcome.Error{
		Op: op, Class: outcome.Permanent, Reason: outcome.UnresolvableSource, Hint: hint,
		Err: fmt.Errorf("%s: %w", nameOf(a), fmt.Errorf(format, args...)),
	}
}

// hints say what to do about artifacts that cannot be found.
var hints = map[events.Registry]string{
	events.MLflow:      `set MLFLOW_TRACKING_URI; or register versions whose source is an s3:// URI; or publish a native event with the URI of the version's files: {"uri":"s3://bucket/prefix/"}`,
	events.HuggingFace: `copy the repository to a bucket, and let the job that copies publish {"uri":"s3://bucket/prefix/","complete":true} when it is done; or say in PRESTAGE_RULES, under sources, where the copy is`,
	events.WandB:       `put the URI of the files into the artifact's metadata as s3_uri, and "s3_uri":"${artifact_metadata.s3_uri}" into the automation's template; or say in PRESTAGE_RULES, under sources, where the files are`,
	events.OCI:         `say in PRESTAGE_RULES, under sources, where the registry keeps its storage; or publish a native event with the S3 URIs of the image's layers: {"objects":[{"uri":"s3://bucket/key"}]}`,
}

// nameOf names an artifact for people.
func nameOf(a events.Artifact) string {
	text := []string{string(a.Registry)}
	parts := []string{a.Name, a.Version, a.Ref}
	if a.Registry == events.MLflow && a.Name == "" && !strings.Contains(a.URI, "://") { // which a password may follow
		parts = []string{a.URI}
	}
	for _, part := range parts {
		if part != "" {
			text = append(text, quote(part))
		}
	}
	return strings.Join(text, " ")
}

// maxQuoted bounds how much of a foreign text an error or a note repeats.
const maxQuoted = 64

// quote repeats foreign text for people: cut short, control characters escaped.
func quote(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:maxQuoted], ""))
	}
	return fmt.Sprintf("%q", s)
}
