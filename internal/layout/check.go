package layout

import (
	"fmt"
	"strings"
)

// maxDirs bounds what a Check remembers of a listing: directories, and sets of
// shards. What comes beyond is not held against anybody.
const maxDirs = 1000

// Check holds what a listing shows against the rule of a format. It is told of
// every key below its prefix, in the order of the listing.
type Check struct {
	named   Format
	prefix  string
	flat    bool
	vouched bool // a tracker names the checkpoint

	has     facts
	ours    bool                // a key is of the named format
	covered map[string]struct{} // directories with a .metadata of DCP
	bare    map[string]struct{} // directories with shards, and without
	sets    map[shardSet]int    // numbered shards that were seen
	indexed map[string]struct{} // stems that have an index
	answers map[Look]answer
}

// shardSet is "<stem>-?-of-<n>".
type shardSet struct {
	stem string
	n    int
}

// facts are what was seen.
type facts struct {
	metadata, shard, metaPt, finalised, common bool // DCP, and what is built on it
	trainState, runConfig, legacy              bool // Megatron
	modelStates                                bool // DeepSpeed
	weightsDir, context                        bool // NeMo 2
	model, optim, marked                       bool // Automodel
	trainerState, weights                      bool // transformers
	orbax, orbaxMetadata, committed            bool
}

// NewCheck makes a Check of what is below prefix. Named is the format that is
// said to be there, "" when nobody says: then the keys tell.
func NewCheck(named Format, prefix string) *Check {
	return &Check{named: named, prefix: prefix}
}

// Check makes a Check of the claim. A tracker that made it has been read.
func (c Claim) Check(tracked bool) *Check {
	check := NewCheck(c.Format, c.Prefix)
	check.flat, check.vouched = c.Flat, tracked
	return check
}

// Of says that a listed key is a part of the checkpoint.
func (c *Check) Of(key string) bool {
	rel, ok := strings.CutPrefix(key, c.prefix)
	return ok && rel != "" && (!c.flat || !strings.Contains(rel, "/"))
}

// See takes one key of the listing.
func (c *Check) See(key string) {
	if !c.Of(key) {
		return
	}
	rel := key[len(c.prefix):]
	dir, name := split(rel)
	if dir == "" && name == incomplete {
		c.has.marked = true
	}
	if Temporary(rel) {
		return
	}
	c.ours = c.ours || c.named.family(Of(key))
	c.seeDCP(dir, name)
	c.seeWeights(dir, name)
	h := &c.has
	_, in := parent(dir)
	h.legacy = h.legacy || isRank(in) && !isStates(name)
	h.modelStates = h.modelStates || isModelStates(name)
	switch {
	case dir == "" && name == orbaxMetadata:
		h.orbaxMetadata = true
	case dir == "" && name == orbaxCommit:
		h.committed = true
	}
	h.orbax = h.orbax || isOrbax(rel)
	switch first, _, _ := strings.Cut(rel, "/"); {
	case dir == "":
	case first == "context":
		h.context = true
	case first == "weights":
		h.weightsDir = true
	case first == "model":
		h.model = true
	case first == "optim":
		h.optim = true
	}
}

func (c *Check) seeDCP(dir, name string) {
	h := &c.has
	switch {
	case name == dcpMetadata:
		note(&c.covered, dir)
		h.metadata = h.metadata || dir == ""
	case strings.HasSuffix(name, shardSuffix):
		h.shard = true
		if !c.covers(dir) {
			note(&c.bare, dir)
		}
	case dir != "":
	case name == metaPt:
		h.metaPt = true
	case name == finalised:
		h.finalised = true
	case name == "common.pt":
		h.common = true
	case name == trainState:
		h.trainState = true
	case name == runConfig:
		h.runConfig = true
	}
}

func (c *Check) seeWeights(dir, name string) {
	h := &c.has
	h.trainerState = h.trainerState || dir == "" && name == trainerState
	h.weights = h.weights || isWeights(name)
	if stem, ok := indexOf(name); ok {
		note(&c.indexed, dir+stem)
	}
	stem, n, ok := shardOf(name)
	if !ok {
		return
	}
	set := shardSet{dir + stem, n}
	if c.sets == nil {
		c.sets = make(map[shardSet]int)
	}
	if _, known := c.sets[set]; known || len(c.sets) < maxDirs {
		c.sets[set]++
	}
}

func note(set *map[string]struct{}, s string) {
	if *set == nil {
		*set = make(map[string]struct{})
	}
	if len(*set) < maxDirs {
		(*set)[s] = struct{}{}
	}
}

// Format is the format that the keys have: the named one, or one of its family,
// or, when none of them looks like it, none. A whole bucket is no checkpoint.
func (c *Check) Format() Format {
	f := c.recognised()
	switch {
	case c.prefix == "":
		return ""
	case c.named == "", c.named.family(f) && f != "":
		return f
	case c.named == Lightning && c.looksLike(LightningSharded):
		return LightningSharded
	case c.named.oneFile(), !c.ours && !c.looksLike(c.named):
		return ""
	}
	return c.named
}

// looksLike says that something of a format was seen whose files do not tell it
// by themselves.
func (c *Check) looksLike(f Format) bool {
	h := c.has
	switch f {
	case DCP, LightningSharded:
		return h.metadata || h.shard || h.metaPt
	case Megatron, MegatronDist, MegatronBridge:
		return h.metadata || h.shard || h.legacy || h.finalised || h.common || h.trainState
	case NeMo2:
		return h.weightsDir || h.context
	case Automodel:
		return h.model || h.optim || h.marked
	case HF, HFTrainer:
		return h.weights || h.trainerState || len(c.sets) > 0 || len(c.indexed) > 0
	case DeepSpeed:
		return h.modelStates
	case Orbax:
		return h.orbax
	}
	return false
}

// recognised goes by the keys alone, from the most to the least particular
// format.
func (c *Check) recognised() Format {
	h := c.has
	_, name := parent(c.prefix)
	step := isIteration(name) || name == "release"
	switch {
	case h.orbax:
		return Orbax
	case h.weightsDir && h.context:
		return NeMo2
	case step && h.trainState:
		return MegatronBridge
	case step && (h.metadata || h.shard || h.finalised):
		return MegatronDist
	case h.legacy:
		return Megatron
	case isAutomodelStep(name) && (h.model || h.optim):
		return Automodel
	case h.trainerState, isTrainerStep(name) && h.weights:
		return HFTrainer
	case h.modelStates:
		return DeepSpeed
	case h.metaPt && (h.metadata || h.shard), (h.metadata || h.shard) && strings.HasSuffix(name, ".ckpt"):
		return LightningSharded
	case h.metadata, h.shard:
		return DCP
	case len(c.indexed) > 0, len(c.sets) > 0:
		return HF
	}
	return ""
}

// uncovered is a directory that has shards of DCP, but no .metadata in it or
// above it; "" when there is none.
func (c *Check) uncovered() (string, bool) {
	least, found := "", false
	for dir := range c.bare {
		if !c.covers(dir) && (!found || dir < least) {
			least, found = dir, true
		}
	}
	return least, found
}

func (c *Check) covers(dir string) bool {
	for {
		if _, ok := c.covered[dir]; ok {
			return true
		}
		if dir == "" {
			return false
		}
		dir, _ = parent(dir)
	}
}

// missingShard says which numbered shards are not there, of those that no index
// tells more of. Of one stem one whole set will do.
func (c *Check) missingShard() string {
	whole := make(map[string]bool, len(c.sets))
	for set, seen := range c.sets {
		_, indexed := c.indexed[set.stem]
		whole[set.stem] = whole[set.stem] || indexed || seen == set.n
	}
	least := shardSet{}
	for set := range c.sets {
		if !whole[set.stem] && (least.stem == "" || set.stem < least.stem || set.stem == least.stem && set.n < least.n) {
			least = set
		}
	}
	if least.stem == "" {
		return ""
	}
	return fmt.Sprintf("%d of the %d files %s-…-of-… are missing", least.n-c.sets[least], least.n, quote(c.prefix+least.stem))
}
