package resolve

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
)

// pageSize is how many versions are asked for at once, and fewer where their answer
// is larger than maxAnswer; servers allow at least a thousand.
const pageSize = 100

// tagPrompt marks what MLflow keeps among the models and is a prompt.
const tagPrompt = "mlflow.prompt.is_prompt"

// Version is a model version as the registry lists it. Its URI is what it was
// registered from.
type Version struct {
	events.Artifact

	Aliases []string
	Tags    map[string]string
}

// Marked says that one of v's aliases or tags is among marks.
func (v Version) Marked(marks Marks) bool {
	if slices.ContainsFunc(v.Aliases, marks.Alias) {
		return true
	}
	for key, value := range v.Tags {
		if marks.Tag(key, value) {
			return true
		}
	}
	return false
}

// Versions lists the versions of all models of a workspace, by pages, those first
// that changed last; "" is the workspace that the server takes where none is named.
// What is not ready, and prompts, are left out. An error of yield ends it.
func (t *Tracking) Versions(ctx context.Context, workspace string, yield func(Version) error) error {
	page, size := "", pageSize
	for {
		versions, next, err := t.page(ctx, workspace, page, size)
		if errors.Is(err, errTooLarge) && size > 1 { // long descriptions, large tags
			size /= 2
			continue
		}
		if err != nil {
			return err
		}
		for _, v := range versions {
			if err := yield(v); err != nil {
				return err
			}
		}
		switch next {
		case "":
			return nil
		case page:
			return fault(outcome.Refused, 0, hintURI, errors.New("the same page comes again"))
		}
		page = next
	}
}

// Check asks for one version, to see whether the registry may be read.
func (t *Tracking) Check(ctx context.Context) error {
	_, _, err := t.page(ctx, "", "", 1)
	return err
}

func (t *Tracking) page(ctx context.Context, workspace, token string, size int) (versions []Version, next string, err error) {
	var answer struct {
		Versions []struct {
			Name, Version, Source, Status string

			Aliases []string
			Tags    []struct{ Key, Value string }
		} `json:"model_versions"`
		Next string `json:"next_page_token"`
	}
	query := url.Values{"max_results": {strconv.Itoa(size)}}
	if token != "" {
		query.Set("page_token", token)
	}
	if err := t.get(ctx, workspace, query, &answer, "model-versions", "search"); err != nil {
		return nil, "", err
	}
	for _, v := range answer.Versions {
		tags := make(map[string]string, len(v.Tags))
		for _, tag := range v.Tags {
			tags[tag.Key] = tag.Value
		}
		if tags[tagPrompt] != "" || (v.Status != "" && v.Status != "READY") {
			continue
		}
		versions = append(versions, Version{
			Artifact: events.Artifact{Registry: events.MLflow, Name: v.Name, Version: v.Version, Workspace: workspace, URI: v.Source},
			Aliases:  v.Aliases, Tags: tags,
		})
	}
	return versions, answer.Next, nil
}
