package integration_test

import (
	"os/exec"
	"syscall"
)

// dieWithUs has the kernel kill a child when the test binary is gone, which does
// not clean up when its time is over.
func dieWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
