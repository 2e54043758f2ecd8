package lotasim

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// about says what this is and how it is set.
func (s *Sim) about() map[string]any {
	all := settings(reflect.ValueOf(s.opts))
	delete(all, "logger")
	delete(all, "faults") // GET /faults has them, with what was added since
	all["name"] = "lotasim, an emulator of CoreWeave LOTA. It is no cache and not for production."
	all["seed"] = strconv.FormatUint(s.seed, 10) // a string: it is beyond what JSON numbers carry
	return all
}

// settings are the fields of a struct by their names in JSON; durations are
// spelt as flags spell them.
func settings(v reflect.Value) map[string]any {
	out := map[string]any{}
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		value := field.Interface()
		if d, ok := value.(time.Duration); ok {
			value = fmt.Sprint(d)
		} else if field.Kind() == reflect.Struct {
			value = settings(field)
		}
		out[snake(name)] = value
	}
	return out
}

var wordStart = regexp.MustCompile(`([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])`)

// snake turns LOTADomain into lota_domain.
func snake(name string) string {
	return strings.ToLower(wordStart.ReplaceAllString(name, "${1}${3}_${2}${4}"))
}
