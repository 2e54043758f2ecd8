package status

import (
	"testing"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

func TestNames(t *testing.T) {
	t.Parallel()
	ref := object.Ref{Bucket: "b", Key: "k"}
	image := events.Artifact{Registry: events.OCI, Name: "ml/llm"}
	for want, ev := range map[string]events.Event{
		"":                                       {Skip: outcome.NotActionable, Artifact: image},
		"s3://b/k":                               {Objects: []object.Attrs{{Ref: ref}}},
		"2 objects":                              {Objects: []object.Attrs{{Ref: ref}, {Ref: object.Ref{Bucket: "b", Key: "l"}}}},
		"what s3://b/k lists":                    {Manifest: ref},
		"what the removal of s3://b/k completes": {Removed: []object.Ref{ref}},
		"oci ml/llm":                             {Artifact: image},
		"oci ml/llm and 2 more":                  {Artifact: image, Others: make([]events.Artifact, 2)},
	} {
		if got := names(ev); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
