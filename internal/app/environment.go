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

// variables are the "NAME=value" lines of environ; the last one of a name
// counts.
func variables(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

// widening are the settings whose default reaches further than what somebody
// who left the value empty, as a template does, can have meant.
var widening = map[string]string{
	"PRESTAGE_BUCKETS": "want globs of the buckets that may be touched, such as ckpt-*,models, or * for all",
	"PRESTAGE_CLUSTER": "want the cluster's name; clusters with one name share each other's events, and each warms a part of them",
}

// ParseConfig reads the configuration from environ ("NAME=value" lines, as
// os.Environ gives them) and checks all of it. An empty value is the default,
// where that is safe. Errors are *SettingError.
func ParseConfig(environ []string) (Config, error) {
	vars := variables(environ)
	for _, name := range slices.Sorted(maps.Keys(widening)) {
		if v, set := vars[name]; set && strings.TrimSpace(v) == "" {
			return Config{}, &SettingError{Name: name, Want: "set but empty; " + widening[name]}
		}
	}
	maps.DeleteFunc(vars, func(_, value string) bool { return value == "" })
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
		return Config{}, asTyped(err, vars)
	}
	return c, nil
}

// asTyped shows the value as it was given: "-1h", where the parsed one reads
// "-1h0m0s". Of a list, the element that is wrong says more; of NATS_URL, what
// is left of it without a password.
func asTyped(err error, vars map[string]string) error {
	var e *SettingError
	if errors.As(err, &e) && e.Value != "" && e.Name != "NATS_URL" && vars[e.Name] != "" && !strings.Contains(vars[e.Name], ",") {
		e.Value = vars[e.Name]
	}
	return err
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

const wantBool = "want true or false"

func wantOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "want a duration with a unit, such as 30s, 15m or 24h"
	case reflect.TypeFor[Bytes]():
		return wantBytes
	case reflect.TypeFor[slog.Level]():
		return "want debug, info, warn or error"
	}
	switch t.Kind() {
	case reflect.Bool:
		return wantBool
	case reflect.Int, reflect.Int64:
		return "want a whole number"
	default:
		return "cannot be read"
	}
}
