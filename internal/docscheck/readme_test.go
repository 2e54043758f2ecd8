package docscheck

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeMayWarmItsOwnExamples: whoever pastes the settings and then publishes
// what is below them has it warmed, and no dead letter.
func TestReadmeMayWarmItsOwnExamples(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	settings := regexp.MustCompile(`PRESTAGE_BUCKETS='([^']+)'`)
	uri := regexp.MustCompile(`s3://([a-z0-9-]+)/`)
	var globs []string
	events := 0
	for _, b := range Blocks("README.md", string(text)) {
		if at := settings.FindStringSubmatch(b.Text); at != nil {
			globs = strings.Split(at[1], ",")
		}
		for _, at := range uri.FindAllStringSubmatch(b.Text, -1) {
			events++
			allowed := false
			for _, glob := range globs {
				ok, err := path.Match(glob, at[1])
				if err != nil {
					t.Fatal(err)
				}
				allowed = allowed || ok
			}
			if !allowed {
				t.Errorf("%s (line %d): bucket %q is in none of %q", b.ID, b.Line, at[1], globs)
			}
		}
	}
	if globs == nil || events < 3 {
		t.Errorf("%d events were found below PRESTAGE_BUCKETS=%q", events, globs)
	}
}
