package main

import (
	"bytes"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
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
	time.Sleep(oneSignal)
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

// TestHeedTakesSignalsAtOnceForOne has signals come as timeout(1) sends them, to
// the process and to its group, and one more when the first was heard.
func TestHeedTakesSignalsAtOnceForOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signals, stopped := make(chan os.Signal, 2), make(chan struct{})
		var first, second int
		go heed(signals, stopped, func() { first++ }, func() { second++ })
		signals <- syscall.SIGTERM
		signals <- syscall.SIGTERM
		time.Sleep(oneSignal - time.Nanosecond)
		signals <- syscall.SIGTERM
		synctest.Wait()
		if first != 1 || second != 0 {
			t.Errorf("%d first and %d second signals, want 1 and 0", first, second)
		}
		time.Sleep(time.Nanosecond)
		signals <- syscall.SIGTERM
		synctest.Wait()
		if first != 1 || second != 1 {
			t.Errorf("%d first and %d second signals, want 1 of each", first, second)
		}
		close(stopped)
	})
}
