package arch_test

import (
	"fmt"
	"slices"
	"strings"
)

const module = "github.com/prestage/prestage"

// arrows lists every package with the packages of this module that it may
// import outside its tests. A package without a row is refused, so that a new
// one is placed on purpose.
var arrows = map[string][]string{
	// The edge: flags in, exit code out.
	"cmd/consumer": {
		"internal/app", "internal/replay", "internal/dev", "internal/doctor", "internal/publish", "internal/reconcile", "internal/consumer", "internal/events", "internal/status", "internal/dlq", "internal/layout", "internal/rules", "internal/prestage", "internal/dedupe",
		"internal/tracing", "internal/outcome", "internal/object",
		"internal/lotasim", "internal/lotasim/run",
	},

	// Wiring.
	"internal/app": {
		"internal/gateway", "internal/resolve", "internal/rules",
		"internal/consumer", "internal/status", "internal/dlq", "internal/events", "internal/prestage", "internal/budget", "internal/confirm", "internal/dedupe",
		"internal/persist", "internal/tracing", "internal/outcome", "internal/object",
	},
	"internal/doctor": {"internal/app", "internal/replay", "internal/rules", "internal/prestage", "internal/outcome", "internal/object"},
	"internal/dev": {
		"internal/app", "internal/publish", "internal/consumer", "internal/events", "internal/prestage", "internal/dedupe",
		"internal/tracing", "internal/outcome", "internal/object",
		"internal/lotasim", "internal/lotasim/run", "internal/lotasim/store",
	},

	// What operators look at.
	"internal/status": {
		"internal/consumer", "internal/budget", "internal/events", "internal/prestage", "internal/dedupe", "internal/dlq", "internal/persist", "internal/outcome", "internal/object",
	},

	// Another way through the daemon's lane.
	"internal/replay": {
		"internal/consumer", "internal/persist", "internal/events", "internal/prestage", "internal/dlq", "internal/outcome", "internal/object",
	},

	// The producers' side: it sends events and reads receipts.
	"internal/gateway": {"internal/publish", "internal/consumer", "internal/events", "internal/persist", "internal/tracing", "internal/outcome", "internal/failpoint"},
	"internal/publish": {"internal/events"},
	"internal/reconcile": {
		"internal/publish", "internal/consumer", "internal/events", "internal/prestage", "internal/dedupe", "internal/outcome", "internal/object",
	},

	// The program, from the loop down to the values.
	"internal/consumer": {
		"internal/events", "internal/rules", "internal/prestage", "internal/dedupe", "internal/dlq", "internal/outcome", "internal/object",
		"internal/tracing", "internal/persist", "internal/failpoint",
	},
	"internal/resolve":   {"internal/rules", "internal/events", "internal/outcome", "internal/object"},
	"internal/events":    {"internal/layout", "internal/outcome", "internal/object"},
	"internal/prestage":  {"internal/rules", "internal/layout", "internal/confirm", "internal/dedupe", "internal/tracing", "internal/outcome", "internal/object"},
	"internal/confirm":   {"internal/outcome", "internal/object"},
	"internal/rules":     {"internal/layout", "internal/outcome", "internal/object"},
	"internal/layout":    {},
	"internal/dedupe":    {"internal/persist", "internal/outcome", "internal/object"},
	"internal/dlq":       {"internal/events", "internal/persist", "internal/outcome", "internal/object"},
	"internal/budget":    {"internal/persist"},
	"internal/tracing":   {"internal/outcome"},
	"internal/persist":   {},
	"internal/outcome":   {"internal/object"},
	"internal/object":    {},
	"internal/failpoint": {},

	// The emulator knows nothing of the program that is tested with it.
	"internal/lotasim":       {"internal/object"},
	"internal/lotasim/store": {"internal/lotasim", "internal/object"},
	"internal/lotasim/run":   {"internal/lotasim", "internal/lotasim/store", "internal/object"},

	// What other modules may import: the emulator, for their tests, and the way
	// into the stream, for their programs.
	"lotasim": {"internal/lotasim"},
	"publish": {"internal/publish"},

	// For tests only: no row above names them.
	"internal/natstest":          {},
	"internal/dedupe/dedupetest": {"internal/dedupe", "internal/outcome", "internal/object"},
	"internal/arch":              {},
	"internal/docscheck":         {},
	"internal/mutants":           {},
	"integration":                {},
	"integration/clients":        {},
}

// stdlibOnly are the packages that import no other module outside their tests.
var stdlibOnly = []string{"internal/object", "internal/outcome", "internal/events", "internal/confirm", "internal/layout", "internal/lotasim", "lotasim", "internal/failpoint"}

// reserved keeps a module to the packages that are about it.
type reserved struct {
	module string   // the import path's prefix
	only   []string // packages that may import it
	tests  bool     // tests are bound as well
	why    string
}

var reservations = []reserved{
	{
		module: "github.com/aws",
		only: []string{
			"internal/prestage", "internal/app", "internal/dev",
			"internal/doctor",        // looks at credentials
			"internal/lotasim/store", // creates buckets in its own server
			"cmd/consumer",           // loads the SDK's environment
		},
		why: "requests to the store are made in one place, and wired in another",
	},
	{
		module: "github.com/nats-io/nats.go",
		only: []string{
			"internal/consumer", "internal/dedupe", "internal/budget", "internal/dlq", "internal/persist", "internal/replay", "internal/publish", "publish", "internal/gateway", "internal/reconcile", "internal/status", "internal/app", "internal/dev",
			"internal/doctor", "internal/natstest",
			"cmd/consumer", // connects for publish
		},
		why: "only the loop, the ledger, publish and the wiring speak JetStream",
	},
	{
		module: "github.com/nats-io/nats-server",
		only:   []string{"internal/dev", "internal/natstest"},
		why:    "the daemon carries no server",
	},
	{
		module: "github.com/bmatcuk/doublestar",
		only:   []string{"internal/rules"},
		why:    "globs of keys are those of the rules file",
	},
	{
		module: "go.opentelemetry.io",
		only:   []string{"internal/tracing"},
		why:    "spans are made in one place, of what others hold anyway",
	},
	{
		module: "github.com/versity/versitygw",
		only:   []string{"internal/lotasim/store"},
		tests:  true,
		why:    "one package knows the store's traps",
	},
}

// edge lists what only the edge of the program may do: below it, settings come
// as arguments and nothing happens at import.
var edge = map[string][]string{
	"os.Getenv":    {"cmd/consumer", "internal/failpoint"}, // the latter under a build tag that no release has
	"os.LookupEnv": {"cmd/consumer"},
	"os.Environ":   {"cmd/consumer"},
	"os.ExpandEnv": {},
	"func init":    {},
}

// listing are the methods by which a bucket's keys are listed.
var listing = []string{"Keys", "ListKeys", "ListKeysFiltered", "WatchAll"}

// violations holds files against all rules and says in which file which rule
// is broken, one line each.
func violations(files []sourceFile) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.brokenArrows()...)
		out = append(out, f.brokenReservations()...)
		if !f.test {
			out = append(out, f.brokenEdge()...)
			out = append(out, f.listings()...)
		}
	}
	return out
}

func (f sourceFile) brokenArrows() []string {
	allowed, placed := arrows[f.pkg]
	if !placed {
		return []string{fmt.Sprintf("%s: package %s has no row in the arrows", f.path, f.pkg)}
	}
	if f.test {
		return nil
	}
	var out []string
	for _, imp := range f.imports {
		pkg, own := strings.CutPrefix(imp, module+"/")
		switch {
		case own && !slices.Contains(allowed, pkg):
			out = append(out, fmt.Sprintf("%s: %s must not import %s", f.path, f.pkg, pkg))
		case !own && strings.Contains(firstElement(imp), ".") && slices.Contains(stdlibOnly, f.pkg):
			out = append(out, fmt.Sprintf("%s: %s imports the standard library only, not %s", f.path, f.pkg, imp))
		}
	}
	return out
}

func (f sourceFile) brokenReservations() []string {
	var out []string
	for _, r := range reservations {
		if slices.Contains(r.only, f.pkg) || (f.test && !r.tests) {
			continue
		}
		for _, imp := range f.imports {
			if imp == r.module || strings.HasPrefix(imp, r.module+"/") {
				out = append(out, fmt.Sprintf("%s: %s must not import %s: %s", f.path, f.pkg, imp, r.why))
			}
		}
	}
	return out
}

func (f sourceFile) brokenEdge() []string {
	var out []string
	for _, what := range f.uses {
		if only, ruled := edge[what]; ruled && !slices.Contains(only, f.pkg) {
			out = append(out, fmt.Sprintf("%s: %s belongs to the edge of the program, not to %s", f.path, what, f.pkg))
		}
	}
	return out
}

// listings are calls that would take seconds and gigabytes with a million keys.
func (f sourceFile) listings() []string {
	var out []string
	for _, name := range f.methods {
		if slices.Contains(listing, name) {
			out = append(out, fmt.Sprintf("%s: %s lists a bucket's keys: ask for one, or watch what is below one", f.path, name))
		}
	}
	return out
}

// firstElement is the part of an import path that has a dot unless the package
// is of the standard library.
func firstElement(imp string) string {
	first, _, _ := strings.Cut(imp, "/")
	return first
}
