package clients_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the generated parts of the documents")

// builds is where the program is built; TestMain sets it.
var builds string

func TestMain(m *testing.M) {
	var err error
	if builds, err = os.MkdirTemp("", "prestage-clients-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(builds)
		os.Exit(code)
	}))
}

// buildProgram builds it with the race detector, when it is first needed.
var buildProgram = sync.OnceValues(func() (string, error) {
	out := filepath.Join(builds, "prestage")
	text, err := exec.Command("go", "build", "-race", "-o", out, "github.com/prestage/prestage/cmd/consumer").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go build: %w\n%s", err, text)
	}
	return out, err
})
