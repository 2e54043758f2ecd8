package docscheck_test

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/prestage/prestage/internal/docscheck"
)

var (
	fence   = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```[ \t]*$")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
)

// deadLinks finds links inside the repository that lead nowhere. Links to
// other sites are not followed: a check must not need the network.
func (t tree) deadLinks() []string {
	var out []string
	for _, doc := range t.named("*.md") {
		text := blank(t[doc], fence)
		for _, at := range link.FindAllStringSubmatchIndex(text, -1) {
			to := text[at[2]:at[3]]
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(to, "#")
			if target := path.Join(path.Dir(doc), file); file == "" {
				file = doc
			} else {
				file = target
			}
			switch {
			case !t.exists(file):
				out = append(out, fmt.Sprintf("%s:%d: link to %s, which does not exist", doc, lineOf(text, at[2]), to))
			case anchor != "" && !hasHeading(t[file], anchor):
				out = append(out, fmt.Sprintf("%s:%d: link to %s, which is no heading there", doc, lineOf(text, at[2]), to))
			}
		}
	}
	return out
}

// exists says that name is a file, or a directory with files.
func (t tree) exists(name string) bool {
	if _, ok := t[name]; ok {
		return true
	}
	for file := range t {
		if strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
}

// hasHeading says that text has the heading that a forge would give anchor.
func hasHeading(text, anchor string) bool {
	for _, h := range heading.FindAllStringSubmatch(blank(text, fence), -1) {
		if docscheck.Anchor(h[1]) == anchor {
			return true
		}
	}
	return false
}

// blank overwrites what matches with spaces, so that offsets and lines stay.
func blank(text string, what *regexp.Regexp) string {
	return what.ReplaceAllStringFunc(text, func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			return ' '
		}, s)
	})
}

func TestLinks(t *testing.T) {
	t.Parallel()
	report(t, repository(t).deadLinks())
}

func TestLinksFail(t *testing.T) {
	t.Parallel()
	files := tree{
		"README.md": "# What a 2xx means, and `more`\n" +
			"[a](docs/a.md) [dir](docs) [self](#what-a-2xx-means-and-more) [web](https://example.org/x)\n" +
			"[gone](docs/gone.md)\n```\n[code](not/a/link.md)\n```\n[part](docs/a.md#nothing)\n",
		"docs/a.md": "[up](../README.md#what-a-2xx-means-and-more) [wrong](README.md)",
	}
	want(t, files.deadLinks(),
		"README.md:3: link to docs/gone.md, which does not exist",
		"README.md:7: link to docs/a.md#nothing, which is no heading there",
		"docs/a.md:1: link to README.md, which does not exist",
	)
}
