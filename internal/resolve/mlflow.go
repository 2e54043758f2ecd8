package resolve

import (
	"context"
	"errors"
	"path"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Marks says which marks of a model version ask for it to be served.
type Marks interface {
	Alias(alias string) bool
	Tag(key, value string) bool
}

// MLflow finds versions of models in MLflow's registry.
type MLflow struct {
	tracking    *Tracking
	destination object.Ref
	marks       func() Marks
	again       []time.Duration
}

// NewMLflow asks tracking, nil for no server. Destination is where the server keeps
// what it names as "mlflow-artifacts:", as its option --artifacts-destination has
// it; zero: not known. Marks are those that count now.
func NewMLflow(tracking *Tracking, destination object.Ref, marks func() Marks) *MLflow {
	return &MLflow{tracking: tracking, destination: destination, marks: marks, again: []time.Duration{300 * time.Millisecond, time.Second, 2 * time.Second}}
}

// Close ends the connections that are idle.
func (m *MLflow) Close() {
	if m.tracking != nil {
		m.tracking.Close()
	}
}

// Versions lists a workspace of the registry, as Tracking.Versions does: all of it,
// or what has a mark that asks for it to be served.
func (m *MLflow) Versions(ctx context.Context, workspace string, marked bool, yield func(events.Artifact) error) error {
	if m.tracking == nil {
		return nowhere(events.Artifact{Registry: events.MLflow}, "no tracking server is known")
	}
	marks := m.marks()
	return m.tracking.Versions(ctx, workspace, func(v Version) error {
		if marked && !v.Marked(marks) {
			return nil
		}
		return yield(v.Artifact)
	})
}

// Find asks where the files of a version are. An event about a mark that does not
// ask for the version is skipped.
func (m *MLflow) Find(ctx context.Context, ev events.Event) (events.Event, error) {
	a := ev.Artifact
	if what, serves := m.serves(a); !serves {
		ev.Skip, ev.Note = outcome.NotActionable, "MLflow's "+what+" does not say that the version is to be served"
		return ev, nil
	}
	switch {
	case (a.Name == "" || a.Version == "") && a.URI == "":
		return ev, nowhere(a, "the event names no version of a model")
	case m.tracking == nil:
		return ev, nowhere(a, "the event does not tell where in S3 its files are, and no tracking server is known")
	}
	uri, err := m.place(ctx, a)
	if err != nil {
		return ev, err
	}
	ev.Prefix, err = directory(a, m.behind(uri))
	return ev, err
}

// behind is uri, or where in S3 it leads if the server keeps that to itself
// (mlflow-artifacts:/path, perhaps with its own host): it has the path below its
// destination.
func (m *MLflow) behind(uri string) string {
	path, proxied := strings.CutPrefix(uri, "mlflow-artifacts:")
	if host, found := strings.CutPrefix(path, "//"); found {
		_, path, _ = strings.Cut(host, "/")
	}
	if path = strings.Trim(path, "/"); !proxied || path == "" || m.destination.Bucket == "" {
		return uri
	}
	return join(m.destination.String(), path)
}

// place asks the server. One that reads from a replica of its database may not
// know at once what it has just told of by a webhook, so it is asked again for a
// moment before the event is given up.
func (m *MLflow) place(ctx context.Context, a events.Artifact) (string, error) {
	for _, pause := range m.again {
		uri, err := m.tracking.Place(ctx, a)
		if !errors.Is(err, errAbsent) {
			return uri, err
		}
		select {
		case <-ctx.Done():
			return "", interrupted(ctx)
		case <-time.After(pause):
		}
	}
	return m.tracking.Place(ctx, a)
}

// serves says whether what the event is about asks for the version.
func (m *MLflow) serves(a events.Artifact) (what string, ok bool) {
	switch {
	case a.Ref != "":
		return "alias " + quote(a.Ref), m.marks().Alias(a.Ref)
	case a.TagKey != "":
		return "tag " + quote(a.TagKey) + " = " + quote(a.TagValue), m.marks().Tag(a.TagKey, a.TagValue)
	}
	return "version", true
}

// DefaultMarks are those that count where nothing else is configured.
type DefaultMarks struct{}

// Alias says that an alias is one of those that mean production.
func (DefaultMarks) Alias(alias string) bool {
	for _, pattern := range []string{"champion", "prod", "prod-*", "prod_*", "production"} {
		if ok, err := path.Match(pattern, strings.ToLower(alias)); ok && err == nil {
			return true
		}
	}
	return false
}

// Tag is Alias for the stages that MLflow once had.
func (m DefaultMarks) Tag(key, value string) bool {
	return strings.EqualFold(key, "stage") && m.Alias(value)
}
