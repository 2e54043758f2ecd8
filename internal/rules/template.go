package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prestage/prestage/internal/object"
)

// variables are the names that a template may have.
type variables []string

var (
	huggingFaceVars = variables{"repo", "owner", "name", "ref", "sha"}
	wandbVars       = variables{"collection", "version"}
)

// check says what a template should be, or nothing. Its bucket is written out,
// so that it can be held against PRESTAGE_BUCKETS before any event comes.
func (v variables) check(template string) string {
	var bad string
	filled, ok := expand(template, func(name string) string {
		if !slices.Contains(v, name) {
			bad = name
		}
		return "x"
	})
	want := "want s3://bucket/… with {" + strings.Join(v, "}, {") + "} below the bucket"
	switch {
	case bad != "":
		return fmt.Sprintf("{%s} is unknown: %s", bad, want)
	case !ok || len(template) > maxText:
		return want
	}
	ref, err := object.ParseURI(filled)
	if err != nil || ref.Key == "" || strings.Contains(bucketOf(template), "{") {
		return want
	}
	return ""
}

// expand replaces each {name}. It says whether every brace has its partner.
func expand(template string, value func(name string) string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		if strings.Contains(before, "}") {
			return "", false
		}
		b.WriteString(before)
		if !ok {
			return b.String(), true
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", false
		}
		b.WriteString(value(name))
		template = after
	}
}

// bucketOf is the bucket of a URI or a template of one.
func bucketOf(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	bucket, _, _ := strings.Cut(rest, "/")
	return bucket
}
