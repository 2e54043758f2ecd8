package rules

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

func parsed(t *testing.T, file string) *Set {
	t.Helper()
	s, err := Parse([]byte(file), anyBucket)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFor: the first rule that matches, whatever follows.
func TestFor(t *testing.T) {
	t.Parallel()
	s := parsed(t, `
rules:
  - {name: subject, match: {subjects: [events.model.published, a.*.c, b.>]}}
  - {name: both, match: {buckets: ["ckpt-?"], prefixes: [run-7/, "*/step-*/", 'a\*/']}}
  - {name: bucket, match: {buckets: ["ckpt-*", hot]}}
  - {name: late, match: {buckets: [hot]}}
  - {name: prefix, match: {prefixes: [x/y/]}}
`)
	for _, tt := range []struct{ subject, bucket, key, want string }{
		{"events.model.published", "hot", "a", "subject"},
		{"events.model.published.team.x", "hot", "a", "subject"},
		{"events.model.publishedx", "other", "a", ""},
		{"events.model", "other", "a", ""},
		{"a.b.c", "other", "a", "subject"},
		{"a.b.c.d", "other", "a", "subject"},
		{"a.b.d", "other", "a", ""},
		{"b", "other", "a", ""},
		{"b.c.d", "other", "a", "subject"},
		{"", "ckpt-1", "run-7/a", "both"},
		{"", "ckpt-1", "run-7/", "both"},
		{"", "ckpt-1", "run-7", "bucket"},
		{"", "ckpt-1", "run-71/a", "bucket"},
		{"", "ckpt-1", "any/step-100/x/y", "both"},
		{"", "ckpt-1", "any/more/step-100/x", "bucket"},
		{"", "ckpt-1", "a*/x", "both"},
		{"", "ckpt-1", "ab/x", "bucket"},
		{"", "ckpt-12", "run-7/a", "bucket"},
		{"", "hot", "", "bucket"},
		{"", "other", "x/y/z", "prefix"},
		{"", "other", "x/y/", "prefix"},
		{"", "other", "x/", ""},
		{"", "other", "", ""},
	} {
		if got := s.For(tt.subject, tt.bucket, tt.key).Name; got != tt.want {
			t.Errorf("%q, %q, %q: rule %q, want %q", tt.subject, tt.bucket, tt.key, got, tt.want)
		}
	}
	if diff := cmp.Diff(Rule{}, (*Set)(nil).For("a", "b", "c")); diff != "" {
		t.Error(diff)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	s := parsed(t, `
rules:
  - {name: a, match: {subjects: [x]}}
  - {name: b, match: {buckets: [hot]}}
  - {name: c, match: {prefixes: [run-7/]}}
  - {name: d, match: {buckets: [ckpt]}, include: ["*.pt"], exclude: [a, b], min_bytes: 0, max_bytes: 7, policy: atomic, keep: serve, lane: model, clusters: [x, y], whole_bucket: true}
`)
	for key, want := range map[string][]string{
		"run-7/x": {`rule "a" does not match: subject`, `rule "b" does not match: bucket`, `rule "c" matches: it changes nothing`},
		"run-8/x": {`rule "a" does not match: subject`, `rule "b" does not match: bucket`, `rule "c" does not match: prefix`, `rule "d" matches: include: [*.pt], exclude: [a b], min_bytes: 0, max_bytes: 7, policy: atomic, keep: serve, lane: model, clusters: [x y], whole_bucket: true`},
	} {
		if diff := cmp.Diff(want, s.Explain("", "ckpt", key)); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([]string{"no rules file: the defaults hold"}, (*Set)(nil).Explain("", "a", "b")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"no rule matches: the defaults hold"}, (&Set{}).Explain("", "a", "b")); diff != "" {
		t.Error(diff)
	}
}

func TestSkip(t *testing.T) {
	t.Parallel()
	const unknown = object.UnknownSize
	for _, tt := range []struct {
		rule string
		key  string
		size int64
		want outcome.Reason
	}{
		{"", "a/b", 101, ""},
		{"", "a/b", 100, outcome.TooSmall},
		{"", "a/b", 0, outcome.Empty},
		{"", "a/b", unknown, ""},
		{"min_bytes: 0", "a/b", 1, ""},
		{"min_bytes: 0", "a/b", 0, outcome.Empty},
		{"min_bytes: 200", "a/b", 200, outcome.TooSmall},
		{"max_bytes: 200", "a/b", 200, ""},
		{"max_bytes: 200", "a/b", 201, outcome.Excluded},
		{"max_bytes: 200", "a/b", unknown, ""},
		{"clusters: [here, there]", "a/b", 101, ""},
		{"clusters: [there]", "a/b", 101, outcome.Excluded},
		{"clusters: [there]", "a/b", 0, outcome.Excluded},
		{"exclude: ['*.tmp']", "a/b/c.tmp", 101, outcome.Excluded},
		{"exclude: ['*.tmp']", "a.tmp/b", 101, ""},
		{"exclude: ['/*.tmp']", "a.tmp", 101, ""}, // no key begins with a slash
		{"exclude: ['**/optim/**']", "run/optim/0.pt", 101, outcome.Excluded},
		{"exclude: ['**/optim/**']", "optim/0.pt", 101, outcome.Excluded},
		{"exclude: ['**/optim/**']", "run/optimizer/0.pt", 101, ""},
		{"include: ['*.safetensors', 'run-7/*']", "a/b.safetensors", 101, ""},
		{"include: ['*.safetensors', 'run-7/*']", "run-7/x", 101, ""},
		{"include: ['*.safetensors', 'run-7/*']", "run-7/x/y", 101, outcome.Excluded},
		{"include: ['*'], exclude: ['b']", "a/b", 101, outcome.Excluded},
		{"include: ['{a,b}/**']", "c/x", 101, outcome.Excluded},
	} {
		r := parsed(t, "rules: [{name: a, "+tt.rule+"}]").For("", "ckpt", tt.key)
		if got := r.Skip("here", tt.key, tt.size, 100); got != tt.want {
			t.Errorf("{%s} skips %q of %d bytes: %q, want %q", tt.rule, tt.key, tt.size, got, tt.want)
		}
	}
}

// TestExcludes: what is excluded is told why, all else is not excluded.
func TestExcludes(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		"clusters: [there, far]":   "clusters are there, far, this one is here",
		"include: ['*.pt']":        "not in include",
		"exclude: ['*.pt', 'a/*']": "in exclude: a/*",
		"max_bytes: 4":             "larger than max_bytes: 4",
		"min_bytes: 100":           "",
	} {
		r := parsed(t, "rules: [{name: a, "+rule+"}]").For("", "ckpt", "a/b")
		if got := r.Excludes("here", "a/b", 5); got != want {
			t.Errorf("{%s}: %q, want %q", rule, got, want)
		}
	}
}

func TestMLflow(t *testing.T) {
	t.Parallel()
	m := parsed(t, `mlflow: {aliases: [champion, "prod-*"], tags: [stage=prod*, "a=b=c"]}`).MLflow
	for alias, want := range map[string]bool{"champion": true, "prod-eu": true, "prod": false, "": false} {
		if m.Alias(alias) != want {
			t.Errorf("alias %q: %v", alias, !want)
		}
	}
	for _, tt := range []struct {
		key, value string
		want       bool
	}{{"stage", "production", true}, {"stage", "dev", false}, {"a", "b=c", true}, {"Stage", "prod", false}} {
		if m.Tag(tt.key, tt.value) != tt.want {
			t.Errorf("tag %q=%q: %v", tt.key, tt.value, !tt.want)
		}
	}
}

// TestReach: a cluster is reached by the rule of a prefix, or by an earlier one
// of a part of it.
func TestReach(t *testing.T) {
	t.Parallel()
	s := parsed(t, `
rules:
  - {name: part, match: {buckets: [ckpt], prefixes: ["run-*/step-[0-9]/"]}, clusters: [here]}
  - {name: theirs, match: {buckets: [ckpt, hot]}, clusters: [there]}
  - {name: late, match: {prefixes: [run-7/x/]}, clusters: [here]}
`)
	for _, tt := range []struct {
		bucket, prefix string
		want           bool
	}{
		{"ckpt", "", true},
		{"ckpt", "run-7/", true},
		{"ckpt", "job-7/", false},
		{"ckpt", "run-7/step-1/", true},
		{"ckpt", "run-7/step-1/a/b/", true},
		{"ckpt", "run-7/step-x/", false},
		{"ckpt", "run-7/step-x/a/", false},
		{"ckpt", "run-7/x/", false}, // the second rule has decided
		{"hot", "run-7/", false},
		{"other", "run-7/", true}, // by no rule
		{"other", "run-7/x/", true},
	} {
		if got := s.Reach("here", "", tt.bucket, tt.prefix); got != tt.want {
			t.Errorf("s3://%s/%s: %v, want %v", tt.bucket, tt.prefix, got, tt.want)
		}
	}
	if !(*Set)(nil).Reach("here", "", "a", "b/") {
		t.Error("no file keeps a cluster out")
	}
}
