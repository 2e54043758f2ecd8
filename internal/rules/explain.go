package rules

import (
	"fmt"
	"slices"
	"strings"
)

// Explain says of each rule in turn, up to the one that matches, why For takes
// it or does not.
func (s *Set) Explain(subject, bucket, key string) []string {
	if s == nil {
		return []string{"no rules file: the defaults hold"}
	}
	var out []string
	for i := range s.Rules {
		r := &s.Rules[i]
		why := r.Match.why(subject, bucket, key)
		if why == "" {
			return append(out, fmt.Sprintf("rule %q matches: %s", r.Name, r))
		}
		out = append(out, fmt.Sprintf("rule %q does not match: %s", r.Name, why))
	}
	return append(out, "no rule matches: the defaults hold")
}

// String is what r changes, for people.
func (r *Rule) String() string {
	var parts []string
	add := func(key string, value any, given bool) {
		if given {
			parts = append(parts, fmt.Sprintf("%s: %v", key, value))
		}
	}
	add("format", r.Format, r.Format != "")
	add("include", r.Include, len(r.Include) > 0)
	add("exclude", r.Exclude, len(r.Exclude) > 0)
	if r.MinBytes != nil {
		add("min_bytes", *r.MinBytes, true)
	}
	add("max_bytes", r.MaxBytes, r.MaxBytes > 0)
	add("policy", r.Policy, r.Policy != "")
	add("keep", r.Keep, r.Keep != "")
	add("lane", r.Lane, r.Lane != "")
	add("clusters", r.Clusters, len(r.Clusters) > 0)
	add("whole_bucket", r.WholeBucket, r.WholeBucket)
	if len(parts) == 0 {
		return "it changes nothing"
	}
	return strings.Join(parts, ", ")
}

// Excludes says what of r leaves an object out in cluster, or nothing.
func (r *Rule) Excludes(cluster, key string, size int64) string {
	within := func(glob string) bool { return keyMatches(glob, key) }
	switch i := slices.IndexFunc(r.Exclude, within); {
	case !r.For(cluster):
		return fmt.Sprintf("clusters are %s, this one is %s", strings.Join(r.Clusters, ", "), cluster)
	case len(r.Include) > 0 && !slices.ContainsFunc(r.Include, within):
		return "not in include"
	case i >= 0:
		return fmt.Sprintf("in exclude: %s", r.Exclude[i])
	case r.MaxBytes > 0 && size > r.MaxBytes:
		return fmt.Sprintf("larger than max_bytes: %d", r.MaxBytes)
	default:
		return ""
	}
}
