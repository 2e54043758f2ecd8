package layout

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// told answers the looks of a Check from what a bucket has.
func told(c *Check, looks []Look, texts map[string]string) {
	for _, l := range looks {
		switch {
		case l.Absent != "":
			found := false
			for key := range texts {
				found = found || strings.HasPrefix(key, l.Absent)
			}
			c.Answer(l, found, nil)
		default:
			text, ok := texts[l.Text]
			c.Answer(l, ok, []byte(text))
		}
	}
}

// held holds a listing against the rule of a format. Texts are the keys beside
// it, with what they hold.
func held(named Format, prefix string, keys string, texts map[string]string) (Format, string) {
	c := NewCheck(named, prefix)
	told(c, c.Before(), texts)
	listing := strings.Fields(keys)
	slices.Sort(listing)
	for _, key := range listing {
		c.See(prefix + key)
	}
	told(c, c.After(), texts)
	return c.Format(), c.Missing()
}

func TestCheck(t *testing.T) {
	t.Parallel()
	type texts = map[string]string
	for _, tt := range []struct {
		named   Format
		prefix  string
		keys    string
		texts   texts
		want    Format
		missing string // part of it; "" is whole
	}{
		{"", "r/step-1/", ".metadata __0_0.distcp __1_0.distcp", nil, DCP, ""},
		{"", "r/step-1/", "__0_0.distcp", nil, DCP, `"r/step-1/.metadata" is missing`},
		{"", "r/step-1/", "__0_0.distcp .metadata.tmp", nil, DCP, `"r/step-1/.metadata" is missing`},
		{DCP, "r/step-1/", ".metadata", nil, DCP, "no *.distcp"},
		{"", "r/step-1/", ".metadata ab/e_1/__0_0.distcp cd/e_1/__1_0.distcp", nil, DCP, ""},
		{"", "r/step-1/", "ab/e_1/__0_0.distcp", nil, DCP, ".metadata"},
		{"", "r/", "step-1/.metadata step-1/__0_0.distcp step-2/__0_0.distcp", nil, DCP, `"r/step-2/.metadata" is missing`},
		{"", "r/", "step-1/.metadata step-1/__0_0.distcp step-2/.metadata step-2/__0_0.distcp", nil, DCP, ""},
		{DCP, "r/step-1/", "a.bin b.bin", nil, "", ""}, // not believed
		{"", "r/step-1/", "a.bin b.bin", nil, "", ""},
		{"", "r/ck/weights/", ".metadata __0_0.distcp", nil, DCP, ""},
		{"", "r/ck/weights/", ".metadata __0_0.distcp", texts{"r/ck-unfinished": ""}, DCP, `"r/ck-unfinished" is there`},

		{"", "r/e=1.ckpt/", ".metadata __0_0.distcp", nil, LightningSharded, "meta.pt"},
		{"", "r/e=1.ckpt/", ".metadata __0_0.distcp meta.pt", nil, LightningSharded, ""},
		{"", "r/e=1/", ".metadata __0_0.distcp meta.pt", nil, LightningSharded, ""},
		{Lightning, "r/e=1/", ".metadata __0_0.distcp", nil, LightningSharded, "meta.pt"},
		{LightningSharded, "r/e=1/", "meta.pt __0_0.distcp", nil, LightningSharded, ".metadata"},

		{"", "r/iter_0000100/", "mp_rank_00/model_optim_rng.pt", nil, Megatron, `"r/latest_checkpointed_iteration.txt" is missing`},
		{"", "r/iter_0000100/", "mp_rank_00/model_optim_rng.pt", texts{"r/latest_checkpointed_iteration.txt": "100"}, Megatron, ""},
		{"", "r/iter_0000100/", "mp_rank_00/model_optim_rng.pt", texts{"r/latest_checkpointed_iteration.txt": "200"}, Megatron, ""},
		{"", "r/iter_0000100/", "mp_rank_00/model_optim_rng.pt", texts{"r/latest_checkpointed_iteration.txt": "99"}, Megatron, `names "r/iter_0000099/"`},
		{"", "r/iter_0000100/", "mp_rank_00/model_optim_rng.pt", texts{"r/latest_checkpointed_iteration.txt": "junk"}, Megatron, "neither an iteration"},
		{"", "r/release/", "mp_rank_00/model_optim_rng.pt", texts{"r/latest_checkpointed_iteration.txt": "release"}, Megatron, ""},
		{"", "r/release/", "mp_rank_00/model_optim_rng.pt", texts{"r/latest_checkpointed_iteration.txt": "5"}, Megatron, "names"},
		{Megatron, "r/iter_0000100/", "common.pt .metadata __0_0.distcp metadata.json", nil, MegatronDist, ""},
		{"", "r/iter_0000100/", "common.pt .metadata __0_0.distcp", nil, MegatronDist, "latest_checkpointed_iteration.txt"},
		{"", "r/iter_0000100/", "common.pt .metadata __0_0.distcp", texts{"r/latest_checkpointed_iteration.txt": "100"}, MegatronDist, ""},
		{"", "r/iter_0000100/", "common.pt __0_0.distcp metadata.json", nil, MegatronDist, ".metadata"},
		{"", "r/iter_0000100/", ".metadata __0_0.distcp metadata.json train_state.pt run_config.yaml", nil, MegatronBridge, ""},
		{MegatronBridge, "r/iter_0000100/", ".metadata __0_0.distcp metadata.json run_config.yaml", nil, MegatronBridge, "train_state.pt"},
		{"", "r/iter_0000100/", "__0_0.distcp train_state.pt", nil, MegatronBridge, ".metadata"},

		{"", "r/ck/", "context/io.json weights/.metadata weights/__0_0.distcp", nil, NeMo2, ""},
		{"", "r/ck/", "context/io.json weights/.metadata weights/__0_0.distcp", texts{"r/ck-unfinished": ""}, NeMo2, `"r/ck-unfinished" is there`},
		{"", "r/ck/", "context/io.json weights/__0_0.distcp", nil, NeMo2, `"r/ck/weights/.metadata" is missing`},
		{NeMo2, "r/ck/", "weights/.metadata weights/__0_0.distcp", nil, NeMo2, "context/"},
		{NeMo2, "r/ck/", "context/io.json", nil, NeMo2, "weights/"},

		{"", "r/epoch_0_step_9/", "model/.metadata model/__0_0.distcp optim/.metadata optim/__0_0.distcp", nil, Automodel, ""},
		{"", "r/epoch_0_step_9/", "model/.metadata model/__0_0.distcp optim/__0_0.distcp", nil, Automodel, "optim/.metadata"},
		{"", "r/epoch_0_step_9/", ".incomplete model/.metadata model/__0_0.distcp optim/.metadata optim/__0_0.distcp", nil, Automodel, ".incomplete"},
		{"", "r/epoch_0_step_9/", "model/model-00001-of-00002.safetensors optim/a", nil, Automodel, "1 of the 2 files"},
		{"", "r/epoch_0_step_9/", "model/.metadata model/__0_0.distcp", nil, Automodel, "LATEST"},
		{"", "r/epoch_0_step_9/", "model/.metadata model/__0_0.distcp", texts{"r/LATEST.txt": "epoch_0_step_9"}, Automodel, ""},
		{"", "r/epoch_0_step_9/", "model/.metadata model/__0_0.distcp", texts{"r/LATEST": "/x/epoch_1_step_12"}, Automodel, ""},
		{"", "r/epoch_0_step_9/", "model/.metadata model/__0_0.distcp", texts{"r/LATEST": "epoch_0_step_8"}, Automodel, "LATEST"},
		{"", "r/epoch_0_step_9/", "optim/a", nil, Automodel, "model/"},

		{"", "r/checkpoint-5/", "model.safetensors optimizer.pt trainer_state.json", nil, HFTrainer, ""},
		{"", "r/checkpoint-5/", "model.safetensors optimizer.pt", nil, HFTrainer, "trainer_state.json"},
		{"", "r/checkpoint-5/", "trainer_state.json", nil, HFTrainer, "no weights"},
		{"", "r/checkpoint-5/", "trainer_state.json adapter_model.bin", nil, HFTrainer, ""},
		{"", "r/checkpoint-5/", "trainer_state.json global_step5/mp_rank_00_model_states.pt", nil, HFTrainer, ""},
		{"", "r/checkpoint-5/", "trainer_state.json pytorch_model_fsdp_0/__0_0.distcp", nil, HFTrainer, ".metadata"},
		{"", "r/checkpoint-5/", "trainer_state.json model-00001-of-00002.safetensors", nil, HFTrainer, `1 of the 2 files "r/checkpoint-5/model"-…`},
		{"", "r/checkpoint-5/", "trainer_state.json model.safetensors.index.json", nil, HFTrainer, ""}, // its reader says more

		{"", "m/", "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors", nil, HF, ""},
		{"", "m/", "config.json model-00001-of-00002.safetensors", nil, HF, "1 of the 2 files"},
		{"", "m/", "model-00001-of-00003.safetensors model-00001-of-00002.safetensors model-00002-of-00002.safetensors", nil, HF, ""},
		{"", "m/", "model-00001-of-00003.safetensors model.safetensors.index.json", nil, HF, ""},
		{HF, "m/", "config.json model.safetensors", nil, HF, ""},
		{HF, "m/", "config.json", nil, "", ""},
		{"", "m/", "config.json model.safetensors", nil, "", ""},

		{"", "r/global_step9/", "mp_rank_00_model_states.pt", nil, DeepSpeed, `"r/latest" is missing`},
		{"", "r/global_step9/", "mp_rank_00_model_states.pt", texts{"r/latest": "global_step9"}, DeepSpeed, ""},
		{"", "r/global_step9/", "mp_rank_00_model_states.pt", texts{"r/latest": "global_step10"}, DeepSpeed, ""},
		{"", "r/global_step9/", "mp_rank_00_model_states.pt", texts{"r/latest": "global_step8"}, DeepSpeed, "names"},
		{"", "r/global_step9/", "mp_rank_00_model_states.pt", texts{"r/latest": "best99"}, DeepSpeed, "names"},
		{DeepSpeed, "r/global_step9/", "zero_pp_rank_0_mp_rank_00_optim_states.pt", texts{"r/latest": "global_step9"}, DeepSpeed, "_model_states.pt"},

		{"", "r/5/", "_CHECKPOINT_METADATA default/_METADATA default/d/x", nil, Orbax, "commit_timestamp_nsecs"},
		{"", "r/5/", "_CHECKPOINT_METADATA default/_METADATA", texts{"r/5/_CHECKPOINT_METADATA": `{"commit_timestamp_nsecs":null}`}, Orbax, "commit_timestamp_nsecs"},
		{"", "r/5/", "_CHECKPOINT_METADATA default/_METADATA", texts{"r/5/_CHECKPOINT_METADATA": `{"commit_timestamp_nsecs":-1}`}, Orbax, "commit_timestamp_nsecs"},
		{"", "r/5/", "_CHECKPOINT_METADATA default/_METADATA", texts{"r/5/_CHECKPOINT_METADATA": `{"commit_timestamp_nsecs":17}`}, Orbax, ""},
		{"", "r/5/", "_CHECKPOINT_METADATA commit_success.txt default/_METADATA", nil, Orbax, ""},
		{"", "r/5/", "_CHECKPOINT_METADATA commit_success.txt default/_METADATA", texts{"r/5.orbax-checkpoint-tmp/default/d/x": ""}, Orbax, "is there"},
		{"", "r/5/default/", "commit_success.txt _METADATA", texts{"r/5/_CHECKPOINT_METADATA": ""}, Orbax, "is there"},
		{"", "5/", "commit_success.txt _METADATA", nil, Orbax, ""},
		{"", "r/5/", "default/_METADATA default/d/x", nil, Orbax, ""},
		{NeMo, "r/", "x.nemo", nil, "", ""},
		{"", "", "step-1/__0_0.distcp", nil, "", ""},
		{DCP, "", "__0_0.distcp", nil, "", ""},
	} {
		f, missing := held(tt.named, tt.prefix, tt.keys, tt.texts)
		if f != tt.want || (missing == "") != (tt.missing == "") || !strings.Contains(missing, tt.missing) {
			t.Errorf("named %q, %s%s: %q, missing %q, want %q, %q", tt.named, tt.prefix, tt.keys, f, missing, tt.want, tt.missing)
		}
	}
}

// TestLooksComeFirst: what a writer removes at its end is asked for before the
// listing, where the format is known by then.
func TestLooksComeFirst(t *testing.T) {
	t.Parallel()
	for key, want := range map[string][]Look{
		"r/ck-unfinished":            {{Absent: "r/ck-unfinished"}},
		"r/5.orbax-checkpoint-tmp/x": {{Absent: "r/5.orbax-checkpoint-tmp"}, {Absent: "r.orbax-checkpoint-tmp"}, {Absent: "r/_CHECKPOINT_METADATA"}},
	} {
		c := Removals(key, "")[0].Check(false)
		if diff := cmp.Diff(want, c.Before()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", key, diff)
		}
	}
}

// TestFlat: of a model's directory only what is directly in it counts.
func TestFlat(t *testing.T) {
	t.Parallel()
	c := Claims("m/model-00001-of-00001.safetensors", "")[0].Check(false)
	for _, key := range []string{"m/checkpoint-1/trainer_state.json", "m/model-00001-of-00001.safetensors", "m/x/__0_0.distcp"} {
		c.See(key)
	}
	if c.Format() != HF || c.Missing() != "" || c.Of("m/x/y") || !c.Of("m/x") || c.Of("m/") || c.Of("n") {
		t.Errorf("%q, %q", c.Format(), c.Missing())
	}
}

// TestBounds: a listing without end is remembered up to a bound, and what is
// beyond is not held against anybody.
func TestBounds(t *testing.T) {
	t.Parallel()
	c := NewCheck("", "r/")
	for i := range 3 * maxDirs {
		dir := "r/" + strings.Repeat("d/", i%3) + string(rune('a'+i%26)) + strings.Repeat("x", i/26%200) + "/" + strings.Repeat("y", i/5200) + "/"
		c.See(dir + "__0_0.distcp")
		c.See(dir + "m-00001-of-00002.safetensors")
	}
	if len(c.bare) > maxDirs || len(c.sets) > maxDirs || c.Missing() == "" || len(c.Missing()) > 1000 {
		t.Errorf("%d directories, %d sets, %q", len(c.bare), len(c.sets), c.Missing())
	}
}
