package resolve

import (
	"testing"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
)

func TestDefaultMarks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		events.Artifact

		serves bool
	}{
		{events.Artifact{Ref: "Champion"}, true},
		{events.Artifact{Ref: "production"}, true},
		{events.Artifact{Ref: "prod"}, true},
		{events.Artifact{Ref: "prod-eu"}, true},
		{events.Artifact{Ref: "PROD_eu"}, true},
		{events.Artifact{Ref: "product"}, false},
		{events.Artifact{Ref: "challenger"}, false},
		{events.Artifact{TagKey: "stage", TagValue: "Production"}, true},
		{events.Artifact{TagKey: "Stage", TagValue: "prod-eu"}, true},
		{events.Artifact{TagKey: "stage", TagValue: "staging"}, false},
		{events.Artifact{TagKey: "owner", TagValue: "prod"}, false},
	} {
		tt.Registry = events.MLflow
		ev, err := (&MLflow{}).Find(t.Context(), events.Event{Artifact: tt.Artifact})
		if (ev.Skip == outcome.NotActionable) == tt.serves || (ev.Note == "") != tt.serves || (err != nil) != tt.serves {
			t.Errorf("%+v: skip %q, note %q, error %v", tt.Artifact, ev.Skip, ev.Note, err)
		}
	}
}
