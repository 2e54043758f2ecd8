package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/object"
)

// TestRules: a good file is told, with the rule for the target; a wrong one fails.
func TestRules(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	for _, tt := range []struct {
		file   string
		status Status
		want   []string
	}{
		{"rules: [{name: a, match: {buckets: [hot]}}, {name: b, policy: atomic}]", OK, []string{
			"has 2 rules, of which the first that matches decides; 0 sources",
			`s3://ckpt/run/, without a subject: rule "a" does not match: bucket`,
			`s3://ckpt/run/, without a subject: rule "b" matches: policy: atomic`,
		}},
		{"rules: [{name: a, lane: up}]", Fail, []string{`rules.yaml:1:25: rules[0].lane: "up": want model or checkpoint`}},
		{"sources: {oci: [{repository: a, root: 's3://secret/'}]}", Fail, []string{`bucket "secret" is outside PRESTAGE_BUCKETS`}},
	} {
		if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		var got []string
		d := newDoctor(Options{
			Config: app.Config{Rules: path, Buckets: []string{"ckpt"}}, Target: object.Ref{Bucket: "ckpt", Key: "run/"},
		}, func(f Finding) {
			if f.Name != "rules" || f.Status != tt.status {
				t.Errorf("%s: finding %v", tt.file, f)
			}
			got = append(got, f.Seen)
		})
		d.rules()
		if !slices.EqualFunc(tt.want, got, func(want, got string) bool { return strings.HasSuffix(got, want) }) {
			t.Errorf("%s: %q", tt.file, got)
		}
	}
	newDoctor(Options{}, func(f Finding) { t.Errorf("no file: %v", f) }).rules()
}
