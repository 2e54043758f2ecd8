package app

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFilters(t *testing.T) {
	t.Parallel()
	got := filters([]string{"a", "b.>", ">", "c.*"})
	if diff := cmp.Diff([]string{"a", "a.>", "b.>", ">", "c.*", "c.*.>"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestValidSubject(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"a": true, "a.b-c_d.E1": true, "*": true, ">": true, "a.*.b": true, "a.>": true, "a.é": true, "x$JS": true,
		strings.Repeat("a", 512): true,

		"": false, ".": false, ".a": false, "a.": false, "a..b": false, "a.>.b": false, "a*": false, "a.b>": false, "**": false,
		"a b": false, " a": false, "a\t": false, "a\nb": false, "a\x00": false, "a\x7f": false,
		"$JS": false, "$JS.API.>": false, "$KV.b.>": false, "$SYS.>": false, strings.Repeat("a", 513): false,
	} {
		if got := validSubject(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		subjects []string
		want     bool
	}{
		{nil, false},
		{[]string{"a"}, false},
		{[]string{"a", "b"}, false},
		{[]string{"a", "a.>"}, false},
		{[]string{"a", "a.b"}, false},
		{[]string{"a", "b", "a"}, true},
		{[]string{"a.b", "a.>"}, true},
		{[]string{"a.*", "*.b"}, true},
		{[]string{"a.*.c", "*.b.d"}, false},
		{[]string{"a.>", "a.b.>"}, true},
		{[]string{">", "a"}, true},
		{[]string{"*", "a.b"}, false},
	} {
		if a, b, got := overlap(tt.subjects); got != tt.want || got != (a != "" && b != "") {
			t.Errorf("%q: %v, %q and %q", tt.subjects, got, a, b)
		}
	}
}

func TestCovered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern string
		streams []string
		want    bool
	}{
		{"a", nil, false},
		{"a", []string{"b", "a"}, true},
		{"a", []string{"*"}, true},
		{"*", []string{"a"}, false},
		{"a.b", []string{"a"}, false},
		{"a", []string{"a.b"}, false},
		{"a", []string{"a.>"}, false},
		{"a.b", []string{"a.>"}, true},
		{"a.>", []string{"a.>"}, true},
		{"a.>", []string{"a.*"}, false},
		{"a.b.>", []string{"a.>"}, true},
		{"a.>", []string{"a.b.>"}, false},
		{">", []string{">"}, true},
		{"a.*.>", []string{"a.>"}, true},
		{"events.model.published.>", []string{"events.>"}, true},
	} {
		if got := covered(tt.pattern, tt.streams); got != tt.want {
			t.Errorf("%q in %q: %v", tt.pattern, tt.streams, got)
		}
	}
}

// matches is JetStream's rule, as plainly as it can be said.
func matches(pattern, subject []string) bool {
	switch {
	case len(pattern) == 0:
		return len(subject) == 0
	case len(subject) == 0:
		return false
	case pattern[0] == ">":
		return true
	case pattern[0] == "*" || pattern[0] == subject[0]:
		return matches(pattern[1:], subject[1:])
	default:
		return false
	}
}

// TestSubjectsAgainstBruteForce compares overlap and covered with all subjects
// of up to five tokens. The patterns have up to four, and one token more than
// the patterns know stands for all others.
func TestSubjectsAgainstBruteForce(t *testing.T) {
	t.Parallel()
	var universe [][]string
	level := [][]string{nil}
	for range 5 {
		var next [][]string
		for _, s := range level {
			for _, tok := range []string{"a", "b", "other"} {
				next = append(next, append(slices.Clip(s), tok))
			}
		}
		universe, level = append(universe, next...), next
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	pattern := func() []string {
		p := make([]string, 1+random.IntN(4))
		for i := range p {
			p[i] = []string{"a", "b", "*"}[random.IntN(3)]
		}
		if random.IntN(3) == 0 {
			p[len(p)-1] = ">"
		}
		return p
	}
	for range 3000 {
		p, q := pattern(), pattern()
		ps, qs := strings.Join(p, "."), strings.Join(q, ".")
		both, all := false, true
		for _, s := range universe {
			mp, mq := matches(p, s), matches(q, s)
			both = both || (mp && mq)
			all = all && (!mp || mq)
		}
		if _, _, got := overlap([]string{ps, qs}); got != both {
			t.Fatalf("overlap of %s and %s: %v, want %v (seed %d)", ps, qs, got, both, seed)
		}
		if got := covered(ps, []string{"x", qs}); got != all {
			t.Fatalf("%s covered by %s: %v, want %v (seed %d)", ps, qs, got, all, seed)
		}
	}
}

func TestDistinct(t *testing.T) {
	t.Parallel()
	for subjects, want := range map[string]string{
		"":                  "",
		"a.b c":             "a.b c",
		"a.b a.b":           "a.b",
		"a.b a.> a.*":       "a.>",
		"a.> a.b":           "a.>",
		"a.*.c a.b.c a.b.d": "a.*.c a.b.d",
		"a.*.c a.b.*":       "error: a.*.c and a.b.* have messages in common",
		"a..b":              `error: "a..b" is no subject`,
		"a.>.b":             `error: "a.>.b" is no subject`,
		"$JS.API.INFO a":    `error: "$JS.API.INFO" is no subject`,
	} {
		got, err := Distinct(strings.Fields(subjects))
		text := strings.Join(got, " ")
		if err != nil {
			text = "error: " + err.Error()
		}
		if text != want {
			t.Errorf("%s: %s, want %s", subjects, text, want)
		}
	}
}
