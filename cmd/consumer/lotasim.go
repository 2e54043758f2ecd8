package main

import (
	"context"

	lotasim "github.com/prestage/prestage/internal/lotasim/run"
)

// lotasimCmd is the emulator alone.
type lotasimCmd struct {
	lotasim.Options
}

// Run serves until a signal.
func (l lotasimCmd) Run(ctx context.Context, w world) error {
	c, err := w.logSettings()
	if err != nil {
		return err
	}
	return lotasim.Run(ctx, l.Options, w.logger(c), w.stdout)
}
