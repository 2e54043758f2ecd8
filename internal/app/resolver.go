package app

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/url"
	"strings"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/gateway"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/resolve"
	"github.com/prestage/prestage/internal/rules"
)

// newResolver is what finds the artifacts of registries in S3, among them MLflow's,
// which must be closed. An error is a *SettingError.
//
// The rules that hold now, and get, which reads a small object, are asked when an artifact is looked
// for.
func newResolver(cfg Config, log *slog.Logger, now func() *rules.Set, get getter) (*resolve.Resolver, *resolve.MLflow, error) {
	tracking, err := cfg.Tracking(log)
	if err != nil {
		return nil, nil, err
	}
	var destination object.Ref
	if s := cfg.MLflowDestination; s != "" {
		if destination, err = object.ParseURI(s); err != nil {
			shown := s
			if strings.Contains(shown, "@") {
				shown = "" // credentials
			}
			return nil, nil, &SettingError{"MLFLOW_ARTIFACTS_DESTINATION", shown, "want the s3:// URI below which the tracking server keeps its artifacts"}
		}
	}
	mlflow := resolve.NewMLflow(tracking, destination, func() resolve.Marks {
		if marks := now().Marks(); marks != nil {
			return marks
		}
		return resolve.DefaultMarks{}
	})
	return resolve.New(map[events.Registry]resolve.Finder{
		events.MLflow:      mlflow,
		events.HuggingFace: resolve.HuggingFace{Rules: now},
		events.WandB:       resolve.WandB{Rules: now},
		events.OCI:         resolve.OCI{Rules: now, Get: get},
	}), mlflow, nil
}

// getter reads a small object whole. Errors are *outcome.Error.
type getter = func(ctx context.Context, ref object.Ref, limit int64) ([]byte, error)

// Tracking is a client of the MLflow tracking server that c names, nil where it
// names none. It must be closed. An error is a *SettingError.
//
// These settings are checked by who uses them, not by Validate: platforms give
// MLFLOW_TRACKING_URI to every program, and what it means to others, a database
// say, must not keep a training job from publishing an event.
func (c *Config) Tracking(log *slog.Logger) (*resolve.Tracking, error) {
	if c.MLflowTrackingURI == "" {
		return nil, nil
	}
	shown, _, _ := strings.Cut(masked(c.MLflowTrackingURI), "?")
	u, err := url.Parse(c.MLflowTrackingURI)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") || !validPort(u.Port()) || u.RawQuery != "" || u.Fragment != "" {
		return nil, &SettingError{"MLFLOW_TRACKING_URI", shown, "want the http:// or https:// address of a tracking server, with the path below which it is, if any"}
	}
	if u.User != nil {
		return nil, &SettingError{"MLFLOW_TRACKING_URI", shown, "want no credentials in it; set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"}
	}
	tokens, err := gateway.NewKeyring(reveal([]Secret{c.MLflowTrackingToken}), c.MLflowTrackingTokenFile, log)
	if err != nil {
		return nil, &SettingError{"MLFLOW_TRACKING_TOKEN_FILE", c.MLflowTrackingTokenFile, "want the path of a readable file of at most 64 KiB"}
	}
	basic := ""
	if c.MLflowTrackingUsername != "" {
		basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.MLflowTrackingUsername+":"+string(c.MLflowTrackingPassword)))
	}
	return resolve.NewTracking(u, func(ctx context.Context) string {
		if basic != "" {
			return basic
		}
		if all := tokens.Secrets(ctx); len(all) > 0 {
			return "Bearer " + all[0]
		}
		return ""
	}), nil
}
