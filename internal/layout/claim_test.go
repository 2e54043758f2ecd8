package layout

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClaims(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key   string
		named Format
		want  []Claim
	}{
		{"r/step-1/.metadata", "", []Claim{{Format: DCP, Prefix: "r/step-1/"}}},
		{"r/step-1/.metadata", DCP, []Claim{{Format: DCP, Prefix: "r/step-1/"}}},
		{"r/step-1/.metadata", LightningSharded, nil},
		{"r/step-1/.metadata", HFTrainer, nil},
		{"r/step-1/.metadata.tmp", "", nil},
		{"r/step-1/__0_0.distcp", "", nil},
		{".metadata", "", nil},
		{"r/e=1.ckpt/.metadata", "", nil},
		{"r/e=1.ckpt/.metadata", DCP, []Claim{{Format: DCP, Prefix: "r/e=1.ckpt/"}}},
		{"r/e=1.ckpt/meta.pt", "", []Claim{{Format: LightningSharded, Prefix: "r/e=1.ckpt/"}}},
		{"r/e=1.ckpt/meta.pt", Lightning, []Claim{{Format: LightningSharded, Prefix: "r/e=1.ckpt/"}}},
		{"r/e=1.ckpt", "", nil},
		{"r/latest_checkpointed_iteration.txt", "", []Claim{{Format: Megatron, Prefix: "r/", Tracker: "r/latest_checkpointed_iteration.txt"}}},
		{"latest_checkpointed_iteration.txt", MegatronDist, []Claim{{Format: MegatronDist, Tracker: "latest_checkpointed_iteration.txt"}}},
		{"r/latest_train_state.pt", "", []Claim{{Format: MegatronBridge, Prefix: "r/", Tracker: "r/latest_checkpointed_iteration.txt", Newest: true}}},
		{"r/iter_0000100/metadata.json", "", []Claim{{Format: MegatronDist, Prefix: "r/iter_0000100/"}}},
		{"r/iter_0000100/.metadata", "", nil},
		{"r/iter_0000100/train_state.pt", "", []Claim{{Format: MegatronBridge, Prefix: "r/iter_0000100/"}}},
		{"r/metadata.json", "", nil},
		{"r/ck/weights/.metadata", "", []Claim{{Format: DCP, Prefix: "r/ck/weights/"}}},
		{"r/ck/weights/.metadata", NeMo2, []Claim{{Format: NeMo2, Prefix: "r/ck/"}}},
		{"r/LATEST", "", []Claim{{Format: Automodel, Prefix: "r/", Tracker: "r/LATEST"}}},
		{"LATEST.txt", "", []Claim{{Format: Automodel, Tracker: "LATEST.txt"}}},
		{"r/epoch_0_step_9/model/.metadata", "", nil},
		{"r/checkpoint-5/trainer_state.json", "", []Claim{{Format: HFTrainer, Prefix: "r/checkpoint-5/"}}},
		{"r/checkpoint-5/optimizer.pt", "", []Claim{{Format: HFTrainer, Prefix: "r/checkpoint-5/", Late: true}}},
		{"r/checkpoint-5/latest", "", []Claim{{Format: HFTrainer, Prefix: "r/checkpoint-5/", Late: true}}},
		{"m/model-00001-of-00002.safetensors", "", []Claim{{Format: HF, Prefix: "m/", Flat: true}}},
		{"m/model.safetensors.index.json", HF, []Claim{{Format: HF, Prefix: "m/", Flat: true}}},
		{"m/tokenizer.json", HF, []Claim{{Format: HF, Prefix: "m/", Flat: true, Late: true}}},
		{"m/tokenizer.json", "", nil},
		{"model-00001-of-00002.safetensors", "", nil},
		{"r/latest", "", []Claim{{Format: DeepSpeed, Prefix: "r/", Tracker: "r/latest"}}},
		{"r/5/commit_success.txt", "", []Claim{{Format: Orbax, Prefix: "r/5/"}}},
		{"r/5/_CHECKPOINT_METADATA", "", []Claim{{Format: Orbax, Prefix: "r/5/"}}},
		{"r/5.orbax-checkpoint-tmp-1/commit_success.txt", "", nil},
		{"m/x.tensors", "", nil},
		{"", "", nil},
	} {
		if diff := cmp.Diff(tt.want, Claims(tt.key, tt.named)); diff != "" {
			t.Errorf("%q, named %q (-want +got):\n%s", tt.key, tt.named, diff)
		}
	}
}

func TestRemovals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key   string
		named Format
		want  []Claim
	}{
		{"r/ck-unfinished", "", []Claim{{Format: NeMo2, Prefix: "r/ck/"}}},
		{"ck-unfinished", NeMo2, []Claim{{Format: NeMo2, Prefix: "ck/"}}},
		{"r/ck-unfinished", DCP, nil},
		{"r/-unfinished", "", nil},
		{"-unfinished", "", nil},
		{"r/5.orbax-checkpoint-tmp-17/d/x", "", []Claim{{Format: Orbax, Prefix: "r/5/"}}},
		{".orbax-checkpoint-tmp/x", "", nil},
		{"/.orbax-checkpoint-tmp/x", "", nil},
		{"r/epoch_0_step_9/.incomplete", "", []Claim{{Format: Automodel, Prefix: "r/epoch_0_step_9/"}}},
		{"r/.incomplete", "", nil},
		{"r/step-1/.metadata", "", nil},
		{"r/step-1/.metadata.tmp", "", nil},
	} {
		got := Removals(tt.key, tt.named)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q, named %q (-want +got):\n%s", tt.key, tt.named, diff)
		}
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		format     Format
		text, want string // "" is refused
	}{
		{Megatron, "100\n", "r/iter_0000100/"},
		{Megatron, "12345678", "r/iter_12345678/"},
		{Megatron, "release", "r/release/"},
		{MegatronBridge, " 7 ", "r/iter_0000007/"},
		{Megatron, "", ""},
		{Megatron, "-1", ""},
		{Megatron, "../x", ""},
		{Megatron, "1e3", ""},
		{Megatron, strings.Repeat("9", 19), ""},
		{Megatron, "\xff", ""},
		{DeepSpeed, "global_step9\n", "r/global_step9/"},
		{DeepSpeed, "a tag", "r/a tag/"},
		{DeepSpeed, "a/b", ""},
		{DeepSpeed, "..", ""},
		{DeepSpeed, ".", ""},
		{DeepSpeed, `a\b`, ""},
		{DeepSpeed, "a\nb", ""},
		{DeepSpeed, " ", ""},
		{DeepSpeed, strings.Repeat("x", maxName+1), ""},
		{DeepSpeed, strings.Repeat(" ", MaxTracker+1), ""},
		{Automodel, "epoch_0_step_9", "r/epoch_0_step_9/"},
		{Automodel, "/train/ckpt/epoch_0_step_9/", "r/epoch_0_step_9/"},
		{Automodel, "../../other/epoch_1_step_2", "r/epoch_1_step_2/"},
		{Automodel, "/etc", ""},
		{Automodel, "epoch_0_step_", ""},
		{Automodel, "/", ""},
	} {
		got, err := Claim{Format: tt.format, Prefix: "r/", Tracker: "r/t"}.Named([]byte(tt.text))
		if got.Prefix != tt.want || (err == nil) != (tt.want != "") || got.Tracker != "" {
			t.Errorf("%s, %.30q: %+v, %v", tt.format, tt.text, got, err)
		}
	}
}

func TestNewest(t *testing.T) {
	t.Parallel()
	best := ""
	for _, key := range []string{"r/iter_0000100/a", "r/iter_0000300/.metadata", "r/iter_0000200/a", "r/iter_x/a", "r/iter_9999999999999999999/a", "r/iter_0000400", "q/iter_0000500/a"} {
		best = Newest("r/", key, best)
	}
	if best != "r/iter_0000300/" {
		t.Errorf("%q", best)
	}
}
