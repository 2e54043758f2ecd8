package main

import (
	"context"
	"log/slog"

	lotasim "github.com/prestage/prestage/internal/lotasim/run"
)

// lotasimCmd is the emulator alone.
type lotasimCmd struct {
	lotasim.Options
}

// Run serves until a signal.
func (l lotasimCmd) Run(ctx context.Context, w world) error {
	log := slog.New(slog.NewTextHandler(w.stderr, nil))
	return lotasim.Run(ctx, l.Options, log, w.stdout)
}
