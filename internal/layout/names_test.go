package layout

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, f := range Formats() {
		if got, ok := Parse(" " + strings.ToUpper(string(f))); got != f || !ok {
			t.Errorf("%s: %q, %v", f, got, ok)
		}
	}
	for name, want := range map[string]struct {
		f  Format
		ok bool
	}{
		"": {"", true}, "auto": {"", true}, "torch_dist": {MegatronDist, true}, "safetensors": {HF, true},
		"zarr": {"", false}, "dcp2": {"", false}, strings.Repeat("x", 1<<16): {"", false},
	} {
		if got, ok := Parse(name); got != want.f || ok != want.ok {
			t.Errorf("%.20q: %q, %v", name, got, ok)
		}
	}
}

func TestTemporary(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"r/step-1/.metadata.tmp": true, "r/a.tmp/b": true, "r/.tmp": true, "r/a.tmpl": false, "r/tmp": false, "r/tmp/x": false,
		"r/5.orbax-checkpoint-tmp-17/d/x": true, "r/5.orbax-checkpoint-tmp/x": true, "r/5/x": false,
		"r/ck-unfinished": true, "r/unfinished": false, "r/the-unfinished-work/x": false, "-unfinished": true,
		"r/_temporary/0/x": true, "r/_temporary": true, "r/temporary/x": false,
		"r/tmp-checkpoint-500/model.safetensors": true, "r/tmp-checkpoint-x/a": false,
		"r/epoch_0_step_1/.incomplete": true, "r/x.safetensors.incomplete": true, "r/incomplete": false,
		"": false, "/": false, "a//b": false,
	} {
		if got := Temporary(key); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]Format{
		"r/step-1/.metadata": DCP, "r/step-1/__0_0.distcp": DCP, "ab/epoch_3/__0_1.distcp": DCP,
		"r/e=1.ckpt/.metadata": LightningSharded, "r/e=1.ckpt/meta.pt": LightningSharded, "r/e=1.ckpt": Lightning, "r/last.ckpt": Lightning,
		"r/iter_0000100/mp_rank_00/model_optim_rng.pt": Megatron, "r/release/mp_rank_00_001/model_optim_rng.pt": Megatron,
		"r/iter_0000100/.metadata": MegatronDist, "r/iter_0000100/common.pt": MegatronDist, "r/iter_100/common.pt": "",
		"r/latest_checkpointed_iteration.txt": Megatron, "r/latest_train_state.pt": Megatron,
		"r/ck/weights/__0_0.distcp": NeMo2, "r/ck/weights/metadata.json": NeMo2, "r/x.nemo": NeMo,
		"r/epoch_0_step_9/model/.metadata": Automodel, "r/LATEST": Automodel, "r/LATEST.txt": Automodel, "r/epoch_x_step_9/a": "",
		"r/checkpoint-5/optimizer.pt": HFTrainer, "r/checkpoint-5/global_step5/mp_rank_00_model_states.pt": HFTrainer, "r/checkpoint-best/a": "",
		"m/model-00001-of-00002.safetensors": HF, "m/model.safetensors.index.json": HF, "m/pytorch_model.bin.index.json": HF,
		"m/model-00003-of-00002.safetensors": "", "m/model-0-of-1.bin": "", "m/-1-of-1.bin": "", "m/model.safetensors": "", "m/config.json": "",
		"r/global_step9/mp_rank_00_model_states.pt": DeepSpeed, "r/global_step9/bf16_zero_pp_rank_3_mp_rank_00_optim_states.pt": DeepSpeed, "r/latest": DeepSpeed,
		"r/5/default/_METADATA": Orbax, "r/5/_CHECKPOINT_METADATA": Orbax, "r/5/d/ocdbt.process_0/d/x": Orbax, "r/5/array_metadatas/process_0": Orbax,
		"r/5/d/0123456789abcdef0123456789abcdef": Orbax, "r/d/0123456789abcdef0123456789abcdeg": "",
		"m/x.tensors": Tensorizer, "a/weights/model.bin": "", "": "", "/": "",
	} {
		if got := Of(key); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

func TestAwaits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key   string
		named Format
		want  bool
	}{
		{"r/step-1/__0_0.distcp", "", true},
		{"r/x.bin", "", false},
		{"r/x.bin", DCP, true},
		{"r/last.ckpt", "", false},
		{"r/last.ckpt", Lightning, false},
		{"r/last.ckpt", DCP, true},
		{"r/x.ckpt/__0_0.distcp", Lightning, true},
		{"r/x.bin", Lightning, false},
		{"r/x.nemo", NeMo, false},
		{"r/x.tensors", "", false},
	} {
		if got := Awaits(tt.key, tt.named); got != tt.want {
			t.Errorf("%q, %q: %v", tt.key, tt.named, got)
		}
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	for key, want := range map[string][2]bool{ // restore, serve
		"r/checkpoint-5/optimizer.pt":                                  {true, false},
		"r/checkpoint-5/rng_state_3.pth":                               {true, false},
		"r/checkpoint-5/scheduler.pt":                                  {true, false},
		"r/checkpoint-5/model.safetensors":                             {true, true},
		"r/global_step9/zero_pp_rank_0_mp_rank_00_optim_states.pt":     {true, false},
		"r/global_step9/mp_rank_00_model_states.pt":                    {true, true},
		"r/iter_0000001/mp_rank_00/distrib_optim.pt":                   {true, false},
		"r/epoch_0_step_9/optim/__0_0.distcp":                          {true, false},
		"r/epoch_0_step_9/model/consolidated/model-1-of-1.safetensors": {false, true},
		"r/step-1/__0_0.distcp":                                        {true, true},
		"optimizer-sweep/r/model.safetensors":                          {true, true},
		"r/checkpoint-5/optimizer_0/__0_0.distcp":                      {true, false},
		"r/schedulers/a":                                               {true, true},
	} {
		if got := [2]bool{KeepRestore.Wants(key), KeepServe.Wants(key)}; got != want || !KeepAll.Wants(key) || !Keep("").Wants(key) {
			t.Errorf("%q: %v, want %v", key, got, want)
		}
	}
}
