package app

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// SettingError is a wrong setting: one line that names the variable, the value
// and what is allowed.
type SettingError struct {
	Name  string
	Value string // "" for a secret
	Want  string
}

// Error is that line.
func (e *SettingError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Name, e.Want)
	}
	return fmt.Sprintf("%s=%q: %s", e.Name, e.Value, e.Want)
}

// later are the settings of features that this version does not have. Set to
// anything but the value given, they stop the program rather than be ignored.
var later = map[string]string{
	"PRESTAGE_RULES":                            "",
	"PRESTAGE_GATEWAY_ADDR":                     "",
	"PRESTAGE_GATEWAY_TOKENS":                   "",
	"PRESTAGE_GATEWAY_TOKENS_FILE":              "",
	"PRESTAGE_GATEWAY_MLFLOW_SECRETS":           "",
	"PRESTAGE_GATEWAY_MLFLOW_SECRETS_FILE":      "",
	"PRESTAGE_GATEWAY_WANDB_SECRETS":            "",
	"PRESTAGE_GATEWAY_WANDB_SECRETS_FILE":       "",
	"PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS":      "",
	"PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS_FILE": "",
	"PRESTAGE_GATEWAY_HARBOR_SECRETS":           "",
	"PRESTAGE_GATEWAY_HARBOR_SECRETS_FILE":      "",
	"PRESTAGE_GATEWAY_INSECURE":                 "false",
	"MLFLOW_TRACKING_URI":                       "",
	"MLFLOW_TRACKING_TOKEN":                     "",
	"OTEL_EXPORTER_OTLP_ENDPOINT":               "",
}

// ParseConfig reads the configuration from environ ("NAME=value" lines, as
// os.Environ gives them) and checks all of it. An empty value is the default.
// Errors are *SettingError.
func ParseConfig(environ []string) (Config, error) {
	vars := make(map[string]string, len(environ))
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok && value != "" {
			vars[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(later)) {
		if v := vars[name]; v != "" && v != later[name] {
			e := &SettingError{Name: name, Want: "not in this version; unset it"}
			if later[name] != "" { // a switch; what the others hold may be secret
				e.Value = v
			}
			return Config{}, e
		}
	}
	var c Config
	if err := env.ParseWithOptions(&c, env.Options{Environment: vars}); err != nil {
		return Config{}, settingError(err, vars)
	}
	for _, list := range [][]string{c.NATSURL, c.ModelSubjects, c.CheckpointSubjects, c.Buckets} {
		for i := range list {
			list[i] = strings.TrimSpace(list[i]) // "a, b" names a and b
		}
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// settingError names the variable where env names the Go field, and says what
// is allowed rather than what strconv thought of it.
func settingError(err error, vars map[string]string) error {
	var all env.AggregateError
	if !errors.As(err, &all) || len(all.Errors) == 0 {
		return err
	}
	var pe env.ParseError
	if !errors.As(all.Errors[0], &pe) {
		return all.Errors[0]
	}
	f, ok := reflect.TypeFor[Config]().FieldByName(pe.Name)
	if !ok {
		return &SettingError{Name: pe.Name, Want: "cannot be read"}
	}
	name := f.Tag.Get("env")
	return &SettingError{Name: name, Value: vars[name], Want: wantOf(f.Type)}
}

func wantOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "want a duration with a unit, such as 30s, 15m or 24h"
	case reflect.TypeFor[slog.Level]():
		return "want debug, info, warn or error"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "want true or false"
	case reflect.Int, reflect.Int64:
		return "want a whole number"
	default:
		return "cannot be read"
	}
}
