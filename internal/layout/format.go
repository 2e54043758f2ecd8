package layout

import "strings"

// Format is a way to lay a checkpoint out. The empty one is unknown.
type Format string

// The formats.
const (
	DCP              Format = "dcp"               // PyTorch Distributed Checkpoint, torchtitan
	Lightning        Format = "lightning"         // one file
	LightningSharded Format = "lightning-sharded" // DCP and meta.pt
	Megatron         Format = "megatron"          // Megatron-LM's own, a file for each rank
	MegatronDist     Format = "megatron-dist"     // Megatron-LM's torch_dist
	MegatronBridge   Format = "megatron-bridge"
	NeMo2            Format = "nemo2"
	NeMo             Format = "nemo" // one file
	Automodel        Format = "nemo-automodel"
	HFTrainer        Format = "hf-trainer"
	HF               Format = "hf" // a model's directory, as transformers and vLLM read it
	DeepSpeed        Format = "deepspeed"
	Orbax            Format = "orbax"
	Tensorizer       Format = "tensorizer" // one file
)

// Formats lists all formats by the names that events and rules may give.
func Formats() []Format {
	return []Format{
		DCP, Lightning, LightningSharded, Megatron, MegatronDist, MegatronBridge, NeMo2, NeMo, Automodel,
		HFTrainer, HF, DeepSpeed, Orbax, Tensorizer,
	}
}

var aliases = map[string]Format{
	"torch-dcp": DCP, "pytorch-dcp": DCP, "torchtitan": DCP,
	"lightning-fsdp": LightningSharded,
	"megatron-lm":    Megatron, "megatron-legacy": Megatron,
	"torch-dist": MegatronDist, "megatron-torch-dist": MegatronDist,
	"bridge": MegatronBridge, "automodel": Automodel,
	"huggingface": HF, "transformers": HF, "safetensors": HF, "vllm": HF,
}

// Parse reads the name of a format. "auto" and "" are the unknown one, and so is
// every name that is not known: then ok is false.
func Parse(name string) (f Format, ok bool) {
	name = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "_", "-")
	if name == "" || name == "auto" {
		return "", true
	}
	for _, f := range Formats() {
		if name == string(f) {
			return f, true
		}
	}
	f, ok = aliases[name]
	return f, ok
}

// oneFile says that a checkpoint is a single object, whole as soon as it is
// there.
func (f Format) oneFile() bool { return f == Lightning || f == NeMo || f == Tensorizer }

// family says that g is what f may turn out to be when its keys are looked at.
func (f Format) family(g Format) bool {
	switch f {
	case "", g:
		return true
	case Lightning:
		return g == LightningSharded
	case Megatron:
		return g == MegatronDist || g == MegatronBridge
	}
	return false
}
