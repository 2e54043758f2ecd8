package layout

import "strings"

// Keep says which objects of a checkpoint are meant.
type Keep string

// What is kept. The empty one is KeepAll.
const (
	KeepAll     Keep = "all"
	KeepRestore Keep = "restore" // what training goes on from
	KeepServe   Keep = "serve"   // what a model is served from: no optimizer, no random state
)

// resumeOnly are beginnings of the names of files that nobody reads who only
// serves.
var resumeOnly = []string{
	"optim", "distrib_optim", "opt_state", "scheduler.", "scaler.", "rng_state", "random_states_", "bf16_zero_pp_rank_", "zero_pp_rank_",
}

// isOptimizer finds the directories of optimizers' states.
func isOptimizer(name string) bool {
	return name == "optim" || name == "optimizer" || name == "opt_state" || numbered(name, "optimizer_")
}

// Wants says that an object belongs to what is kept. Formats that put weights
// and optimizer into the same shards have one set for both.
func (k Keep) Wants(key string) bool {
	switch k {
	case KeepServe:
		_, name := split(key)
		for _, prefix := range resumeOnly {
			if strings.HasPrefix(name, prefix) {
				return false
			}
		}
		_, states := through(key, isOptimizer)
		return !states
	case KeepRestore: // without the copy that Automodel makes for others to load
		_, copied := through(key, func(name string) bool { return name == "consolidated" })
		return !copied
	}
	return true
}
