package prestage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/rules"
)

// golden is how a program writes a checkpoint: one step a line, in its order.
// "key" is an object worth filling, "key = text" a small one, "-key" a removal.
// The line after "whole" completes the checkpoint.
type golden struct {
	name, format string // format: what the rule names, "": the keys tell
	steps        string
	// unordered: the store sends no sequencers. A newer one makes a key that is
	// written again be filled again, also if the first notice came too late.
	unordered bool
}

var goldens = []golden{
	{name: "dcp", steps: `
r/step-1/__0_0.distcp
r/step-1/__1_0.distcp
r/step-1/.metadata.tmp = x
whole
r/step-1/.metadata = x
-r/step-1/.metadata.tmp`},
	{name: "dcp with sub-prefixes", steps: `
r/step-1/ab/epoch_1/__0_0.distcp
r/step-1/cd/epoch_1/__1_0.distcp
whole
r/step-1/.metadata = x`},
	{name: "lightning", unordered: true, steps: `
whole
r/epoch=1.ckpt
r/last.ckpt
r/last.ckpt`},
	{name: "lightning sharded", steps: `
r/e=1.ckpt/__0_0.distcp
r/e=1.ckpt/__1_0.distcp
r/e=1.ckpt/.metadata = x
whole
r/e=1.ckpt/meta.pt = x`},
	{name: "megatron", steps: `
r/iter_0000100/mp_rank_00/model_optim_rng.pt
r/iter_0000100/mp_rank_01/model_optim_rng.pt
r/iter_0000100/mp_rank_01/distrib_optim.pt
whole
r/latest_checkpointed_iteration.txt = 100`},
	{name: "megatron release", steps: `
r/release/mp_rank_00/model_optim_rng.pt
r/release/mp_rank_01/model_optim_rng.pt
whole
r/latest_checkpointed_iteration.txt = release`},
	{name: "megatron torch_dist", steps: `
r/iter_0000100/__0_0.distcp
r/iter_0000100/__1_0.distcp
r/iter_0000100/common.pt
r/iter_0000100/.metadata = x
whole
r/iter_0000100/metadata.json = {}
r/latest_checkpointed_iteration.txt = 100`},
	{name: "megatron bridge", format: "megatron-bridge", steps: `
r/iter_0000100/__0_0.distcp
r/iter_0000100/__1_0.distcp
r/iter_0000100/.metadata = x
r/iter_0000100/metadata.json = {}
whole
r/iter_0000100/train_state.pt = x
r/latest_train_state.pt = x
r/latest_checkpointed_iteration.txt = 100
r/iter_0000100/run_config.yaml = x`},
	{name: "nemo2", steps: `
r/ck-unfinished = x
r/ck/weights/__0_0.distcp
r/ck/weights/__1_0.distcp
r/ck/weights/common.pt
r/ck/weights/.metadata = x
r/ck/weights/metadata.json = {}
r/ck/context/io.json = x
whole
-r/ck-unfinished`},
	{name: "nemo", steps: `
whole
r/m.nemo`},
	{name: "nemo automodel", steps: `
r/epoch_0_step_9/.incomplete = x
r/epoch_0_step_9/model/__0_0.distcp
r/epoch_0_step_9/model/.metadata = x
r/epoch_0_step_9/optim/__0_0.distcp
r/epoch_0_step_9/optim/.metadata = x
r/LATEST.txt = epoch_0_step_9
whole
-r/epoch_0_step_9/.incomplete`},
	{name: "hf trainer", steps: `
r/checkpoint-5/model-00001-of-00002.safetensors
r/checkpoint-5/model-00002-of-00002.safetensors
r/checkpoint-5/model.safetensors.index.json = {"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}
r/checkpoint-5/optimizer.pt
whole
r/checkpoint-5/trainer_state.json = {}`},
	{name: "hf", format: "hf", steps: `
m/config.json = {}
m/tokenizer.json
m/model.safetensors.index.json = {"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}
m/model-00001-of-00002.safetensors
whole
m/model-00002-of-00002.safetensors`},
	{name: "deepspeed", steps: `
r/global_step9/mp_rank_00_model_states.pt
r/global_step9/zero_pp_rank_0_mp_rank_00_optim_states.pt
r/global_step9/zero_pp_rank_1_mp_rank_00_optim_states.pt
whole
r/latest = global_step9`},
	{name: "orbax, renamed", steps: `
r/5.orbax-checkpoint-tmp/_CHECKPOINT_METADATA = {}
r/5.orbax-checkpoint-tmp/default/ocdbt.process_0/d/1
r/5.orbax-checkpoint-tmp/commit_success.txt = x
r/5/_CHECKPOINT_METADATA = {"commit_timestamp_nsecs":7}
r/5/commit_success.txt = x
-r/5.orbax-checkpoint-tmp/_CHECKPOINT_METADATA
-r/5.orbax-checkpoint-tmp/commit_success.txt
r/5/default/_METADATA = x
r/5/default/ocdbt.process_0/d/1
r/5/default/ocdbt.process_0/d/2
whole
-r/5.orbax-checkpoint-tmp/default/ocdbt.process_0/d/1`},
	{name: "orbax, committed", steps: `
r/5/_CHECKPOINT_METADATA = {"commit_timestamp_nsecs":null}
r/5/default/_METADATA = x
r/5/default/ocdbt.process_0/d/1
r/5/default/commit_success.txt = x
r/5/extra/ocdbt.process_0/d/2
whole
r/5/_CHECKPOINT_METADATA = {"commit_timestamp_nsecs":7}
r/5/commit_success.txt = x`},
	{name: "tensorizer", steps: `
whole
m/model.tensors`},
}

// bench is a bucket, and the notices of it that are under way.
type bench struct {
	t       *testing.T
	rigs    [2]*rig // two processes, with one ledger
	golden  golden
	objects map[string]Answer
	texts   map[string]string
	pending []Request
	mu      sync.Mutex
	fills   map[string]int // of each version
	whole   bool
	clock   time.Time
	written int
}

func newBench(t *testing.T, g golden, atomic bool) *bench {
	b := &bench{t: t, golden: g}
	store := &fakeStore{
		head: func(_ context.Context, ref object.Ref) (Answer, error) { return b.answer(ref) },
		fill: func(_ context.Context, ref object.Ref) (Answer, error) {
			a, err := b.answer(ref)
			b.mu.Lock()
			defer b.mu.Unlock()
			if err == nil {
				if b.fills[ref.Key+" "+a.ETag]++; atomic && !b.whole {
					t.Errorf("%s is filled before the checkpoint is whole", ref.Key)
				}
			}
			return a, err
		},
		get: func(ref object.Ref) ([]byte, error) {
			if text, ok := b.texts[ref.Key]; ok {
				return []byte(text), nil
			}
			return nil, failure(outcome.Failed, ref)
		},
		list: func(prefix, _ string) (Page, error) { return b.page(prefix), nil },
	}
	set := &rules.Set{Rules: []rules.Rule{{Name: "all", Format: g.format}}}
	if atomic {
		set.Rules[0].Policy = rules.Atomic
	}
	for i := range b.rigs {
		b.rigs[i] = newRig(t, store)
		b.rigs[i].planner.rulesNow = func() *rules.Set { return set }
	}
	return b
}

// reset empties the bucket and the ledger.
func (b *bench) reset() {
	ledger := dedupe.NewMemory()
	for _, r := range b.rigs {
		r.ledger, r.store.log = ledger, nil
	}
	b.objects, b.texts, b.fills = map[string]Answer{}, map[string]string{}, map[string]int{}
	b.pending, b.whole, b.written = nil, false, 0
	b.clock = time.Now().Add(-time.Minute).Truncate(time.Second)
}

func (b *bench) answer(ref object.Ref) (Answer, error) {
	a, ok := b.objects[ref.Key]
	if !ok {
		return Answer{}, failure(outcome.Failed, ref)
	}
	return a, nil
}

func (b *bench) page(prefix string) (p Page) {
	for key, a := range b.objects {
		if strings.HasPrefix(key, prefix) {
			p.Objects = append(p.Objects, object.Attrs{Ref: ckpt(key), Version: a.Version, Size: a.Size})
		}
	}
	slices.SortFunc(p.Objects, func(a, b object.Attrs) int { return strings.Compare(a.Key, b.Key) })
	return p
}

// step does one line of a golden and has the store tell of it.
func (b *bench) step(line string) {
	b.clock = b.clock.Add(time.Second)
	b.written++
	req := Request{Notified: true, EventTime: b.clock, Seen: b.clock}
	if line == "whole" {
		b.whole = true
		return
	}
	if key, ok := strings.CutPrefix(line, "-"); ok {
		delete(b.objects, key)
		delete(b.texts, key)
		req.Removed = []object.Ref{ckpt(key)}
	} else {
		key, text, small := strings.Cut(line, " = ")
		a := Answer{Status: 206, Size: 1000, Version: object.Version{ETag: fmt.Sprint(b.written), LastModified: b.clock}}
		if small {
			a.Size = int64(len(text))
			b.texts[key] = text
		}
		b.objects[key] = a
		attrs := object.Attrs{Ref: ckpt(key), Size: a.Size, Version: object.Version{ETag: a.ETag}}
		if !b.golden.unordered {
			attrs.Sequencer = object.Sequencer{Source: "minio:s3", Value: fmt.Sprintf("%X", 0x1000+b.written)}
		}
		req.Objects = []object.Attrs{attrs}
	}
	b.pending = append(b.pending, req)
}

// deliver hands the i-th notice to one of the processes. What is no end comes
// again.
func (b *bench) deliver(i, process int) {
	req := b.pending[i]
	b.pending = slices.Delete(b.pending, i, i+1)
	report := b.rigs[process].warm(b.t, req)
	for _, p := range report.Problems {
		if p.Reason != outcome.NotFound { // removed since, which is told as gone later
			b.t.Errorf("%+v: %v", req, p.Sample)
		}
	}
}

// check says what is wrong at the end.
func (b *bench) check() {
	for version, n := range b.fills {
		if n != 1 {
			b.t.Errorf("%s is filled %d times", version, n)
		}
	}
	for key, a := range b.objects {
		rec, err := b.rigs[0].ledger.Get(b.t.Context(), ckpt(key))
		warm := err == nil && rec.ETag == a.ETag
		if want := a.Size > 100; warm != want {
			b.t.Errorf("%s is warm: %v, want %v", key, warm, want)
		}
	}
}

// TestLayouts: in whatever order, how often and by whichever process the notices
// of a checkpoint are handled, all of it is warm at the end, each object is
// filled once, and where the rules want whole checkpoints nothing is filled
// before.
func TestLayouts(t *testing.T) {
	t.Parallel()
	orders := 1000
	if testing.Short() {
		orders = 50
	}
	for _, g := range goldens {
		for _, atomic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, atomic %v", g.name, atomic), func(t *testing.T) {
				t.Parallel()
				b := newBench(t, g, atomic)
				steps := strings.Split(strings.TrimSpace(g.steps), "\n")

				b.reset()
				for _, line := range steps {
					b.step(line)
					for len(b.pending) > 0 {
						b.deliver(0, 0)
					}
				}
				b.check()
				for seed := range orders {
					b.reset()
					b.shuffled(steps, rand.New(rand.NewPCG(uint64(seed), 7)))
					if b.check(); t.Failed() {
						t.Fatalf("order %d: %v", seed, b.rigs[0].store.requests())
					}
				}
			})
		}
	}
}

// shuffled does the steps in their order and delivers the notices in any order
// after them, some of them twice; from somewhere in the middle on to another
// process.
func (b *bench) shuffled(steps []string, r *rand.Rand) {
	restart := r.IntN(2 * len(steps))
	for done, delivered := 0, 0; done < len(steps) || len(b.pending) > 0; {
		if done < len(steps) && (len(b.pending) == 0 || r.IntN(2) == 0) {
			before := len(b.pending)
			b.step(steps[done])
			if len(b.pending) > before && r.IntN(3) == 0 {
				b.pending = append(b.pending, b.pending[before])
			}
			done++
			continue
		}
		process := 0
		if delivered >= restart {
			process = 1
		}
		b.deliver(r.IntN(len(b.pending)), process)
		delivered++
	}
}
