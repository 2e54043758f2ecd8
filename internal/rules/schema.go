package rules

import (
	"path"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
)

const (
	maxText  = 512
	maxBytes = 1 << 50
	// maxAlternatives of a glob, {a,b}{c,d} has four: matching may try each.
	maxAlternatives = 64
)

// file is the shape of all of it.
var file = shape{
	doc: "What prestage does otherwise than by default. Of the rules, the first one that matches an object decides, alone.",
	fields: []field{
		{key: "rules", shape: listOf(ruleShape, "Rules, the more specific ones first.")},
		{key: "sources", shape: sourcesShape},
		{key: "mlflow", shape: shape{
			doc: "Which changes in MLflow's registry publish a model version, beside its creation.",
			fields: []field{
				{key: "aliases", shape: texts("Setting an alias that one of these globs matches.", checkGlob)},
				{key: "tags", shape: texts(`Setting a tag, as "key=value"; the value is a glob.`, checkTag)},
			},
		}},
	},
}

var ruleShape = shape{
	fields: []field{
		{key: "name", need: true, shape: text("What people call the rule; each has a name of its own.", checkName)},
		{key: "match", shape: shape{
			doc: "What the rule is for. Of each list that is given one element has to match; without any, the rule is for everything.",
			fields: []field{
				{key: "subjects", shape: texts("NATS subjects, each with everything below it; * is one token.", checkSubject)},
				{key: "buckets", shape: texts("Globs of buckets.", checkBucketGlob)},
				{key: "prefixes", shape: texts(`Prefixes of keys, each ending in "/"; * is within one element.`, checkPrefix)},
			},
		}},
		{key: "format", shape: oneOf("How checkpoints are laid out; otherwise the event or the keys tell.", formats()...)},
		{key: "include", shape: texts(`Globs of the only keys that are filled; ** is any number of elements, and a glob without "/" is for the last element.`, checkKeyGlob)},
		{key: "exclude", shape: texts("Globs of keys that are not filled.", checkKeyGlob)},
		{key: "min_bytes", shape: shape{doc: "Objects not larger are skipped; instead of PRESTAGE_MIN_BYTES.", most: maxBytes}},
		{key: "max_bytes", shape: shape{doc: "Larger objects are skipped; 0: none.", most: maxBytes}},
		{key: "policy", shape: oneOf("When objects of a checkpoint are filled: each at once, or all when it is complete.", string(Eager), string(Atomic))},
		{key: "keep", shape: oneOf("What of a checkpoint is filled: what training resumes from, what inference reads, or all.", string(layout.KeepRestore), string(layout.KeepServe), string(layout.KeepAll))},
		{key: "lane", shape: oneOf("Whose turn the fills have, instead of the lane of the event's subject.", string(Model), string(Checkpoint))},
		{key: "clusters", shape: texts("The only clusters whose caches are warmed.", checkCluster)},
		{key: "whole_bucket", shape: shape{doc: "Allows events that name all of a bucket, s3://bucket/.", flag: true}},
	},
}

var sourcesShape = shape{
	doc: "Where in S3 things are whose events do not say so. In each list the first element that matches decides.",
	fields: []field{
		{key: "huggingface", shape: listOf(shape{fields: []field{
			{key: "repo", need: true, shape: text("Glob of the repository, owner/name.", checkKeyGlob)},
			{key: "ref", shape: text("Glob of a branch or tag; without it main and all tags.", checkKeyGlob)},
			{key: "uri", need: true, shape: text("Where the copy is: s3://bucket/{repo}/{sha}/ with {repo}, {owner}, {name}, {ref}, {sha}.", huggingFaceVars.check)},
		}}, "Repositories of the Hugging Face Hub.")},
		{key: "wandb", shape: listOf(shape{fields: []field{
			{key: "collection", need: true, shape: text("Glob of the artifact's collection.", checkKeyGlob)},
			{key: "version", shape: text("Glob of the version; without it all.", checkKeyGlob)},
			{key: "uri", need: true, shape: text("Where its files are: s3://bucket/{collection}/{version}/ with {collection}, {version}.", wandbVars.check)},
		}}, "Artifacts of Weights & Biases.")},
		{key: "oci", shape: listOf(shape{fields: []field{
			{key: "repository", need: true, shape: text("Glob of the repository, such as team/model.", checkKeyGlob)},
			{key: "root", need: true, shape: text("What holds docker/registry/v2 in the registry's bucket: s3://bucket/ or s3://bucket/prefix/.", checkRoot)},
		}}, "Registries of the storage layout of the CNCF registry distribution, Harbor's among them.")},
	},
}

func listOf(item shape, doc string) shape { return shape{doc: doc, item: &item} }

func text(doc string, check func(string) string) shape { return shape{doc: doc, check: check} }

func texts(doc string, check func(string) string) shape {
	return listOf(shape{check: check}, doc)
}

func formats() (names []string) {
	for _, f := range layout.Formats() {
		names = append(names, string(f))
	}
	return names
}

func oneOf(doc string, words ...string) shape { return shape{doc: doc, words: words} }

var (
	namePattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	clusterPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
)

func checkName(s string) string {
	return unless(namePattern.MatchString(s), "want letters, digits, ., _ and - only, at most 64")
}

func checkCluster(s string) string {
	return unless(clusterPattern.MatchString(s), "want a PRESTAGE_CLUSTER: letters, digits, _ and - only")
}

func checkSubject(s string) string {
	tokens := strings.Split(s, ".")
	for i, t := range tokens {
		wild := strings.ContainsAny(t, "*>")
		if t == "" || len(s) > maxText || (wild && len(t) > 1) || (t == ">" && i < len(tokens)-1) || strings.ContainsFunc(t, blank) {
			return "want a NATS subject, such as events.model.published; * is one token, > all that follow"
		}
	}
	return ""
}

func checkBucketGlob(s string) string {
	return unless(object.CheckBucketGlob(s) == nil, "want a glob of buckets, such as ckpt-*")
}

func checkPrefix(s string) string {
	_, err := path.Match(s, "")
	return unless(err == nil && len(s) <= maxText && strings.HasSuffix(s, "/") && !strings.Contains(s, "**"),
		`want a prefix of keys that ends in "/", such as run-7/ or */checkpoints/`)
}

func checkKeyGlob(s string) string {
	return unless(s != "" && len(s) <= maxText && doublestar.ValidatePattern(s) && alternatives(s) <= maxAlternatives,
		"want a glob, such as *.safetensors or **/optim/**, that stands for at most 64 without {a,b}")
}

// alternatives is how many globs without braces a glob stands for, or more: it
// multiplies what stands in braces in braces, and ends above maxAlternatives.
func alternatives(glob string) int {
	all, open := 1, []int{}
	for _, c := range glob {
		last := len(open) - 1
		switch {
		case c == '{':
			open = append(open, 1)
		case c == ',' && last >= 0:
			open[last]++
		case c == '}' && last >= 0:
			if all *= open[last]; all > maxAlternatives {
				return all
			}
			open = open[:last]
		}
	}
	return all
}

// checkGlob is for what has no "/".
func checkGlob(s string) string {
	_, err := path.Match(s, "")
	return unless(err == nil && s != "" && len(s) <= maxText, "want a glob, such as prod-*")
}

func checkTag(s string) string {
	key, glob, ok := strings.Cut(s, "=")
	return unless(ok && key != "" && checkGlob(glob) == "", "want key=value, such as stage=production")
}

func checkRoot(s string) string {
	ref, err := object.ParseURI(s)
	return unless(err == nil && ref.IsPrefix(), `want s3://bucket/, or s3://bucket/prefix/ with the slash`)
}

func unless(ok bool, want string) string {
	if ok {
		return ""
	}
	return want
}

func blank(c rune) bool { return c <= ' ' || c == 0x7f }
