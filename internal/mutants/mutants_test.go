package mutants_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	runAll = flag.Bool("mutants.run", false, "run the tests against each mutant")
	only   = flag.String("mutants.only", "", "run the mutants whose name matches this expression")
	update = flag.Bool("update", false, "write the table in docs/reliability.md anew")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// root is the module's folder, seen from here.
const root = "../.."

// integration is the package that runs the whole program. A mutant may make it
// wait for what never happens, so that it gets less patience than it has else.
const (
	integration    = "integration"
	mutantPatience = "20s"
	mutantTimeout  = "90s"
)

// failed is in what a test prints that has run and not passed. One that loops for
// ever is killed by the go command.
var failed = regexp.MustCompile(`--- FAIL|panic: test timed out|Test killed with quit: ran too long`)

// mutant is one edit that breaks a promise.
type mutant struct {
	promise string // of the contract, in a few words
	name    string // what was broken
	file    string // below root
	old     string // stands in file once
	new     string
	pkg     string // whose test catches it
	test    string // the test
}

// TestMutantsApply keeps the list honest: each edit has its place, each test is there.
func TestMutantsApply(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		names[m.name] = true
		if _, err := m.mutated(); err != nil {
			t.Error(err)
		}
		if !hasTest(t, m.pkg, m.test) {
			t.Errorf("mutant %q: %s has no %s", m.name, m.pkg, m.test)
		}
	}
	checkTable(t, filepath.Join(root, "docs/reliability.md"))
}

// TestMutants runs the tests against every mutant. Each must be caught.
func TestMutants(t *testing.T) {
	if !*runAll {
		t.Skip("short form: TestMutantsApply alone; go tool task mutants runs the tests against each")
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	var chosen []mutant
	// What fails soon comes first: the tests of one package, without a program.
	for _, whole := range []bool{false, true} {
		for _, m := range mutants {
			if (m.pkg == integration) == whole && pattern.MatchString(m.name) {
				chosen = append(chosen, m)
			}
		}
	}
	// A test that fails anyway, or is too slow here, would catch everything.
	if !t.Run("unedited", func(t *testing.T) { mustPassUnedited(t, chosen) }) {
		t.Fatal("what fails on the program as it is catches nothing")
	}
	for _, m := range chosen {
		t.Run(m.name, m.mustBeCaught)
	}
}

// mustPassUnedited runs each test of the mutants once on the program as it is,
// with the patience that a mutant gets.
func mustPassUnedited(t *testing.T, chosen []mutant) {
	t.Helper()
	tests := make(map[string][]string) // by package
	for _, m := range chosen {
		if name, _, _ := strings.Cut(m.test, "/"); !slices.Contains(tests[m.pkg], name) {
			tests[m.pkg] = append(tests[m.pkg], name)
		}
	}
	for pkg, names := range tests {
		t.Run(pkg, func(t *testing.T) {
			t.Parallel()
			out, err := goTest(t, "GOFLAGS=", pkg, strings.Join(names, "|"), "-v", "-timeout=15m")
			if err != nil {
				t.Errorf("%v:\n%s", err, strings.Join(regexp.MustCompile(`(?m)^ *(--- FAIL|panic|[a-z_]+\.go:).*$`).FindAllString(out, -1), "\n"))
			}
			for _, name := range names {
				if !strings.Contains(out, "--- PASS: "+name+" (") {
					t.Errorf("%s did not run, or was skipped", name)
				}
			}
		})
	}
}

// goTest runs tests of one package, with a setting of the environment that the
// builds of their child processes have too, and gives what they print.
func goTest(t *testing.T, setting, pkg, tests string, flags ...string) (string, error) {
	t.Helper()
	args := append([]string{"test", "-count=1", "-run", "^(" + tests + ")$"}, flags...)
	args = append(args, "./"+pkg)
	if pkg == integration {
		args = append(args, "-patience="+mutantPatience)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), setting)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mutated is the file's text after the edit.
func (m mutant) mutated() (string, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", fmt.Errorf("mutant %q: %w", m.name, err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("mutant %q: its place stands %d times in %s, want once:\n%s", m.name, n, m.file, m.old)
	}
	return strings.Replace(string(text), m.old, m.new, 1), nil
}

// mustBeCaught runs the mutant's test on the mutated program. The tree is not
// touched: the compiler sees the edit through an overlay, and so does the build
// of the program that the integration tests start.
func (m mutant) mustBeCaught(t *testing.T) {
	t.Parallel()
	text, err := m.mutated()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	edited, overlay := filepath.Join(dir, filepath.Base(m.file)), filepath.Join(dir, "overlay.json")
	original, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: edited}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{edited: []byte(text), overlay: replace} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	out, err := goTest(t, "GOFLAGS=-overlay="+overlay, m.pkg, m.test, "-failfast", "-timeout="+mutantTimeout)
	switch {
	case err == nil:
		t.Errorf("survived: %s passes although this is broken: %s", m.test, m.promise)
	case !failed.MatchString(out):
		t.Errorf("not caught but not built, or not run:\n%s", out)
	default:
		t.Logf("caught by %s in %s", m.test, time.Since(began).Round(time.Second))
	}
}

func hasTest(t *testing.T, pkg, test string) bool {
	t.Helper()
	name, _, _ := strings.Cut(test, "/")
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "func "+name+"(") {
			return true
		}
	}
	return false
}

// checkTable wants the document to list the mutants as they are.
func checkTable(t *testing.T, path string) {
	t.Helper()
	const begin, end = "<!-- mutants:begin -->\n", "<!-- mutants:end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, okEnd := strings.Cut(rest, end)
	if !ok || !okEnd {
		t.Fatalf("%s: no place for the table", path)
	}
	var b strings.Builder
	b.WriteString(head + begin + "| promise | broken on purpose | caught by |\n|---|---|---|\n")
	for _, m := range mutants {
		fmt.Fprintf(&b, "| %s | %s | `%s` in `%s` |\n", m.promise, m.name, m.test, m.pkg)
	}
	b.WriteString(end + tail)
	switch {
	case b.String() == string(text):
	case !*update:
		t.Errorf("%s does not list the mutants as they are: go tool task generate", path)
	default:
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
