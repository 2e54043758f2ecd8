package doctor

import (
	"context"
	"log/slog"

	"github.com/prestage/prestage/internal/outcome"
)

// tracking says whether MLflow's tracking server, if one is configured, lets us
// read its registry.
func (d *doctor) tracking(ctx context.Context) {
	if d.Config.MLflowTrackingURI == "" {
		return
	}
	t := d.topic("mlflow")
	server, err := d.Config.Tracking(slog.New(slog.DiscardHandler))
	if err != nil {
		t.fail("correct the setting, or unset MLFLOW_TRACKING_URI: run would not start", "%v", err)
		return
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	if err := server.Check(ctx); err != nil {
		e := *outcome.As(err)
		remedy := e.Hint
		e.Hint = ""
		t.fail(remedy, "%v", &e)
		return
	}
	t.fine("the tracking server answers, and its registry may be read")
}
