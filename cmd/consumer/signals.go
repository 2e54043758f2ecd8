package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// oneSignal is how long signals after the first are taken for the same: who ends
// a process and its group, as timeout(1) does, sends it two.
const oneSignal = 100 * time.Millisecond

// untilSignal is a context that ends with the first SIGINT or SIGTERM. A second
// one calls exit: the default, death by the signal, looks different to a shell
// and to a container whose first process this is.
func untilSignal(stderr io.Writer, exit func(int)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	stopped := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		heed(signals, stopped, cancel, func() {
			fmt.Fprintln(stderr, "prestage: second signal, ended at once; what was in hand is delivered again")
			exit(exitFailed)
		})
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(stopped)
		<-ended
		cancel()
	}
}

// heed calls first and second with the signals of these names, until stopped.
func heed(signals <-chan os.Signal, stopped <-chan struct{}, first, second func()) {
	select {
	case <-signals:
	case <-stopped:
		return
	}
	since := time.Now()
	first()
	for {
		select {
		case <-signals:
		case <-stopped:
			return
		}
		if time.Since(since) >= oneSignal {
			second()
			return
		}
	}
}
