package rules

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Sources says where in S3 things are that are named otherwise. In each list the
// first element that matches decides.
type Sources struct {
	HuggingFace []HuggingFace `yaml:"huggingface"`
	WandB       []WandB       `yaml:"wandb"`
	OCI         []OCI         `yaml:"oci"`
}

// HuggingFace maps a repository of the Hugging Face Hub to where it is copied to.
type HuggingFace struct {
	Repo string `yaml:"repo"` // glob of "owner/name"
	Ref  string `yaml:"ref"`  // glob of a branch or tag; "": main and all tags
	URI  string `yaml:"uri"`  // template
}

// WandB maps an artifact of Weights & Biases to where its files are.
type WandB struct {
	Collection string `yaml:"collection"` // glob of the collection's name
	Version    string `yaml:"version"`    // glob of a version or alias; "": all
	URI        string `yaml:"uri"`        // template
}

// OCI says where a registry keeps its storage.
type OCI struct {
	Repository string `yaml:"repository"` // glob of the repository's name
	Root       string `yaml:"root"`       // what holds docker/registry/v2
}

// Place is where a source says that something is.
type Place struct {
	URI    string // an s3:// URI
	Source string // what said so, such as "sources.huggingface[0]"
}

// HuggingFacePlace is where a commit of a repository is copied to. Ref is
// "refs/heads/NAME" or "refs/tags/NAME"; empty is main. The error says why nothing
// is known.
func (s *Set) HuggingFacePlace(repo, ref, sha string) (Place, error) {
	if ref == "" {
		ref = "refs/heads/main"
	}
	short := strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
	owner, name, _ := strings.Cut(repo, "/")
	values := map[string]string{"repo": repo, "owner": owner, "name": name, "ref": short, "sha": sha}
	for i, m := range s.sources().HuggingFace {
		released := m.Ref == "" && (short == "main" || strings.HasPrefix(ref, "refs/tags/"))
		if doublestar.MatchUnvalidated(m.Repo, repo) && (released || doublestar.MatchUnvalidated(m.Ref, short)) {
			return filled("huggingface", i, m.URI, values)
		}
	}
	return Place{}, s.unknown("huggingface")
}

// WandBPlace is where the files of a version of an artifact are; an alias will do
// where a source is for one.
func (s *Set) WandBPlace(collection, version, alias string) (Place, error) {
	values := map[string]string{"collection": collection, "version": version}
	for i, m := range s.sources().WandB {
		meant := m.Version == "" || doublestar.MatchUnvalidated(m.Version, version) ||
			(alias != "" && doublestar.MatchUnvalidated(m.Version, alias))
		if doublestar.MatchUnvalidated(m.Collection, collection) && meant {
			return filled("wandb", i, m.URI, values)
		}
	}
	return Place{}, s.unknown("wandb")
}

// OCIPlace is the root of the registry that has a repository.
func (s *Set) OCIPlace(repository string) (Place, error) {
	for i, m := range s.sources().OCI {
		if doublestar.MatchUnvalidated(m.Repository, repository) {
			return filled("oci", i, m.Root, nil)
		}
	}
	return Place{}, s.unknown("oci")
}

func (s *Set) sources() Sources {
	if s == nil {
		return Sources{}
	}
	return s.Sources
}

// filled fills in a template, with what an event says.
func filled(list string, i int, template string, values map[string]string) (Place, error) {
	source := fmt.Sprintf("sources.%s[%d]", list, i)
	empty := ""
	uri, _ := expand(template, func(name string) string {
		if values[name] == "" {
			empty = name
		}
		return values[name]
	})
	if empty != "" {
		return Place{}, fmt.Errorf("%s of the rules file needs {%s}, which the event does not tell", source, empty)
	}
	return Place{URI: uri, Source: source}, nil
}

func (s *Set) unknown(list string) error {
	if s == nil {
		return fmt.Errorf("there is no rules file whose sources.%s say where in S3 its files are", list)
	}
	return fmt.Errorf("none of the sources.%s of the rules file is for it", list)
}
