package main

import (
	"bytes"
	"syscall"
	"testing"
	"time"
)

// TestUntilSignal sends this process the signals that it waits for.
func TestUntilSignal(t *testing.T) {
	var stderr bytes.Buffer
	codes := make(chan int, 1)
	ctx, stop := untilSignal(&stderr, func(code int) { codes <- code })
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the first signal ends nothing")
	}
	if len(codes) != 0 {
		t.Errorf("after one signal: exit code %d", <-codes)
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-codes:
		if code != exitFailed {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the second signal ends nothing")
	}
	stop()
	oneLine(t, stderr.String(), "second signal")
}
