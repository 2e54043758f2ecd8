package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

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
		for _, act := range []func(){cancel, func() {
			fmt.Fprintln(stderr, "prestage: second signal, ended at once; what was in hand is delivered again")
			exit(exitFailed)
		}} {
			select {
			case <-signals:
				act()
			case <-stopped:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(stopped)
		<-ended
		cancel()
	}
}
