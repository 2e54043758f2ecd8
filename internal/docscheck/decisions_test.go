package docscheck_test

import (
	"fmt"
	"path"
	"strings"
	"testing"
)

// misnumbered finds decisions whose number is not the next one, or is not that
// of their title: two that were made at the same time.
func (t tree) misnumbered() []string {
	var out []string
	for i, name := range t.named("docs/decisions/*.md") {
		if number := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(path.Base(name), number) {
			out = append(out, fmt.Sprintf("%s: want the number %s", name, number[:4]))
		} else if title := fmt.Sprintf("# %d. ", i+1); !strings.HasPrefix(t[name], title) {
			out = append(out, fmt.Sprintf("%s: want a title that begins with %q", name, title))
		}
	}
	return out
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	report(t, repository(t).misnumbered())
}

func TestDecisionsFail(t *testing.T) {
	t.Parallel()
	files := tree{
		"docs/decisions/0001-a.md": "# 1. A\n",
		"docs/decisions/0002-b.md": "# 3. B\n",
		"docs/decisions/0002-c.md": "# 2. C\n",
	}
	want(t, files.misnumbered(),
		`docs/decisions/0002-b.md: want a title that begins with "# 2. "`,
		"docs/decisions/0002-c.md: want the number 0003",
	)
}
