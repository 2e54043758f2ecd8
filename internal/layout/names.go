package layout

import (
	"strconv"
	"strings"
)

// Names of files that formats are known by.
const (
	dcpMetadata = ".metadata"
	shardSuffix = ".distcp"
	metaPt      = "meta.pt"

	finalised  = "metadata.json"
	trainState = "train_state.pt"
	runConfig  = "run_config.yaml"

	iterationTracker  = "latest_checkpointed_iteration.txt"
	trainStateTracker = "latest_train_state.pt"
	deepSpeedTracker  = "latest"
	automodelTracker  = "LATEST"
	automodelText     = "LATEST.txt"

	unfinished = "-unfinished"
	incomplete = ".incomplete"

	orbaxTemporary = ".orbax-checkpoint-tmp"
	orbaxMetadata  = "_CHECKPOINT_METADATA"
	orbaxCommit    = "commit_success.txt"

	trainerState = "trainer_state.json"
)

// Temporary says that a key is of something unfinished, by its name: it is never
// warmed.
func Temporary(key string) bool {
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case strings.HasSuffix(part, ".tmp"), strings.HasSuffix(part, incomplete),
			strings.HasSuffix(part, unfinished), strings.Contains(part, orbaxTemporary),
			part == "_temporary", // Hadoop's committers
			numbered(part, "tmp-checkpoint-"):
			return true
		}
	}
	return false
}

// split cuts a key into its directory, which ends in "/" or is empty, and the
// name in it.
func split(key string) (dir, name string) {
	i := strings.LastIndexByte(key, '/') + 1
	return key[:i], key[i:]
}

// parent cuts the last name off a directory: "a/b/" is in "a/".
func parent(dir string) (in, name string) { return split(strings.TrimSuffix(dir, "/")) }

// through cuts key behind the first directory in it that is says yes to.
func through(key string, is func(name string) bool) (dir string, ok bool) {
	for at := 0; ; {
		i := strings.IndexByte(key[at:], '/')
		if i < 0 {
			return "", false
		}
		if is(key[at : at+i]) {
			return key[:at+i+1], true
		}
		at += i + 1
	}
}

// digits says that s is a number without a sign, short enough to be read.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 18
}

// numbered says that name is prefix and a number.
func numbered(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && digits(rest)
}

// isIteration finds the directories of Megatron: "iter_%07d".
func isIteration(name string) bool {
	return numbered(name, "iter_") && len(name) >= len("iter_0000000")
}

func isTrainerStep(name string) bool { return numbered(name, "checkpoint-") }

// isAutomodelStep finds "epoch_<n>_step_<n>".
func isAutomodelStep(name string) bool {
	epoch, step, ok := strings.Cut(strings.TrimPrefix(name, "epoch_"), "_step_")
	return ok && strings.HasPrefix(name, "epoch_") && digits(epoch) && digits(step)
}

// isRank finds Megatron's "mp_rank_TT[_PPP][_EEE]".
func isRank(name string) bool {
	rest, ok := strings.CutPrefix(name, "mp_rank_")
	return ok && digits(strings.ReplaceAll(rest, "_", ""))
}

// isStates finds the files of DeepSpeed: "mp_rank_00_model_states.pt",
// "[bf16_]zero_pp_rank_0_mp_rank_00_optim_states.pt".
func isStates(name string) bool {
	return strings.Contains(name, "mp_rank_") &&
		(strings.HasSuffix(name, "_model_states.pt") || strings.HasSuffix(name, "_optim_states.pt"))
}

func isModelStates(name string) bool {
	return isStates(name) && strings.HasSuffix(name, "_model_states.pt")
}

// isOrbax finds what a directory of Orbax has and nothing else.
func isOrbax(key string) bool {
	dir, name := split(key)
	switch name {
	case orbaxMetadata, orbaxCommit, "_METADATA", "_sharding", "manifest.ocdbt":
		return true
	}
	_, in := parent(dir)
	if in == "d" && len(name) == 32 && strings.Trim(name, "0123456789abcdef") == "" {
		return true // a data file of OCDBT
	}
	_, ok := through(key, func(name string) bool {
		return name == "array_metadatas" || strings.HasPrefix(name, "ocdbt.process_")
	})
	return ok
}

// weights are the suffixes of the files that hold a model's weights.
var weights = []string{".safetensors", ".bin"}

// shardOf reads "<stem>-00001-of-00004.safetensors".
func shardOf(name string) (stem string, n int, ok bool) {
	for _, suffix := range weights {
		rest, found := strings.CutSuffix(name, suffix)
		if !found {
			continue
		}
		rest, of, found := cutLast(rest, "-of-")
		if !found {
			return "", 0, false
		}
		stem, number, found := cutLast(rest, "-")
		if !found || stem == "" || !digits(number) || !digits(of) {
			return "", 0, false
		}
		i, errI := strconv.Atoi(number)
		n, errN := strconv.Atoi(of)
		return stem, n, errI == nil && errN == nil && 1 <= i && i <= n
	}
	return "", 0, false
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+len(sep):], true
}

// IsIndex says that a key is that of an index of a model's shards, as
// transformers writes it: JSON with a weight_map.
func IsIndex(key string) bool {
	_, ok := indexOf(key)
	return ok
}

// indexOf reads "<stem>.safetensors.index.json".
func indexOf(name string) (stem string, ok bool) {
	for _, suffix := range weights {
		if stem, ok := strings.CutSuffix(name, suffix+".index.json"); ok {
			return stem, true
		}
	}
	return "", false
}

// isWeights finds files that a model can be loaded from.
func isWeights(name string) bool {
	if strings.HasSuffix(name, ".safetensors") {
		return true
	}
	stem, ok := strings.CutSuffix(name, ".bin")
	return ok && (strings.HasPrefix(stem, "pytorch_model") || strings.HasPrefix(stem, "adapter_model"))
}
