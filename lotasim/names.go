package lotasim

import sim "github.com/prestage/prestage/internal/lotasim"

// The names of the emulator's own package, of which Start and the Emulator's
// methods speak.
type (
	// Options are the emulator's switches.
	Options = sim.Options
	// Timing is Options.Timing.
	Timing = sim.Timing
	// GetDuringFill is Options.GetDuringFill.
	GetDuringFill = sim.GetDuringFill

	// StoreOptions say who may read the store, and how strict it is.
	StoreOptions = sim.CatalogueOptions
	// Credential is a key pair and what it may do.
	Credential = sim.Credential
	// Catalogue is the store: Put, PutBytes, AddRange, Delete, EnableVersioning,
	// Archive.
	Catalogue = sim.Catalogue

	// Truth is what became of one object.
	Truth = sim.Truth
	// Request is one that arrived, and what became of it.
	Request = sim.Request
	// Filter selects requests of the history.
	Filter = sim.Filter

	// Rule is one fault.
	Rule = sim.Rule
	// Match selects the requests that a rule is for.
	Match = sim.Match
	// Action is what a rule does to them.
	Action = sim.Action
	// Hold is requests or fills that wait for the test.
	Hold = sim.Hold
)

// The ways of a GET during a fill. Which one is LOTA's is not known.
const (
	ReadThrough = sim.ReadThrough
	JoinFill    = sim.JoinFill
	AwaitFill   = sim.AwaitFill
)

// Defaults is LOTA as documented, with times that let a person see a cache at
// work.
func Defaults() Options { return sim.Defaults() }

// Fast is Defaults without any delay: what most tests want.
func Fast() Options { return sim.Fast() }

// The actions of a Rule.
const (
	AnswerStatus = sim.AnswerStatus // answer Rule.Status, with Rule.RetryAfter
	Reset        = sim.Reset        // cut the connection
	Stall        = sim.Stall        // accept and don't answer, for Rule.For
	Latency      = sim.Latency      // wait Rule.For, then go on
	SlowHeaders  = sim.SlowHeaders  // let the answer's header take Rule.For
	DropFill     = sim.DropFill     // answer as if, but don't fill
)
