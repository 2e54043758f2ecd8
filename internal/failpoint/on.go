//go:build failpoint

package failpoint

import (
	"os"
	"syscall"
)

// Hit kills the process, as kill -9 does, when name is the step to die at, and
// panics when it is the step to panic at.
func Hit(name string) {
	if os.Getenv("FAILPOINT") == name {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
	if os.Getenv("FAILPOINT_PANIC") == name {
		panic("fail point " + name)
	}
}
