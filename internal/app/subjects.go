package app

import (
	"fmt"
	"slices"
	"strings"
)

// filters are the subjects of a lane as JetStream wants them: each one and
// everything below it.
func filters(subjects []string) []string {
	var out []string
	for _, s := range subjects {
		out = append(out, s)
		if s != ">" && !strings.HasSuffix(s, ".>") {
			out = append(out, s+".>")
		}
	}
	return out
}

// resultSubjects and letterSubjects are what prestage writes to, askedSubjects
// where instances are asked how they are, and replays whether they run.
var (
	resultSubjects = []string{"prestage.warmed.>", "prestage.failed.>"}
	letterSubjects = []string{"prestage.dlq.>"}
	askedSubjects  = []string{"prestage.status.>", "prestage.replay.>"}
)

// written says whether a lane of the subject would take in what prestage itself
// writes, and where that is. Two streams cannot have such subjects either.
func written(subject string) (own string, ok bool) {
	for _, own := range slices.Concat(resultSubjects, letterSubjects, askedSubjects) {
		for _, f := range filters([]string{subject}) {
			if Meet(f, own) {
				return own, true
			}
		}
	}
	return "", false
}

func validSubject(s string) bool {
	tokens := strings.Split(s, ".")
	for i, t := range tokens {
		switch {
		case t == "" || len(s) > 512:
			return false
		case t == ">" && i != len(tokens)-1:
			return false
		case len(t) > 1 && strings.ContainsAny(t, "*>"):
			return false
		case strings.ContainsFunc(t, func(c rune) bool { return c <= ' ' || c == 0x7f }):
			return false
		}
	}
	return tokens[0] != "$JS" && tokens[0] != "$KV" && tokens[0] != "$SYS"
}

// Distinct are subjects, wildcards allowed, without those that others of them take
// in: a consumer's filters may have no message in common.
func Distinct(subjects []string) ([]string, error) {
	var out []string
	for i, s := range subjects {
		if !validSubject(s) {
			return nil, fmt.Errorf("%q is no subject", s)
		}
		others := slices.Concat(out, subjects[i+1:])
		if !covered(s, others) {
			out = append(out, s)
		}
	}
	if a, b, found := overlap(out); found {
		return nil, fmt.Errorf("%s and %s have messages in common", a, b)
	}
	return out, nil
}

// overlap finds two of the subjects that some message would match both.
func overlap(subjects []string) (a, b string, found bool) {
	for i, a := range subjects {
		for _, b := range subjects[i+1:] {
			if meet(strings.Split(a, "."), strings.Split(b, ".")) {
				return a, b, true
			}
		}
	}
	return "", "", false
}

// meet says that some subject matches both patterns.
func meet(a, b []string) bool {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a) || i >= len(b):
			return false
		case a[i] == ">" || b[i] == ">":
			return true
		case a[i] != "*" && b[i] != "*" && a[i] != b[i]:
			return false
		}
	}
	return true
}

// covered says that every subject that pattern matches is among those that one
// of streams matches.
func covered(pattern string, streams []string) bool {
	p := strings.Split(pattern, ".")
	return slices.ContainsFunc(streams, func(s string) bool {
		t := strings.Split(s, ".")
		for i := range t {
			switch {
			case t[i] == ">":
				return i < len(p)
			case i >= len(p) || p[i] == ">":
				return false
			case t[i] != "*" && t[i] != p[i]:
				return false
			}
		}
		return len(t) == len(p)
	})
}
