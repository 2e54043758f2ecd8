package rules

import (
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Policy says when the objects of a checkpoint are filled.
type Policy string

// The policies. None is Eager.
const (
	Eager  Policy = "eager"  // each as soon as its event comes
	Atomic Policy = "atomic" // all when the checkpoint is complete
)

// Lane says whose turn an event's fills have.
type Lane string

// The lanes. None is that of the event's subject.
const (
	Model      Lane = "model"
	Checkpoint Lane = "checkpoint"
)

// Rule is one rule of the file. The zero Rule changes nothing.
type Rule struct {
	Name  string `yaml:"name"`
	Match Match  `yaml:"match"`

	Format string `yaml:"format"` // of checkpoints, "": told by the event or the keys

	// Include and Exclude are globs of keys. One without a slash is held against the
	// last element of a key, as .gitignore does, else against all of it.
	Include []string `yaml:"include"`
	Exclude []string `yaml:"exclude"`
	// MinBytes stands for PRESTAGE_MIN_BYTES unless nil: objects not larger are
	// skipped. MaxBytes, unless 0, leaves out those that are larger.
	MinBytes *int64 `yaml:"min_bytes"`
	MaxBytes int64  `yaml:"max_bytes"`

	Policy Policy      `yaml:"policy"`
	Keep   layout.Keep `yaml:"keep"` // which part of a checkpoint is filled
	Lane   Lane        `yaml:"lane"`

	// Clusters are those whose caches are warmed; none: all.
	Clusters []string `yaml:"clusters"`
	// WholeBucket allows events that name all of a bucket.
	WholeBucket bool `yaml:"whole_bucket"`
}

// Match says what a rule is for. Of each list one element has to match; an empty
// one matches everything.
type Match struct {
	Subjects []string `yaml:"subjects"` // NATS patterns, each with everything below it
	Buckets  []string `yaml:"buckets"`  // globs
	Prefixes []string `yaml:"prefixes"` // of keys, up to a "/"; "*" is within one element
}

// For says that the objects of r are warmed in cluster.
func (r *Rule) For(cluster string) bool {
	return len(r.Clusters) == 0 || slices.Contains(r.Clusters, cluster)
}

// Skip says why an object is left out in cluster, or nothing. Its size may be
// object.UnknownSize, which no limit leaves out; minBytes is the limit where r
// has none.
func (r *Rule) Skip(cluster, key string, size, minBytes int64) outcome.Reason {
	if r.MinBytes != nil {
		minBytes = *r.MinBytes
	}
	switch {
	case r.Excludes(cluster, key, size) != "":
		return outcome.Excluded
	case size == 0:
		return outcome.Empty
	case size != object.UnknownSize && size <= minBytes:
		return outcome.TooSmall
	default:
		return ""
	}
}

// keyMatches holds an element of Include or Exclude against a key.
func keyMatches(glob, key string) bool {
	if !strings.Contains(glob, "/") {
		key = key[strings.LastIndexByte(key, '/')+1:]
	}
	return doublestar.MatchUnvalidated(glob, key)
}

// whose says which of subject and bucket does not match, if any.
func (m *Match) whose(subject, bucket string) string {
	switch {
	case len(m.Subjects) > 0 && !slices.ContainsFunc(m.Subjects, func(p string) bool { return subjectMatches(p, subject) }):
		return "subject"
	case len(m.Buckets) > 0 && !slices.ContainsFunc(m.Buckets, func(p string) bool { return globMatches(p, bucket) }):
		return "bucket"
	default:
		return ""
	}
}

// why says what of m does not match, or nothing. A key may be a prefix, or empty
// for a whole bucket.
func (m *Match) why(subject, bucket, key string) string {
	switch whose := m.whose(subject, bucket); {
	case whose != "":
		return whose
	case len(m.Prefixes) > 0 && !slices.ContainsFunc(m.Prefixes, func(p string) bool { return prefixMatches(p, key) }):
		return "prefix"
	default:
		return ""
	}
}

// below says that m may match keys below prefix, though not prefix itself.
func (m *Match) below(subject, bucket, prefix string) bool {
	n := strings.Count(prefix, "/")
	return m.whose(subject, bucket) == "" && slices.ContainsFunc(m.Prefixes, func(p string) bool {
		elements := strings.SplitAfter(p, "/") // the last one is empty
		return n < len(elements)-1 && globMatches(strings.Join(elements[:n], ""), prefix)
	})
}

// subjectMatches holds a pattern, and everything below it, against a subject.
func subjectMatches(pattern, subject string) bool {
	if subject == "" {
		return false
	}
	s := strings.Split(subject, ".")
	for i, token := range strings.Split(pattern, ".") {
		switch {
		case i >= len(s):
			return false
		case token == ">":
			return true
		case token != "*" && token != s[i]:
			return false
		}
	}
	return true
}

// globMatches is path.Match for globs that were checked.
func globMatches(glob, s string) bool {
	ok, _ := path.Match(glob, s)
	return ok
}

// prefixMatches holds a pattern that ends in "/" against as many elements of the
// key as it has.
func prefixMatches(pattern, key string) bool {
	end := 0
	for range strings.Count(pattern, "/") {
		i := strings.IndexByte(key[end:], '/')
		if i < 0 {
			return false
		}
		end += i + 1
	}
	return globMatches(pattern, key[:end])
}
