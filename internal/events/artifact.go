package events

import "slices"

// Registry is a system that names files without saying where in S3 they are.
type Registry string

// The registries.
const (
	MLflow      Registry = "mlflow"
	HuggingFace Registry = "huggingface"
	WandB       Registry = "wandb"
	OCI         Registry = "oci"
)

// Artifact is what a registry's event names, in the registry's own words. None of
// them is checked beyond its size.
type Artifact struct {
	Registry Registry // "": there is no Artifact

	Name    string // of the model, the repository or the collection
	Version string // a version, the digest of a manifest, or a commit
	Ref     string // what points to the version: an alias, a branch, a tag of an image

	TagKey, TagValue string // MLflow's, where a tag of the version is what the event is about
	Workspace        string // MLflow's, where the server has several; they may use the same names

	URI string // what the registry calls the files' place: models:/, runs:/, wandb-artifact:// and the like
}

// Named says that there is an Artifact.
func (a Artifact) Named() bool { return a.Registry != "" }

// maxImages bounds the manifests that one message may name: each is read.
const maxImages = 64

// addImage notes a manifest that n tells of, once: another tag is no other manifest.
func (ev *Event) addImage(n *node, a Artifact) {
	same := func(b Artifact) bool { return b.Name == a.Name && b.Version == a.Version }
	switch {
	case !ev.Artifact.Named():
		ev.Artifact = a
	case same(ev.Artifact) || slices.ContainsFunc(ev.Others, same):
	case len(ev.Others)+1 == maxImages:
		n.doc.fail(unsupported("", "%s: one message may tell of %d manifests", n.path(), maxImages))
	default:
		ev.Others = append(ev.Others, a)
	}
}
