package docscheck_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/prestage/prestage/internal/outcome"
)

var (
	taskCall = regexp.MustCompile(`\bgo tool task ((?:-\S+ )*)([a-z][a-z0-9:-]*)`)
	variable = regexp.MustCompile(`\b(?:PRESTAGE|LOTA|NATS|LOG)_[A-Z0-9_]*[A-Z0-9]\b`)
)

// streams look like variables and are none.
var streams = []string{"PRESTAGE_RESULTS", "PRESTAGE_DLQ"}

// unknownTasks finds calls of tasks that the Taskfile does not have.
func (t tree) unknownTasks() ([]string, error) {
	var taskfile struct{ Tasks map[string]any }
	if err := yaml.Unmarshal([]byte(t["Taskfile.yml"]), &taskfile); err != nil {
		return nil, fmt.Errorf("read Taskfile.yml: %w", err)
	}
	var out []string
	for _, doc := range t.named("*.md", "Taskfile.yml", ".golangci.yml", ".ci/run") {
		for _, at := range taskCall.FindAllStringSubmatchIndex(t[doc], -1) {
			if name := t[doc][at[4]:at[5]]; taskfile.Tasks[name] == nil {
				out = append(out, fmt.Sprintf("%s:%d: there is no task %s", doc, lineOf(t[doc], at[4]), name))
			}
		}
	}
	return out, nil
}

// undescribedTasks finds tasks that the list of tasks would not show.
func (t tree) undescribedTasks() ([]string, error) {
	var taskfile struct {
		Tasks map[string]struct{ Desc string }
	}
	if err := yaml.Unmarshal([]byte(t["Taskfile.yml"]), &taskfile); err != nil {
		return nil, fmt.Errorf("read Taskfile.yml: %w", err)
	}
	var out []string
	for name, task := range taskfile.Tasks {
		if task.Desc == "" {
			out = append(out, fmt.Sprintf("Taskfile.yml: task %s has no description", name))
		}
	}
	slices.Sort(out)
	return out, nil
}

// settings are the variables that the program reads: the env tags of the
// package that reads the environment, and the names that it refuses.
func (t tree) settings() (map[string]bool, error) {
	known := map[string]bool{}
	for _, name := range t.named("internal/app/*.go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, t[name], parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("parse the configuration: %w", err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				return true
			}
			if tag := reflect.StructTag(text).Get("env"); tag != "" {
				text, _, _ = strings.Cut(tag, ",")
			}
			if variable.FindString(text) == text {
				known[text] = true
			}
			return true
		})
	}
	return known, nil
}

// unknownVariables finds variables that the program does not read.
func (t tree) unknownVariables() ([]string, error) {
	known, err := t.settings()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, doc := range t.named("*.md", "deployments/*", "deployments/*/*") {
		for _, at := range variable.FindAllStringIndex(t[doc], -1) {
			name := t[doc][at[0]:at[1]]
			if !known[name] && !slices.Contains(streams, name) {
				out = append(out, fmt.Sprintf("%s:%d: the program reads no variable %s", doc, lineOf(t[doc], at[0]), name))
			}
		}
	}
	return out, nil
}

// missingReasons finds words of the vocabulary that the README does not tell.
func (t tree) missingReasons() []string {
	var out []string
	for _, reason := range slices.Concat(outcome.DeadLetterReasons(), outcome.SkipReasons()) {
		if !strings.Contains(t["README.md"], "`"+string(reason)+"`") {
			out = append(out, fmt.Sprintf("README.md: the reason %s is not explained", reason))
		}
	}
	return out
}

func TestTasks(t *testing.T) {
	t.Parallel()
	files := repository(t)
	unknown, err := files.unknownTasks()
	if err != nil {
		t.Fatal(err)
	}
	undescribed, err := files.undescribedTasks()
	if err != nil {
		t.Fatal(err)
	}
	report(t, append(unknown, undescribed...))
}

func TestTasksFail(t *testing.T) {
	t.Parallel()
	files := tree{
		"Taskfile.yml": "tasks:\n  test: {desc: Test}\n  lint: {cmd: lint}\n",
		"README.md":    "`go tool task test`, `go tool task --list test`\n`go tool task tests`",
		".ci/run":      "step go tool task gone\n",
	}
	unknown, err := files.unknownTasks()
	if err != nil {
		t.Fatal(err)
	}
	want(t, unknown, ".ci/run:1: there is no task gone", "README.md:2: there is no task tests")
	undescribed, err := files.undescribedTasks()
	if err != nil {
		t.Fatal(err)
	}
	want(t, undescribed, "Taskfile.yml: task lint has no description")
}

// TestCIRunsTheReadmesTestCommand keeps the two from drifting apart.
func TestCIRunsTheReadmesTestCommand(t *testing.T) {
	t.Parallel()
	const command = "go tool task test\n"
	for _, name := range []string{"README.md", ".ci/run"} {
		if !strings.Contains(repository(t)[name], command) {
			t.Errorf("%s does not run %q", name, command)
		}
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	unknown, err := repository(t).unknownVariables()
	if err != nil {
		t.Fatal(err)
	}
	report(t, unknown)
}

func TestVariablesFail(t *testing.T) {
	t.Parallel()
	files := tree{
		"internal/app/config.go": "package app\n" +
			"type c struct { A string `env:\"NATS_URL,required\" envDefault:\"PRESTAGE_TRAP\"` }\n" +
			"var later = []string{\"PRESTAGE_RULES\"}\n" +
			"const text = \"set PRESTAGE_PROSE to what you like\"\n",
		"internal/app/config_test.go": "package app\nconst x = \"PRESTAGE_TEST\"\n",
		"README.md":                   "`NATS_URL` `PRESTAGE_RULES` `PRESTAGE_DLQ` PRESTAGE_TRAP\nPRESTAGE_PROSE PRESTAGE_TEST",
		"deployments/k/x.yaml":        "name: LOTA_NOTHING",
	}
	unknown, err := files.unknownVariables()
	if err != nil {
		t.Fatal(err)
	}
	want(t, unknown,
		"README.md:1: the program reads no variable PRESTAGE_TRAP",
		"README.md:2: the program reads no variable PRESTAGE_PROSE",
		"README.md:2: the program reads no variable PRESTAGE_TEST",
		"deployments/k/x.yaml:1: the program reads no variable LOTA_NOTHING",
	)
}

func TestReasons(t *testing.T) {
	t.Parallel()
	report(t, repository(t).missingReasons())
	if got := (tree{"README.md": "`malformed`"}).missingReasons(); len(got) != len(outcome.DeadLetterReasons())+len(outcome.SkipReasons())-1 {
		t.Errorf("of a README with one reason %d are said to be missing", len(got))
	}
}
