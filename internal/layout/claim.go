package layout

import "strings"

// Claim is a checkpoint that an event may have completed.
type Claim struct {
	Format Format
	// Prefix is what to list; it is never a whole bucket. With Tracker it is where
	// the directory that the tracker names will be.
	Prefix string
	Flat   bool // only what is directly below Prefix is meant

	// Tracker is the key of a small text that names the checkpoint. Where it is
	// missing and Newest is set, the greatest iteration below Prefix is meant.
	Tracker string
	Newest  bool

	// Late: the key is no marker, but its format has none that comes last, so any
	// object may. It matters to those who wait for whole checkpoints only.
	Late bool
}

// Claims are the checkpoints that the writing of key may have completed. Named
// is the format that is said to be there, "" when nobody says.
func Claims(key string, named Format) []Claim {
	if Temporary(key) {
		return nil
	}
	var out []Claim
	for _, c := range claims(key, named) {
		if c.Prefix == "" && c.Tracker == "" || !named.family(c.Format) {
			continue
		}
		out = append(out, c)
	}
	return out
}

func claims(key string, named Format) []Claim {
	dir, name := split(key)
	f := Of(key)
	switch {
	case name == iterationTracker:
		f = Megatron
		if named == MegatronDist || named == MegatronBridge {
			f = named
		}
		return []Claim{{Format: f, Prefix: dir, Tracker: key}}
	case name == trainStateTracker:
		return []Claim{{Format: MegatronBridge, Prefix: dir, Tracker: dir + iterationTracker, Newest: true}}
	case name == automodelTracker, name == automodelText:
		return []Claim{{Format: Automodel, Prefix: dir, Tracker: key}}
	case name == deepSpeedTracker && f == DeepSpeed:
		return []Claim{{Format: DeepSpeed, Prefix: dir, Tracker: key}}
	case name == metaPt:
		return []Claim{{Format: LightningSharded, Prefix: dir}}
	case name == orbaxCommit, name == orbaxMetadata:
		return []Claim{{Format: Orbax, Prefix: dir}}
	case f == HFTrainer:
		return trainerClaim(key, name)
	case named == HF:
		return []Claim{{Format: HF, Prefix: dir, Flat: true, Late: !isPart(name)}}
	case f == HF:
		return []Claim{{Format: HF, Prefix: dir, Flat: true}}
	}
	return dcpClaims(key, named)
}

// trainerClaim is the claim of what is in a directory "checkpoint-<n>".
func trainerClaim(key, name string) []Claim {
	root, _ := through(key, isTrainerStep)
	return []Claim{{Format: HFTrainer, Prefix: root, Late: name != trainerState && !isPart(name)}}
}

// isPart finds an index and what it names.
func isPart(name string) bool {
	_, _, shard := shardOf(name)
	return shard || IsIndex(name)
}

// dcpClaims are those of the formats that are built on PyTorch's.
func dcpClaims(key string, named Format) []Claim {
	dir, name := split(key)
	in, dirName := parent(dir)
	iteration, isMegatron := through(key, isIteration)
	switch {
	case isMegatron && (name == runConfig || name == trainState):
		return []Claim{{Format: MegatronBridge, Prefix: iteration}}
	case isMegatron && name == finalised:
		return []Claim{{Format: MegatronDist, Prefix: iteration}}
	case name != dcpMetadata:
		return nil
	case named == NeMo2 && dirName == "weights":
		return []Claim{{Format: NeMo2, Prefix: in}}
	case named == "" && (isMegatron || Of(key) != DCP && Of(key) != NeMo2):
		return nil // something else comes after it
	}
	return []Claim{{Format: DCP, Prefix: dir}}
}

// Removals are the checkpoints that the removal of key may have completed.
func Removals(key string, named Format) []Claim {
	var c Claim
	dir, name := split(key)
	_, in := parent(dir)
	stem, unfinishedIs := strings.CutSuffix(name, unfinished)
	rename := strings.Index(key, orbaxTemporary)
	switch {
	case rename > 0 && key[rename-1] != '/':
		c = Claim{Format: Orbax, Prefix: key[:rename] + "/"}
	case unfinishedIs && stem != "":
		c = Claim{Format: NeMo2, Prefix: dir + stem + "/"}
	case name == incomplete && isAutomodelStep(in):
		c = Claim{Format: Automodel, Prefix: dir}
	}
	if c.Prefix == "" || !named.family(c.Format) {
		return nil
	}
	return []Claim{c}
}
