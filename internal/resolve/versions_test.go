package resolve

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	const search = api + "model-versions/search?max_results=100"
	s := newServer(t, map[string]answer{
		search: {200, `{"model_versions": [
			{"name": "llama", "version": "3", "creation_timestamp": 1763632800000, "last_updated_timestamp": 1763632800000, "current_stage": "None",
			 "source": "models:/m-7c1e", "run_id": "0a1b", "status": "READY", "aliases": ["champion", "a"], "tags": [{"key": "stage", "value": "Production"}]},
			{"name": "late", "version": "1", "status": "PENDING_REGISTRATION"},
			{"name": "greeting", "version": "1", "status": "READY", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}
		], "next_page_token": "eyJv+=/&"}`},
		search + "&page_token=eyJv%2B%3D%2F%26":     {200, `{"model_versions": [{"name": "old", "version": "1", "source": "s3://models/old"}], "next_page_token": ""}`},
		api + "model-versions/search?max_results=1": {403, `{"error_code": "PERMISSION_DENIED"}`},
	})
	var got []Version
	keep := func(v Version) error { got = append(got, v); return nil }
	if err := s.tracking(t).Versions(t.Context(), "", keep); err != nil {
		t.Fatal(err)
	}
	want := []Version{
		{
			Artifact: events.Artifact{Registry: events.MLflow, Name: "llama", Version: "3", URI: "models:/m-7c1e"},
			Aliases:  []string{"champion", "a"}, Tags: map[string]string{"stage": "Production"},
		},
		{Artifact: events.Artifact{Registry: events.MLflow, Name: "old", Version: "1", URI: "s3://models/old"}, Tags: map[string]string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if e := outcome.As(s.tracking(t).Check(t.Context())); e.Class != outcome.Refused || !strings.Contains(e.Error(), "MLFLOW_TRACKING_TOKEN") {
		t.Error(e)
	}
	enough := errors.New("enough")
	if err := s.tracking(t).Versions(t.Context(), "", func(Version) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}

	// A registry that goes round in circles.
	s.then(search, answer{200, `{"next_page_token": "a"}`})
	s.then(search+"&page_token=a", answer{200, `{"next_page_token": "a"}`})
	if err := s.tracking(t).Versions(t.Context(), "", keep); err == nil || !strings.Contains(err.Error(), "comes again") {
		t.Error(err)
	}
}

// TestVersionsOfAWorkspace: the workspace goes along from the list to the question
// where a version's files are.
func TestVersionsOfAWorkspace(t *testing.T) {
	t.Parallel()
	s := newServer(t, map[string]answer{api + "model-versions/search?max_results=100": {200, `{"model_versions": [{"name": "llama", "version": "3"}]}`}})
	tracking := s.tracking(t)
	var got []Version
	if err := tracking.Versions(t.Context(), "team-a", func(v Version) error { got = append(got, v); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Workspace != "team-a" || s.header.Get(headerWorkspace) != "team-a" {
		t.Errorf("%+v, asked with %q", got, s.header.Get(headerWorkspace))
	}
	if e := outcome.As(tracking.Versions(t.Context(), "team a", nil)); e.Class != outcome.Permanent {
		t.Error(e)
	}
}

// TestLargePages: versions whose descriptions and tags fill an answer are asked for
// a few at a time, and one that alone is too large is told.
func TestLargePages(t *testing.T) {
	t.Parallel()
	large := answer{200, `{"model_versions": [], "x": "` + strings.Repeat("x", maxAnswer) + `"}`}
	search := func(size int) string { return fmt.Sprintf("%smodel-versions/search?max_results=%d", api, size) }
	s := newServer(t, map[string]answer{
		search(100): large, search(50): large,
		search(25):                   {200, `{"model_versions": [{"name": "a", "version": "1"}], "next_page_token": "p"}`},
		search(25) + "&page_token=p": {200, `{"model_versions": [{"name": "b", "version": "1"}], "next_page_token": "q"}`},
		search(25) + "&page_token=q": large,
		search(12) + "&page_token=q": large,
		search(6) + "&page_token=q":  large,
		search(3) + "&page_token=q":  large,
		search(1) + "&page_token=q":  large,
	})
	var names []string
	err := s.tracking(t).Versions(t.Context(), "", func(v Version) error { names = append(names, v.Name); return nil })
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(err, errTooLarge) {
		t.Error(err)
	}
}

func TestMarked(t *testing.T) {
	t.Parallel()
	for want, all := range map[bool][]Version{
		true:  {{Aliases: []string{"a", "champion"}}, {Tags: map[string]string{"owner": "x", "stage": "production"}}},
		false: {{}, {Aliases: []string{"a"}, Tags: map[string]string{"stage": "staging"}}},
	} {
		for _, v := range all {
			if v.Marked(DefaultMarks{}) != want {
				t.Errorf("%+v: %v", v, !want)
			}
		}
	}
}
