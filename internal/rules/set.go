package rules

import (
	"fmt"
	"strings"
)

// Set is a rules file that was read. A nil Set is that of no file.
type Set struct {
	Rules   []Rule  `yaml:"rules"`
	Sources Sources `yaml:"sources"`
	MLflow  MLflow  `yaml:"mlflow"`
}

// MLflow says which events of MLflow's registry publish a model.
type MLflow struct {
	Aliases []string `yaml:"aliases"` // globs; setting one that matches publishes its version
	Tags    []string `yaml:"tags"`    // "key=value", the value a glob; setting one likewise
}

// Alias says that one of Aliases matches.
func (m MLflow) Alias(name string) bool {
	for _, glob := range m.Aliases {
		if globMatches(glob, name) {
			return true
		}
	}
	return false
}

// Tag says that one of Tags matches.
func (m MLflow) Tag(key, value string) bool {
	for _, tag := range m.Tags {
		k, glob, _ := strings.Cut(tag, "=")
		if k == key && globMatches(glob, value) {
			return true
		}
	}
	return false
}

// For is the first rule that matches, else the zero Rule. Subject is that of the
// message, empty where there is none: then no rule with subjects matches. Key may
// be a prefix, or empty for a whole bucket.
func (s *Set) For(subject, bucket, key string) Rule {
	if s == nil {
		return Rule{}
	}
	for i := range s.Rules {
		if s.Rules[i].Match.why(subject, bucket, key) == "" {
			return s.Rules[i]
		}
	}
	return Rule{}
}

// Explain says of each rule in turn, up to the one that matches, why For takes
// it or does not.
func (s *Set) Explain(subject, bucket, key string) []string {
	if s == nil {
		return []string{"no rules file: the defaults hold"}
	}
	var out []string
	for i := range s.Rules {
		why := s.Rules[i].Match.why(subject, bucket, key)
		if why == "" {
			return append(out, fmt.Sprintf("rule %q matches", s.Rules[i].Name))
		}
		out = append(out, fmt.Sprintf("rule %q does not match: %s", s.Rules[i].Name, why))
	}
	return append(out, "no rule matches: the defaults hold")
}
