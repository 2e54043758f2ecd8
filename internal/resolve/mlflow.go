package resolve

import (
	"context"
	"path"
	"strings"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
)

// Marks says which marks of a model version ask for it to be served.
type Marks interface {
	Alias(alias string) bool
	Tag(key, value string) bool
}

// MLflow finds versions of models in MLflow's registry.
type MLflow struct {
	// Marks are those that count now; nil: DefaultMarks.
	Marks func() Marks
}

// Find asks where the files of a version are. An event about a mark that does not
// ask for the version is skipped.
func (m *MLflow) Find(_ context.Context, ev events.Event) (events.Event, error) {
	if what, serves := m.serves(ev.Artifact); !serves {
		ev.Skip, ev.Note = outcome.NotActionable, "MLflow's "+what+" does not say that the version is to be served"
		return ev, nil
	}
	return ev, nowhere(ev.Artifact, "MLflow's event does not tell where its files are, and no tracking server is known")
}

// serves says whether what the event is about asks for the version.
func (m *MLflow) serves(a events.Artifact) (what string, ok bool) {
	var marks Marks = DefaultMarks{}
	if m.Marks != nil {
		marks = m.Marks()
	}
	switch {
	case a.Ref != "":
		return "alias " + quote(a.Ref), marks.Alias(a.Ref)
	case a.TagKey != "":
		return "tag " + quote(a.TagKey) + " = " + quote(a.TagValue), marks.Tag(a.TagKey, a.TagValue)
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
