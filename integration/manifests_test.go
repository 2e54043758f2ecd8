package integration_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// validate holds files against the schemas of Kubernetes, which the tool brings.
func validate(t *testing.T, files ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "-modfile=tools/kubectl-validate/go.mod", "kubectl-validate"}, files...)...)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestManifestsAreKubernetes validates the manifests of deployments and those in
// the documents, but for InferenceServices, whose schema is KServe's.
func TestManifestsAreKubernetes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: this builds a program of others")
	}
	files, err := filepath.Glob("../deployments/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("manifests: %v, %v", files, err)
	}
	for i, f := range files {
		if files[i], err = filepath.Abs(f); err != nil {
			t.Fatal(err)
		}
	}
	s := bareStage(t)
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: model}\nspec:\n  containers: [{name: model, image: model}]\n"
	for line := range strings.Lines(example(t, "docs/waiting.md#kubernetes-init-container")) {
		pod += "  " + line
	}
	for name, text := range map[string]string{"pod.yaml": pod, "kserve.yaml": example(t, "docs/wiring/kserve.md#read-through-lota")} {
		s.file(t, name, text)
		files = append(files, filepath.Join(s.dir, name))
	}
	if out, err := validate(t, files...); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	s.file(t, "pod.yaml", strings.Replace(pod, "envFrom:", "envform:", 1))
	if out, err := validate(t, filepath.Join(s.dir, "pod.yaml")); err == nil || !strings.Contains(out, "envform") {
		t.Errorf("a misspelt field is taken for sound: %v: %s", err, out)
	}
}
