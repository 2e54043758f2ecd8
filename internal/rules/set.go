package rules

import (
	"slices"
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

// Marks are those of the file, nil where it has none.
func (s *Set) Marks() *MLflow {
	if s == nil || len(s.MLflow.Aliases)+len(s.MLflow.Tags) == 0 {
		return nil
	}
	return &s.MLflow
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

// Reach says that something at prefix, or below it, may be warmed in cluster: by
// the rule for prefix, or by an earlier one for a part of it.
func (s *Set) Reach(cluster, subject, bucket, prefix string) bool {
	if s == nil {
		return true
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		if r.Match.why(subject, bucket, prefix) == "" {
			return r.For(cluster)
		}
		if r.For(cluster) && r.Match.below(subject, bucket, prefix) {
			return true
		}
	}
	return true
}

// WholeBucket says that some rule allows events that name a whole bucket.
func (s *Set) WholeBucket() bool {
	return s != nil && slices.ContainsFunc(s.Rules, func(r Rule) bool { return r.WholeBucket })
}
