package layout

import "strings"

// Of is the format that a key shows by itself, "" when it shows none. What it
// says of Megatron and of PyTorch's own shards is that it is one of the formats
// that use them; a listing tells which.
func Of(key string) Format {
	dir, name := split(key)
	if isOrbax(key) {
		return Orbax
	}
	if _, ok := through(key, isTrainerStep); ok {
		return HFTrainer
	}
	if _, ok := through(key, isAutomodelStep); ok {
		return Automodel
	}
	_, in := parent(dir)
	switch {
	case name == iterationTracker, name == trainStateTracker, isRank(in):
		return Megatron
	case isStates(name), name == deepSpeedTracker:
		return DeepSpeed
	case name == automodelTracker, name == automodelText:
		return Automodel
	}
	if _, ok := through(key, isIteration); ok {
		return MegatronDist
	}
	return ofName(in, name)
}

// ofName goes by a file's name and that of its directory.
func ofName(in, name string) Format {
	sharded := name == dcpMetadata || strings.HasSuffix(name, shardSuffix)
	switch {
	case sharded && strings.HasSuffix(in, ".ckpt"), name == metaPt:
		return LightningSharded
	case in == "weights" && (sharded || name == finalised || name == "common.pt"):
		return NeMo2
	case sharded:
		return DCP
	case strings.HasSuffix(name, ".ckpt"):
		return Lightning
	case strings.HasSuffix(name, ".nemo"):
		return NeMo
	case strings.HasSuffix(name, ".tensors"):
		return Tensorizer
	case IsIndex(name):
		return HF
	}
	if _, _, ok := shardOf(name); ok {
		return HF
	}
	return ""
}

// Awaits says that an object is a part of something larger, so that whoever
// wants whole checkpoints only has to wait for the rest. Named is the format
// that is said to be there, "" when nobody says.
func Awaits(key string, named Format) bool {
	f := Of(key)
	if f.oneFile() && (named == "" || named.oneFile()) {
		return false
	}
	return named != "" && !named.oneFile() || f != ""
}
