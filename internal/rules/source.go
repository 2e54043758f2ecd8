package rules

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
