package lotasim

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// switches are the fields that docs/lota-facts.md writes about, by their names
// there, with their defaults.
func switches() map[string]string {
	out := map[string]string{}
	for _, v := range []any{Defaults(), Defaults().Timing, CatalogueOptions{}, Credential{}} {
		s := reflect.ValueOf(v)
		for i := range s.NumField() {
			f := s.Field(i)
			out[s.Type().Name()+"."+s.Type().Field(i).Name] = fmt.Sprint(f.Interface())
		}
	}
	return out
}

var (
	switchName = regexp.MustCompile("`((?:Options|Timing|CatalogueOptions|Credential)\\.[A-Za-z0-9]+)`")
	knowledge  = []string{"documented", "observed", "assumed"}
)

// Every switch is in the document, every switch of the document exists, and the
// defaults are those of the program.
func TestFacts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/lota-facts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range wrongFacts(string(text)) {
		t.Error(wrong)
	}
	if text, err = os.ReadFile("../../docs/lota-divergences.md"); err != nil {
		t.Fatal(err)
	}
	all := switches()
	for _, m := range switchName.FindAllStringSubmatch(string(text), -1) {
		if _, ok := all[m[1]]; !ok {
			t.Errorf("lota-divergences.md: there is no switch %s", m[1])
		}
	}
}

func wrongFacts(text string) (wrong []string) {
	all := switches()
	named := map[string]int{}
	for _, m := range switchName.FindAllStringSubmatch(text, -1) {
		if _, ok := all[m[1]]; !ok {
			wrong = append(wrong, "there is no switch "+m[1])
		}
		named[m[1]]++
	}
	for name := range all {
		if named[name] != 1 {
			wrong = append(wrong, fmt.Sprintf("%s is named %d times, want once", name, named[name]))
		}
	}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 || !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| behaviour") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if !slices.Contains(knowledge, cells[1]) {
			wrong = append(wrong, fmt.Sprintf("%q is no way of knowing: %s", cells[1], cells[0]))
		}
		if cells[1] == "documented" && !strings.HasPrefix(cells[2], "[") {
			wrong = append(wrong, "documented without a source: "+cells[0])
		}
		m := switchName.FindStringSubmatch(cells[3])
		if want := cells[4]; m != nil && want != "–" && want != "`"+all[m[1]]+"`" {
			wrong = append(wrong, fmt.Sprintf("the default of %s is %s, not %s", m[1], all[m[1]], want))
		}
	}
	slices.Sort(wrong)
	return wrong
}

// TestFactsFail shows what the check finds.
func TestFactsFail(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for name := range switches() {
		if name != "Options.Refill" && name != "Options.Nodes" {
			fmt.Fprintf(&b, "`%s`\n", name)
		}
	}
	b.WriteString("| a | rumoured | – | `Options.Nodes` | `3` |\n| b | documented | – | `Options.Gone` | – |\n`Options.Seed`\n")
	want := []string{
		`"rumoured" is no way of knowing: a`,
		"Options.Refill is named 0 times, want once",
		"Options.Seed is named 2 times, want once",
		"documented without a source: b",
		"the default of Options.Nodes is 2, not `3`",
		"there is no switch Options.Gone",
	}
	if diff := cmp.Diff(want, wrongFacts(b.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
