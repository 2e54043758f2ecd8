package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/layout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func anyBucket(string) bool { return true }

// all is a file with every key that there is.
const all = `
rules:
  - name: dcp
    match:
      subjects: [events.checkpoint.written, "events.*.created.>"]
      buckets: ["ckpt-*"]
      prefixes: [run-7/, "*/checkpoints/"]
    format: dcp
    include: ["**/*.distcp", .metadata]
    exclude: ["*.tmp"]
    min_bytes: 1_000
    max_bytes: 5000000000000
    policy: atomic
    keep: restore
    lane: model
    clusters: [us-east-04a, "7"]
  - name: whole
    match: {buckets: [hot]}
    whole_bucket: true
sources:
  huggingface:
    - {repo: "acme/*", ref: "v*", uri: "s3://models/hf/{owner}/{name}/{sha}/"}
  wandb:
    - {collection: "llm-*", version: "v*", uri: "s3://models/wandb/{collection}/{version}/"}
  oci:
    - {repository: "ml/**", root: "s3://registry/harbor/"}
mlflow:
  aliases: [champion, "prod-*"]
  tags: ["stage=prod*"]
`

func TestParse(t *testing.T) {
	t.Parallel()
	thousand := int64(1000)
	for name, tt := range map[string]struct {
		file string
		want *Set
	}{
		"nothing":  {"", &Set{}},
		"comments": {"# all by default\n", &Set{}},
		"a marker": {"---\n# all by default\n", &Set{}},
		"empty":    {"rules: []\n", &Set{Rules: []Rule{}}},
		"all": {all, &Set{
			Rules: []Rule{{
				Name: "dcp",
				Match: Match{
					Subjects: []string{"events.checkpoint.written", "events.*.created.>"},
					Buckets:  []string{"ckpt-*"}, Prefixes: []string{"run-7/", "*/checkpoints/"},
				},
				Format: "dcp", Include: []string{"**/*.distcp", ".metadata"}, Exclude: []string{"*.tmp"},
				MinBytes: &thousand, MaxBytes: 5e12, Policy: Atomic, Keep: layout.KeepRestore, Lane: Model,
				Clusters: []string{"us-east-04a", "7"},
			}, {
				Name: "whole", Match: Match{Buckets: []string{"hot"}}, WholeBucket: true,
			}},
			Sources: Sources{
				HuggingFace: []HuggingFace{{Repo: "acme/*", Ref: "v*", URI: "s3://models/hf/{owner}/{name}/{sha}/"}},
				WandB:       []WandB{{Collection: "llm-*", Version: "v*", URI: "s3://models/wandb/{collection}/{version}/"}},
				OCI:         []OCI{{Repository: "ml/**", Root: "s3://registry/harbor/"}},
			},
			MLflow: MLflow{Aliases: []string{"champion", "prod-*"}, Tags: []string{"stage=prod*"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(tt.file), anyBucket)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestParseRefuses: each error is one line with the place and what is allowed.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const rule = "rules:\n- name: a\n  "
	for file, want := range map[string]string{
		"- a":                       `:1:1: a list: want a mapping with rules, sources or mlflow`,
		"yes":                       `:1:1: "yes": want a mapping with rules, sources or mlflow`,
		"rules: [\n":                `:1: not YAML: did not find expected node content`,
		"a: b: c":                   `: not YAML: mapping values are not allowed in this context`,
		"\x00":                      `: not YAML: control characters are not allowed`,
		"rules: []\n---\nrules: []": `:2:1: a second document: want one`,
		"rule: []":                  `:1:1: "rule": no such key, want rules, sources or mlflow`,
		"rules: []\nrules: []":      `:2:1: "rules": this key is here twice`,
		"rules:":                    `:1:7: rules: nothing: want a list`,
		"rules: {a: b}":             `:1:8: rules: a mapping: want a list`,
		"rules: [a]":                `:1:9: rules[0]: "a": want a mapping with name, match, format, include, exclude, min_bytes, max_bytes, policy, keep, lane, clusters or whole_bucket`,
		"rules: [{lane: model}]":    `:1:9: rules[0]: name is missing`,
		"rules: [{name: a, match: {buckets: [x]}}, {name: a}]":                 `:1:50: rules[1].name: "a" is the name of rules[0] already`,
		"rules: [{name: a}, {name: b}]":                                        `:1:20: rules[1]: never has its turn: rules[0], which comes first, matches everything`,
		"rules: [{name: 7}]":                                                   `:1:16: rules[0].name: "7": want a text: put it in quotes`,
		"rules: [{name: a b}]":                                                 `:1:16: rules[0].name: "a b": want letters, digits, ., _ and - only, at most 64`,
		"rules: [{name: [a]}]":                                                 `:1:16: rules[0].name: a list: want a text`,
		rule + "polcy: eager":                                                  `:3:3: rules[0]: "polcy": no such key, want name, match, format, include, exclude, min_bytes, max_bytes, policy, keep, lane, clusters or whole_bucket`,
		rule + "policy: eagre":                                                 `:3:11: rules[0].policy: "eagre": want eager or atomic`,
		rule + "policy: [eager]":                                               `:3:11: rules[0].policy: a list: want eager or atomic`,
		rule + "keep: none":                                                    `:3:9: rules[0].keep: "none": want restore, serve or all`,
		rule + "lane: fast":                                                    `:3:9: rules[0].lane: "fast": want model or checkpoint`,
		rule + "format: DCP!":                                                  `:3:11: rules[0].format: "DCP!": want dcp, lightning, lightning-sharded, megatron, megatron-dist, megatron-bridge, nemo2, nemo, nemo-automodel, hf-trainer, hf, deepspeed, orbax or tensorizer`,
		rule + "min_bytes: 4MB":                                                `:3:14: rules[0].min_bytes: "4MB": want a whole number of bytes, 0 to 1125899906842624`,
		rule + "min_bytes: -1":                                                 `:3:14: rules[0].min_bytes: "-1": want a whole number of bytes, 0 to 1125899906842624`,
		rule + "max_bytes: 1.5":                                                `:3:14: rules[0].max_bytes: "1.5": want a whole number of bytes, 0 to 1125899906842624`,
		rule + "max_bytes: 1125899906842625":                                   `:3:14: rules[0].max_bytes: "1125899906842625": want a whole number of bytes, 0 to 1125899906842624`,
		rule + "min_bytes: 5\n  max_bytes: 5":                                  `:4:14: rules[0].max_bytes: 5: want more than min_bytes, 5`,
		rule + "whole_bucket: yes":                                             `:3:17: rules[0].whole_bucket: "yes": want true or false`,
		rule + "whole_bucket: true":                                            `:3:17: rules[0].whole_bucket: want match.buckets to name the buckets, and no match.prefixes`,
		rule + "clusters: [a.b]":                                               `:3:14: rules[0].clusters[0]: "a.b": want a PRESTAGE_CLUSTER: letters, digits, _ and - only`,
		rule + "clusters: us":                                                  `:3:13: rules[0].clusters: "us": want a list`,
		rule + "match: {bucket: [a]}":                                          `:3:11: rules[0].match: "bucket": no such key, want subjects, buckets or prefixes`,
		rule + "match: {buckets: [s3://a]}":                                    `:3:21: rules[0].match.buckets[0]: "s3://a": want a glob of buckets, such as ckpt-*`,
		rule + "match: {prefixes: [a]}":                                        `:3:22: rules[0].match.prefixes[0]: "a": want a prefix of keys that ends in "/", such as run-7/ or */checkpoints/`,
		rule + `match: {prefixes: ["**/"]}`:                                    `:3:22: rules[0].match.prefixes[0]: "**/": want a prefix of keys that ends in "/", such as run-7/ or */checkpoints/`,
		rule + "match: {subjects: [a.>.b]}":                                    `:3:22: rules[0].match.subjects[0]: "a.>.b": want a NATS subject, such as events.model.published; * is one token, > all that follow`,
		rule + `include: ["["]`:                                                `:3:13: rules[0].include[0]: "[": want a glob, such as *.safetensors or **/optim/**, that stands for at most 64 without {a,b}`,
		rule + `exclude: ["{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"]`:              `:3:13: rules[0].exclude[0]: "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}": want a glob, such as *.safetensors or **/optim/**, that stands for at most 64 without {a,b}`,
		"rules: &r []\nmlflow: *r":                                             `:2:9: mlflow: an alias: write the value out`,
		"a: &a b\nrules: [{<<: *a}]":                                           `:1:1: "a": no such key, want rules, sources or mlflow`,
		"rules: [{<<: {name: a}}]":                                             `:1:10: rules[0]: "<<": no such key, want name, match, format, include, exclude, min_bytes, max_bytes, policy, keep, lane, clusters or whole_bucket`,
		"rules: !x []":                                                         `:1:8: rules: a list: want a list`,
		"mlflow: {aliases: [\"[\"]}":                                           `:1:20: mlflow.aliases[0]: "[": want a glob, such as prod-*`,
		"mlflow: {tags: [stage]}":                                              `:1:17: mlflow.tags[0]: "stage": want key=value, such as stage=production`,
		"sources: {oci: [{repository: a, root: 's3://registry/harbor'}]}":      `:1:39: sources.oci[0].root: "s3://registry/harbor": want s3://bucket/, or s3://bucket/prefix/ with the slash`,
		"sources: {oci: [{repository: a}]}":                                    `:1:17: sources.oci[0]: root is missing`,
		"sources: {huggingface: [{repo: a, uri: 's3://models/{commit}/'}]}":    `:1:40: sources.huggingface[0].uri: "s3://models/{commit}/": {commit} is unknown: want s3://bucket/… with {repo}, {owner}, {name}, {ref}, {sha} below the bucket`,
		"sources: {huggingface: [{repo: a, uri: 's3://models-{owner}/x/'}]}":   `:1:40: sources.huggingface[0].uri: "s3://models-{owner}/x/": want s3://bucket/… with {repo}, {owner}, {name}, {ref}, {sha} below the bucket`,
		"sources: {huggingface: [{repo: a, uri: 's3://models/{sha/'}]}":        `:1:40: sources.huggingface[0].uri: "s3://models/{sha/": want s3://bucket/… with {repo}, {owner}, {name}, {ref}, {sha} below the bucket`,
		"sources: {huggingface: [{repo: a, uri: 's3://models/sha}/'}]}":        `:1:40: sources.huggingface[0].uri: "s3://models/sha}/": want s3://bucket/… with {repo}, {owner}, {name}, {ref}, {sha} below the bucket`,
		"sources: {wandb: [{collection: a, uri: 's3://secret/{collection}'}]}": `:1:40: sources.wandb[0].uri: bucket "secret" is outside PRESTAGE_BUCKETS`,
		"sources: {wandb: [{collection: a, uri: 's3://models/'}]}":             `:1:40: sources.wandb[0].uri: "s3://models/": want s3://bucket/… with {collection}, {version} below the bucket`,
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(file), func(bucket string) bool { return bucket != "secret" })
			if err == nil {
				t.Fatal("not refused")
			}
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestParseIsBounded: what is too long, too many or too deep is refused, and
// nothing is repeated at length.
func TestParseIsBounded(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x]\n"
	for i := range 20 {
		bomb += strings.NewReplacer("N", string(rune('b'+i)), "P", string(rune('a'+i))).Replace("N: &N [*P, *P, *P, *P]\n")
	}
	for name, file := range map[string]string{
		"long":    "#" + strings.Repeat("x", maxFileBytes),
		"many":    "rules: [" + strings.Repeat("{},", maxItems+1) + "]",
		"deep":    "rules: " + strings.Repeat("[", 20_000),
		"deeper":  "rules: " + strings.Repeat("{a: ", 20_000),
		"aliases": strings.Replace(bomb, "a0:", "rules:", 1),
		"text":    "rules: [{name: " + strings.Repeat("x", 100_000) + "}]",
		"key":     strings.Repeat("x", 100_000) + ": 1",
		"prefix":  `rules: [{name: a, match: {prefixes: [` + strings.Repeat("x", 1000) + `/]}}]`,
	} {
		_, err := Parse([]byte(file), anyBucket)
		if err == nil || len(err.Error()) > 400 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAlternatives: what a glob's braces come to is bounded, however they stand.
func TestAlternatives(t *testing.T) {
	t.Parallel()
	for glob, want := range map[string]int{
		"*.pt": 1, "*.{pt,bin}": 2, "{a,b}{c,d,e}": 6, "{a,{b,c}}": 4, "a,b": 1, "a}": 1, "{a": 1,
		"{" + strings.Repeat("a,", 63) + "a}": 64, "{" + strings.Repeat("a,", 64) + "a}": 65,
		strings.Repeat("{"+strings.Repeat("a,", 50)+"a}", 4): 51 * 51,
	} {
		if got := alternatives(glob); got != want {
			t.Errorf("%.40s: %d, want %d", glob, got, want)
		}
		if refused := checkKeyGlob(glob) != ""; refused != (want > 64 || glob == "{a" || glob == "a}") {
			t.Errorf("%.40s: refused: %v", glob, refused)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.yaml")
	for _, tt := range []struct{ path, file, want string }{
		{path, "rules: [{name: a}]", ""},
		{path, "rules: [{name: a}]\nx: 1", path + `:2:1: "x": no such key, want rules, sources or mlflow`},
		{path, strings.Repeat("#", maxFileBytes+5), path + ": larger than 262144 bytes"},
		{dir, "", dir + ": this is no regular file"},
		{dir + "/none", "", dir + "/none: no such file or directory"},
	} {
		if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(tt.path, anyBucket)
		if tt.want == "" {
			if err != nil || len(s.Rules) != 1 {
				t.Errorf("%s: %v, %v", tt.path, s, err)
			}
			continue
		}
		if err == nil || s != nil {
			t.Fatalf("%s is taken: %v", tt.path, s)
		}
		if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(all))
	f.Add([]byte("rules: [{name: a, min_bytes: 0x10}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data, anyBucket)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		s.For("events.model.published", "models", "a/b/c")
		for i := range s.Rules {
			s.Rules[i].Skip("here", "a/b/c", 1, 0)
		}
	})
}
