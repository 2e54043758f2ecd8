// Command prestage keeps CoreWeave's LOTA cache warm: it consumes checkpoint
// and model events from NATS JetStream and has LOTA fill its cache with every
// object that they name. See the README.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats.go"
	"golang.org/x/term"

	"github.com/prestage/prestage/internal/app"
)

// Exit codes of the program.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitTimeout = 3
	exitPartly  = 4
)

// exitError carries an exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// cli is the command line. Flags are for what differs from call to call; the
// set-up comes from the environment.
type cli struct {
	Run       runCmd       `cmd:"" default:"1" help:"The consumer daemon (default)."`
	Dev       devCmd       `cmd:"" help:"The whole system in one process, nothing to install."`
	Replay    replayCmd    `cmd:"" help:"Backfill from the stream's history, or from a list; --dry-run counts."`
	Warm      warmCmd      `cmd:"" help:"Warm now, from a shell; no stream needed. NATS is used only when NATS_URL is set."`
	Plan      planCmd      `cmd:"" help:"Show what would be warmed; sends no ranged HEAD."`
	Publish   publishCmd   `cmd:"" help:"Publish a native event; exits 0 only after the stream's ack."`
	Wait      waitCmd      `cmd:"" help:"Block until it is warm: for init containers, prologs, deploy gates."`
	Status    statusCmd    `cmd:"" help:"Lanes, lag, instances, last receipts, dead letters; or the story of one event."`
	Pause     pauseCmd     `cmd:"" help:"Stop a lane, or both, for all replicas."`
	Resume    resumeCmd    `cmd:"" help:"Restart a lane, or both."`
	Reconcile reconcileCmd `cmd:"" help:"One pass, for cron: find what never became an event, and publish it."`
	DLQ       dlqCmd       `cmd:"" name:"dlq" help:"Dead letters: ls, show, redrive, purge."`
	Gateway   gatewayCmd   `cmd:"" help:"Webhooks and HTTP events into the stream."`
	Doctor    doctorCmd    `cmd:"" help:"Check the set-up and say what is wrong, with the remedy; changes nothing."`
	Lotasim   lotasimCmd   `cmd:"" help:"The LOTA emulator alone."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

func main() {
	os.Exit(run(os.Args[1:], world{environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}))
}

func run(args []string, w world) int {
	var c cli
	exited := false
	parser, err := kong.New(&c,
		kong.Name("prestage"),
		kong.Description("Keeps CoreWeave's LOTA cache warm: events in, cache filled, then acked. Settings come from the environment, see the README."),
		kong.Writers(w.stdout, w.stderr),
		kong.Exit(func(int) { exited = true }), // after --help and --version
		kong.Vars{"version": build().String()},
	)
	if err != nil {
		fmt.Fprintf(w.stderr, "prestage: %v\n", err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if exited {
		return exitDone
	}
	if err != nil {
		return w.exit(&exitError{exitUsage, err})
	}

	ctx, stop := untilSignal(w.stderr, os.Exit)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	w.refused = new(refusals)
	err = w.refused.explain(parsed.Run(w))
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	return w.exit(err)
}

// exit prints err as one line and returns the program's exit code.
func (w world) exit(err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, nats.ErrNoResponders) {
		err = fmt.Errorf("%w; is JetStream enabled there, and for this account? prestage doctor tells", err)
	}
	fmt.Fprintf(w.stderr, "prestage: %s\n", visible(strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(err.Error())))
	var coded *exitError
	var setting *app.SettingError
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &setting):
		return exitUsage
	default:
		return exitFailed
	}
}

// logger writes to stderr as the configuration says.
func (w world) logger(c app.Config) *slog.Logger {
	format := c.LogFormat
	if format == "" {
		format = "json"
		if isTerminal(w.stderr) {
			format = "text"
		}
	}
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w.stderr, opts))
	}
	return slog.New(slog.NewJSONHandler(w.stderr, opts))
}

// isTerminal says that a person is likely to be looking.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) //nolint:gosec // a file descriptor
}
