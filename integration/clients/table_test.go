package clients_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// document is where the table is; the test writes what is between the marks.
const (
	document = "../../docs/clients.md"
	begin    = "<!-- clients:begin -->\n"
	end      = "<!-- clients:end -->\n"
)

// trial is what came of one client's step by one way.
type trial struct {
	client, version, way, step string
	err                        error
}

type trials struct {
	mu  sync.Mutex
	all []trial
}

func newTrials() *trials { return &trials{} }

func (ts *trials) add(t trial) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.all = append(ts.all, t)
}

// cell says by which ways a client can do a step.
func (ts *trials) cell(client, step string) string {
	var can []string
	why := ""
	for _, way := range ways {
		for _, t := range ts.all {
			switch {
			case t.client != client || t.step != step || t.way != way:
			case t.err == nil:
				can = append(can, way)
			case errors.Is(t.err, errNoRange):
				why = ": " + t.err.Error()
			}
		}
	}
	if len(can) == 0 {
		return "no" + why
	}
	return strings.Join(can, ", ")
}

func (ts *trials) version(client string) string {
	for _, t := range ts.all {
		if t.client == client {
			return t.version
		}
	}
	return ""
}

// table is the outcome of all trials in Markdown.
func (ts *trials) table() string {
	var out strings.Builder
	row := func(title string, cell func(client string) string) {
		out.WriteString("| " + title + " |")
		for _, c := range clients {
			out.WriteString(" " + cell(c.name) + " |")
		}
		out.WriteString("\n")
	}
	row("", func(client string) string { return client })
	out.WriteString("|---|" + strings.Repeat("---|", len(clients)) + "\n")
	row(versionRow, ts.version)
	for _, st := range steps {
		row(st.title, func(client string) string { return ts.cell(client, st.name) })
	}
	return out.String()
}

const versionRow = "version tried"

var versions = regexp.MustCompile(`(?m)^\| ` + versionRow + ` .*$`)

// failures says why steps failed, for whom a table is not enough.
func (ts *trials) failures() string {
	var out strings.Builder
	for _, t := range ts.all {
		if t.err != nil {
			fmt.Fprintf(&out, "%s by %s, %s: %v\n", t.client, t.way, t.step, t.err)
		}
	}
	return out.String()
}

// holdAgainstDocs compares the table with the document's, or writes it.
func (ts *trials) holdAgainstDocs(t *testing.T) {
	if missing := len(clients)*len(ways)*len(steps) - len(ts.all); missing > 0 {
		t.Skipf("the table of docs/clients.md is not checked: %d trials are missing", missing)
	}
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	old, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no marks %q and %q", document, begin, end)
	}
	got := ts.table()
	if *update {
		if err := os.WriteFile(document, []byte(before+begin+got+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was, is := versions.FindString(old), versions.FindString(got); was != is {
		t.Logf("the table was made with other versions: %s; here %s", was, is)
		old = strings.Replace(old, was, is, 1)
	}
	if diff := cmp.Diff(old, got); diff != "" {
		t.Errorf("%s is not what the clients can do; go test ./integration/clients -update writes it:\n%s\n%s", document, diff, ts.failures())
	}
}
