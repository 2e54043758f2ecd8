package doctor

import (
	"fmt"
	"strings"
	"unicode"
)

// Status is how grave a finding is.
type Status string

// The statuses. Only Fail means that something would not work.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Finding is what one check saw. A check with several complaints has as many
// findings.
type Finding struct {
	Name   string `json:"name"` // what was looked at, such as "stream EVENTS"
	Status Status `json:"status"`
	Seen   string `json:"seen"`
	Remedy string `json:"remedy"` // "" when Status is OK
}

// String is the finding as one printable line.
func (f Finding) String() string {
	line := fmt.Sprintf("%-4s  %s: %s", f.Status, f.Name, f.Seen)
	if f.Remedy != "" {
		line += "; remedy: " + f.Remedy
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?' // a name from a server could steer the terminal
	}, line)
}

// topic is one thing that is looked at. Without a complaint it is fine.
type topic struct {
	name       string
	tell       func(Finding)
	complained bool
}

func (t *topic) warn(remedy, format string, args ...any) {
	t.complained = true
	t.tell(Finding{t.name, Warn, fmt.Sprintf(format, args...), remedy})
}

func (t *topic) fail(remedy, format string, args ...any) {
	t.complained = true
	t.tell(Finding{t.name, Fail, fmt.Sprintf(format, args...), remedy})
}

// fine says so, unless there was a complaint.
func (t *topic) fine(format string, args ...any) {
	if !t.complained {
		t.tell(Finding{t.name, OK, fmt.Sprintf(format, args...), ""})
	}
}
