package docscheck_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
)

// unwanted is what no file of the repository says. The expressions are spelled
// so that they do not match themselves.
var unwanted = []struct {
	what string
	re   *regexp.Regexp
}{
	{"a note to oneself", regexp.MustCompile(`\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K|DO NOT SUBM[I]T|NOCOMM[I]T)\b`)},
	{"a path of one machine", regexp.MustCompile(`(?:^|[\s"'=(:` + "`" + `])/(?:work|root|home/[a-z]+|Users/[A-Za-z]+|tmp/bash_jobs[.0-9]*)/`)},
	{"a host of a package registry", regexp.MustCompile(`\b(?:proxy|sum)\.golang\.o[r]g|registry\.npmjs\.o[r]g|registry\.yarnpkg\.c[o]m|\bpypi\.o[r]g|files\.pythonhosted\.o[r]g|deb\.debian\.o[r]g`)},
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIV[A]TE KEY`)},
	{"a conflict", regexp.MustCompile(`(?m)^(?:<{7}|>{7}) `)},
}

// unwantedWords finds what no file may say.
func (t tree) unwantedWords() []string {
	var out []string
	for _, name := range t.named("*") {
		for _, u := range unwanted {
			for _, at := range u.re.FindAllStringIndex(t[name], -1) {
				out = append(out, fmt.Sprintf("%s:%d: %s: %q", name, lineOf(t[name], at[0]), u.what, t[name][at[0]:at[1]]))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestWords(t *testing.T) {
	t.Parallel()
	report(t, repository(t).unwantedWords())
}

func TestWordsFail(t *testing.T) {
	t.Parallel()
	files := tree{
		"a.go":   "// TO" + "DO: later\nvar todo = 1\n",
		"b.md":   "see /wo" + "rk/x and s3://bucket/work/x\n",
		"c.yml":  "proxy: https://proxy.golang" + ".org\n",
		"d.pem":  "-----BEGIN EC PRIV" + "ATE KEY-----\n",
		"e.md":   "one\n<<<<" + "<<< ours\n",
		"f.json": `{"dir": "/ro` + `ot/x"}`,
	}
	want(t, files.unwantedWords(),
		`a.go:1: a note to oneself: "TO`+`DO"`,
		`b.md:1: a path of one machine: " /wo`+`rk/"`,
		`c.yml:1: a host of a package registry: "proxy.golang`+`.org"`,
		`d.pem:1: a private key: "-----BEGIN EC PRIV`+`ATE KEY"`,
		`e.md:2: a conflict: "<<<<`+`<<< "`,
		`f.json:1: a path of one machine: "\"/ro`+`ot/"`,
	)
}
