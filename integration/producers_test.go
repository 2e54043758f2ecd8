package integration_test

import (
	"strings"
	"testing"
)

const (
	pythonPage = "docs/producers/python.md#python-with-the-standard-library"
	nodePage   = "docs/producers/node.md#node"
)

// newPythonStage is a stage with the module of the page, and with the fakes of
// frameworks that cannot be had here.
func newPythonStage(t *testing.T) *stage {
	t.Helper()
	needs(t, "python3")
	s := newStage(t)
	s.file(t, "prestage_publish.py", example(t, pythonPage))
	s.env = append(s.env, "PYTHONPATH="+fakes(t), "PYTHONDONTWRITEBYTECODE=1")
	return s
}

// TestPythonProducer pastes the page: the module, then what calls it.
func TestPythonProducer(t *testing.T) {
	t.Parallel()
	s := newPythonStage(t)
	s.put("run-7/step-100/__0_0.distcp")
	s.store.CreateBucket("models")
	s.store.Put("models", "llama/v3/model.safetensors", large)
	for range 2 { // the second time it is the same events
		if d := s.must(t, nil, example(t, "docs/producers/python.md#python-with-the-standard-library/2"), "python3"); d.stderr != "" {
			t.Error(d.stderr)
		}
	}
	got := s.happened(t)
	if len(got) != 2 || len(got[1].ID) != 32 {
		t.Fatalf("%+v", got)
	}
	s.mustHaveHappened(
		t,
		happening{checkpointSubject + ".run-7", "run-7-step-100", "/checkpoint/run-7", "s3://ckpt/run-7/step-100/", "run-7", 100, "dcp", true},
		happening{modelSubject + ".llama", got[1].ID, "/model/llama", "s3://models/llama/v3/", "", 0, "", true},
	)
}

// TestPyTorchProducer saves on two ranks.
func TestPyTorchProducer(t *testing.T) {
	t.Parallel()
	s := newPythonStage(t)
	s.put("run-7/step-100/__0_0.distcp", "run-7/step-100/__1_0.distcp")
	s.file(t, "prestage_dcp.py", example(t, "docs/producers/pytorch.md#pytorch-distributed-checkpoint"))
	for _, rank := range []string{"RANK=1", "RANK=0"} {
		s.must(t, []string{rank}, "from prestage_dcp import save\nsave({'model': 1}, 'run-7', 100)\n", "python3")
	}
	s.mustHaveHappened(t, happening{
		checkpointSubject + ".run-7", "run-7-step-100", "/checkpoint/run-7", "s3://ckpt/run-7/step-100/", "run-7", 100, "dcp", true,
	})
	s.lota.mustHaveAsked(t, once("run-7/step-100/__0_0.distcp", "run-7/step-100/__1_0.distcp"))
}

// TestLightningProducer saves files that change their content under the same
// name, and then a directory.
func TestLightningProducer(t *testing.T) {
	t.Parallel()
	s := newPythonStage(t)
	s.put("run-7/epoch=0-step=1.ckpt", "run-7/epoch=0-step=2.ckpt", "run-7/last.ckpt", "big/epoch=0-step=1.ckpt/__0_0.distcp")
	s.file(t, "prestage_lightning.py", example(t, "docs/producers/lightning.md#lightning"))
	const train = `
import os
from lightning.pytorch.callbacks import Trainer
from prestage_lightning import PublishingCheckpoint, checkpoints
rank = int(os.environ["RANK"])
trainer = Trainer(callbacks=[checkpoints("run-7")], rank=rank)
trainer.fit(steps=2, every=1)
assert len(trainer.written) == 4
Trainer(callbacks=[PublishingCheckpoint(dirpath="s3://ckpt/big", run="run.8", sharded=True)], rank=rank).fit(steps=1, every=1)
`
	for _, rank := range []string{"RANK=1", "RANK=0"} {
		s.must(t, []string{rank}, train, "python3")
	}
	file := func(name string, step int64) happening {
		id := "run-7-" + name + "-" + string(rune('0'+step))
		return happening{checkpointSubject + ".run-7", id, "/checkpoint/run-7", "s3://ckpt/run-7/" + name, "run-7", step, "lightning", true}
	}
	if diff := len(s.happened(t)) - 5; diff != 0 {
		t.Fatalf("%d events too many", diff)
	}
	want := []happening{
		file("epoch=0-step=1.ckpt", 1), file("last.ckpt", 1), file("epoch=0-step=2.ckpt", 2), file("last.ckpt", 2),
		{
			checkpointSubject, "run.8-epoch=0-step=1.ckpt-1", "/checkpoint/run.8", "s3://ckpt/big/epoch=0-step=1.ckpt/", "run.8", 1,
			"lightning-sharded", true,
		},
	}
	s.mustHaveHappenedSomehow(t, want)
}

// TestHuggingFaceProducer trains alone and among others.
func TestHuggingFaceProducer(t *testing.T) {
	t.Parallel()
	s := newPythonStage(t)
	s.put("run-7/checkpoint-2/model.safetensors", "mounted/checkpoint-2/model.safetensors")
	s.file(t, "prestage_hf.py", example(t, "docs/producers/huggingface.md#hugging-face-trainer"))
	s.file(t, "upload.py", example(t, "docs/producers/huggingface.md#hugging-face-trainer/2"))
	s.file(t, "bin/aws", "#!/bin/sh\n[ -e \"$5/trainer_state.json\" ] && echo \"$*\" >> uploaded\n") // the last argument but one
	const train = `
import os
from transformers import Trainer
from prestage_hf import PublishCheckpoints
from upload import upload
rank = int(os.environ["RANK"])
Trainer("out" + str(rank), [PublishCheckpoints("run-7", "s3://ckpt/run-7/", upload)], rank=rank).train(steps=3, save_steps=2)
Trainer("mnt" + str(rank), [PublishCheckpoints("run-8", "s3://ckpt/mounted")], rank=rank, world_size=2).train(steps=2, save_steps=2)
`
	for _, rank := range []string{"RANK=1", "RANK=0"} {
		s.must(t, []string{rank}, train, "python3")
	}
	uploaded := s.must(t, nil, "", "cat", "uploaded").stdout
	if want := "s3 cp --recursive --only-show-errors out0/checkpoint-2 s3://ckpt/run-7/checkpoint-2/\n"; uploaded != want {
		t.Errorf("aws was called with %q, want %q", uploaded, want)
	}
	s.mustHaveHappened(
		t,
		happening{checkpointSubject + ".run-7", "run-7-checkpoint-2", "/checkpoint/run-7", "s3://ckpt/run-7/checkpoint-2/", "run-7", 2, "hf-trainer", true},
		happening{checkpointSubject + ".run-8", "run-8-checkpoint-2", "/checkpoint/run-8", "s3://ckpt/mounted/checkpoint-2/", "run-8", 2, "hf-trainer", false},
	)
	// What stores a checkpoint is the job's own business.
	s.file(t, "bin/aws", "#!/bin/sh\nexit 1\n")
	if d := s.try(t, []string{"RANK=0"}, strings.ReplaceAll(train, `"out"`, `"again"`), "python3"); d.code == 0 || !strings.Contains(d.stderr, "CalledProcessError") {
		t.Errorf("an upload that fails: exit code %d\n%s", d.code, d.stderr)
	}
}

// TestCurlProducer pastes the page, twice.
func TestCurlProducer(t *testing.T) {
	t.Parallel()
	needs(t, "curl", "timeout")
	s := newStage(t)
	s.put("run-7/step-100/__0_0.distcp")
	for range 2 {
		if d := s.must(t, nil, example(t, "docs/producers/curl.md#curl"), "sh", "-eu"); d.stderr != "" || !strings.Contains(d.stdout, `"event_id":"run-7-step-100"`) {
			t.Errorf("%+v", d)
		}
	}
	s.mustHaveHappened(t, happening{checkpointSubject, "run-7-step-100", "/scripts", "s3://ckpt/run-7/step-100/", "", 0, "", true})
}

// TestNodeProducer installs what the page says, and pastes it.
func TestNodeProducer(t *testing.T) {
	t.Parallel()
	s := newNodeStage(t)
	s.put("run-7/step-100/__0_0.distcp")
	s.store.CreateBucket("models")
	s.store.Put("models", "llama/v3/model.safetensors", large)
	s.file(t, "train.mjs", example(t, "docs/producers/node.md#node/3"))
	for range 2 {
		if d := s.must(t, nil, "", "node", "train.mjs"); d.stderr != "" {
			t.Error(d.stderr)
		}
	}
	got := s.happened(t)
	if len(got) != 2 || len(got[1].ID) != 32 {
		t.Fatalf("%+v", got)
	}
	s.mustHaveHappened(
		t,
		happening{checkpointSubject + ".run-7", "run-7-step-100", "/checkpoint/run-7", "s3://ckpt/run-7/step-100/", "run-7", 100, "dcp", true},
		happening{modelSubject + ".llama", got[1].ID, "/model/llama", "s3://models/llama/v3/", "", 0, "", true},
	)
}

// TestSlurmEpilog runs it on three nodes of a job, and for a job that says nothing.
func TestSlurmEpilog(t *testing.T) {
	t.Parallel()
	needs(t, "timeout")
	s := newStage(t)
	s.put("run-7/final/__0_0.distcp")
	s.slurm(t, "publish=s3://ckpt/run-7/final/")
	s.file(t, "epilog", example(t, "docs/producers/slurm.md#slurm-epilog"))
	for range 3 {
		s.must(t, []string{"SLURM_JOB_ID=42"}, "", "./epilog")
	}
	s.slurm(t, "")
	s.must(t, []string{"SLURM_JOB_ID=43"}, "", "./epilog")
	s.mustHaveHappened(t, happening{checkpointSubject, "slurm-42", "/slurm", "s3://ckpt/run-7/final/", "", 0, "", true})
	if text := s.logged(t); text != "" {
		t.Error(text)
	}

	for name, comment := range map[string]string{
		"a whole bucket": "publish=s3://ckpt/", "no URI": "publish=s3:rubbish", "a command": "publish=s3://x/$(touch+mark)/;touch${IFS}mark",
	} {
		s.slurm(t, comment)
		s.must(t, []string{"SLURM_JOB_ID=44"}, "", "./epilog") // it must not drain the node
		if !strings.Contains(s.logged(t), "job 44:") {
			t.Errorf("%s: nothing in the log", name)
		}
	}
	if len(s.happened(t)) != 1 {
		t.Error("what is no URI was published")
	}
	s.must(t, nil, "", "test", "!", "-e", "mark")
}
