package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
)

// maxHops is how many URIs of MLflow's own are followed from one to the next.
const maxHops = 4

// maxOutputs is how many models of one run are looked at, the latest first.
const maxOutputs = 8

// hintNames is for a URI of MLflow's that says too little.
const hintNames = "want models:/name/version, models:/name@alias, models:/m-id or runs:/id/path"

// Place is the URI at which the files of a are, as the server has it: that of a
// storage, or one that is kept from clients ("mlflow-artifacts:"). It is
// whatever the server says, unchecked.
func (t *Tracking) Place(ctx context.Context, a events.Artifact) (string, error) {
	q, uri := question{t, a}, a.URI
	if a.Name != "" && a.Version != "" && !inS3(uri) {
		var err error
		if uri, err = q.version(ctx, a.Name, a.Version); err != nil {
			return "", err
		}
	}
	return q.follow(ctx, uri)
}

// question is what is asked to place one artifact.
type question struct {
	tracking *Tracking
	of       events.Artifact
}

func (q question) get(ctx context.Context, query url.Values, answer any, path ...string) error {
	err := q.tracking.get(ctx, q.of.Workspace, query, answer, path...)
	if e, ok := errors.AsType[*outcome.Error](err); ok {
		named := *e
		named.Err = fmt.Errorf("%s: %w", nameOf(q.of), e.Err)
		return &named
	}
	return err
}

// follow goes from uri to one that is not MLflow's own.
func (q question) follow(ctx context.Context, uri string) (string, error) {
	for range maxHops {
		scheme, rest, _ := strings.Cut(uri, ":")
		// An authority, as in models://profile@databricks/x/1, names a server.
		path, ours := strings.CutPrefix(rest, "/")
		var err error
		switch strings.ToLower(scheme) {
		case "models":
			if !ours || strings.HasPrefix(path, "/") {
				return "", lost(q.of, hintElsewhere, "it is said to be in the registry of another server")
			}
			uri, err = q.model(ctx, path)
		case "runs":
			uri, err = q.run(ctx, strings.TrimLeft(path, "/"))
		default:
			return uri, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", lost(q.of, hintElsewhere, "more than %d URIs lead from one to the next", maxHops)
}

// model is where a models:/ URI leads: <name>/<version>, <name>@<alias>, or the id
// of a logged model (MLflow 3). Stages and "latest" mean another version from one
// day to the next; MLflow has given them up.
func (q question) model(ctx context.Context, path string) (string, error) {
	name, version, versioned := strings.Cut(path, "/")
	switch at := strings.LastIndex(path, "@"); {
	case at > 0 && !strings.Contains(path[at:], "/"):
		return q.alias(ctx, path[:at], path[at+1:])
	case versioned && isVersion(version):
		return q.version(ctx, name, version)
	case !versioned && isID(path):
		return q.loggedModel(ctx, path)
	}
	return "", lost(q.of, hintNames, "%s is not followed", quote("models:/"+path))
}

var (
	isVersion = regexp.MustCompile(`^[0-9]{1,18}$`).MatchString
	isID      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`).MatchString
)

// version is where the files of a model version are. MLflow notes it when the
// version is created, and answers its source where it has not.
func (q question) version(ctx context.Context, name, version string) (string, error) {
	var answer struct {
		URI string `json:"artifact_uri"`
	}
	err := q.get(ctx, url.Values{"name": {name}, "version": {version}}, &answer, "model-versions", "get-download-uri")
	return answer.URI, err
}

func (q question) alias(ctx context.Context, name, alias string) (string, error) {
	var answer struct {
		Version struct {
			Name, Version string
		} `json:"model_version"`
	}
	if err := q.get(ctx, url.Values{"name": {name}, "alias": {alias}}, &answer, "registered-models", "alias"); err != nil {
		return "", err
	}
	return q.version(ctx, answer.Version.Name, answer.Version.Version)
}

// loggedModel is what MLflow 3 calls a model of a run or an experiment.
func (q question) loggedModel(ctx context.Context, id string) (string, error) {
	m, err := q.logged(ctx, id)
	return m.URI, err
}

type loggedModel struct {
	Name string `json:"name"`
	URI  string `json:"artifact_uri"`
}

func (q question) logged(ctx context.Context, id string) (loggedModel, error) {
	var answer struct {
		Model struct {
			Info loggedModel `json:"info"`
		} `json:"model"`
	}
	err := q.get(ctx, nil, &answer, "logged-models", id)
	return answer.Model.Info, err
}

// run is where the files of a run are, <id> or <id>/<path>. What MLflow 3 calls a
// run's model is not below the run's own files: it is a logged model, which the
// path names.
func (q question) run(ctx context.Context, path string) (string, error) {
	id, below, _ := strings.Cut(strings.TrimRight(path, "/"), "/")
	if !isID(id) {
		return "", lost(q.of, hintNames, "%s is not followed", quote("runs:/"+path))
	}
	var answer struct {
		Run struct {
			Info struct {
				URI string `json:"artifact_uri"`
			} `json:"info"`
			Outputs struct {
				Models []struct {
					ID string `json:"model_id"`
				} `json:"model_outputs"`
			} `json:"outputs"`
		} `json:"run"`
	}
	if err := q.get(ctx, url.Values{"run_id": {id}}, &answer, "runs", "get"); err != nil {
		return "", err
	}
	if answer.Run.Info.URI == "" {
		return "", lost(q.of, hintElsewhere, "the tracking server does not tell where the files of the run are")
	}
	models := answer.Run.Outputs.Models
	for n := len(models) - 1; below != "" && n >= max(0, len(models)-maxOutputs); n-- {
		if !isID(models[n].ID) {
			continue
		}
		m, err := q.logged(ctx, models[n].ID)
		name, rest, _ := strings.Cut(below, "/")
		switch {
		case err != nil && !errors.Is(err, errAbsent):
			return "", err
		case err == nil && m.Name == name && m.URI != "":
			return join(m.URI, rest), nil
		}
	}
	return join(answer.Run.Info.URI, below), nil
}

// join adds a path to a URI.
func join(uri, path string) string {
	if path == "" {
		return uri
	}
	return strings.TrimRight(uri, "/") + "/" + path
}
