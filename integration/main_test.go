package integration_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// atOnce is how many scenarios run at a time unless -parallel says so: most of
// what they do is wait.
const atOnce = "6"

// builds is where the program is built; TestMain sets it.
var builds string

func TestMain(m *testing.M) {
	if part := os.Getenv(partVariable); part != "" {
		os.Exit(play(part))
	}
	flag.DurationVar(&patience, "patience", patience, "how long anything may take that is expected to happen")
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", atOnce)
	}
	var err error
	if builds, err = os.MkdirTemp("", "prestage-integration-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(builds)
		os.Exit(code)
	}))
}

// build is the program, built when it is first needed.
type build struct {
	name   string
	flags  []string
	source string // "": the program of this repository

	once sync.Once
	err  error
}

// The builds. Scenarios run the first, which has the race detector if the tests
// have it, but for those that measure memory or send very many requests.
var (
	raceBuild      = &build{name: "race", flags: raceFlags()}
	plainBuild     = &build{name: "plain"}
	failpointBuild = &build{name: "failpoint", flags: []string{"-tags", "failpoint"}}
)

func raceFlags() []string {
	info, _ := debug.ReadBuildInfo()
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return []string{"-race"}
	}
	return nil
}

func (b *build) path(t *testing.T) string {
	t.Helper()
	out := filepath.Join(builds, b.name)
	b.once.Do(func() {
		args := append([]string{"build", "-o", out}, b.flags...)
		args = append(args, cmp.Or(b.source, "github.com/prestage/prestage/cmd/consumer"))
		text, err := exec.Command("go", args...).CombinedOutput()
		if err != nil {
			b.err = fmt.Errorf("go build (%s): %w\n%s", b.name, err, text)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return out
}
