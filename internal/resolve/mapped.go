package resolve

import (
	"context"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/rules"
)

// HuggingFace finds where a repository of the Hub is copied to, by the rules that
// hold now.
type HuggingFace struct{ Rules func() *rules.Set }

// Find asks the rules file. Whether the copy is there yet is seen when it is
// listed.
func (h HuggingFace) Find(_ context.Context, ev events.Event) (events.Event, error) {
	a := ev.Artifact
	place, err := h.Rules().HuggingFacePlace(a.Name, a.Ref, a.Version)
	return mapped(ev, place, err)
}

// WandB finds where the files of an artifact of Weights & Biases are, by the rules
// that hold now.
type WandB struct{ Rules func() *rules.Set }

// Find asks the rules file.
func (w WandB) Find(_ context.Context, ev events.Event) (events.Event, error) {
	a := ev.Artifact
	place, err := w.Rules().WandBPlace(a.Name, a.Version, a.Ref)
	return mapped(ev, place, err)
}

// mapped is ev with the place for a target.
func mapped(ev events.Event, place rules.Place, err error) (events.Event, error) {
	if err != nil {
		return ev, nowhere(ev.Artifact, err.Error())
	}
	ref, err := object.ParseURI(place.URI)
	if err == nil {
		err = object.CheckKey(ref.Key)
	}
	switch {
	case err != nil:
		return ev, nowheref(ev.Artifact, "%s of the rules file makes no place of it: %v", place.Source, err)
	case ref.IsPrefix():
		ev.Prefix = ref
	default:
		ev.Objects = []object.Attrs{{Ref: ref, Size: object.UnknownSize}}
	}
	ev.Note = "found by " + place.Source + " of the rules file: " + quote(place.URI)
	return ev, nil
}
