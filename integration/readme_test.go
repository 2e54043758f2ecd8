package integration_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The documents name hosts that only their readers have. Where a block says them
// in so many words, they are replaced by the test's; all else is run as it stands.
func (s *stage) here(block, gateway string) string {
	return strings.NewReplacer("nats://nats.example.com:4222", s.nats.URL(), "127.0.0.1:8081", gateway).Replace(block)
}

// lines runs the commands of a block one after the other, as somebody does who
// tries them, and returns what each came to.
func (s *stage) lines(t *testing.T, block string) []did {
	t.Helper()
	var out []did
	for line := range strings.Lines(block) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, s.try(t, nil, line, "sh", "-u"))
		}
	}
	return out
}

// mustExit checks the exit codes of lines.
func mustExit(t *testing.T, got []did, codes ...int) {
	t.Helper()
	if len(got) != len(codes) {
		t.Fatalf("%d lines, want %d", len(got), len(codes))
	}
	for i, d := range got {
		if d.code != codes[i] {
			t.Errorf("line %d: exit code %d, want %d\n%s%s", i+1, d.code, codes[i], d.stdout, d.stderr)
		}
	}
}

// TestReadmePublish is the first event of somebody who has a cluster.
func TestReadmePublish(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.put("run-7/step-100/__0_0.distcp")
	d := s.must(t, nil, example(t, "README.md#point-it-at-your-cluster/2"), "sh", "-eu")
	if !strings.Contains(d.stdout, "warm (") {
		t.Error(d.stdout)
	}
	s.lota.mustHaveAsked(t, once("run-7/step-100/__0_0.distcp"))
}

// TestReadmeReplay replays what the daemon has warmed, for another cluster, and
// what no event tells of.
func TestReadmeReplay(t *testing.T) {
	t.Parallel()
	s := newStage(t, "PRESTAGE_SUPERSEDE=false")
	for i := range 3 {
		key := fmt.Sprintf("run-7/step-%d/__0_0.distcp", i)
		s.put(key)
		s.must(t, nil, "", "prestage", "publish", uri(key), "--run", "run-7", "--wait")
	}
	s.put("old/model.safetensors")
	var inventory bytes.Buffer
	z := gzip.NewWriter(&inventory)
	fmt.Fprintf(z, "%q,%q,%q\n", bucket, "old/model.safetensors", fmt.Sprint(large))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s.file(t, "inventory.csv.gz", inventory.String())

	got := s.lines(t, example(t, "docs/replay.md#replay"))
	mustExit(t, got, 0, 0, 0, 0)
	if !strings.Contains(got[0].stdout, `"dry_run"`) || !strings.Contains(got[1].stdout, `"done"`) {
		t.Errorf("%+v", got[:2])
	}
	want := map[string]int{"old/model.safetensors": 1}
	for i := range 3 { // by the daemon, and by the replay for the other cluster
		want[fmt.Sprintf("run-7/step-%d/__0_0.distcp", i)] = 2
	}
	s.lota.mustHaveAsked(t, want)
}

// TestReadmeGateway starts a gateway in the background and sends it an event.
func TestReadmeGateway(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	s := newStage(t)
	s.put("run-7/step-100/__0_0.distcp")
	addr := freeAddr(t)
	script := s.here(example(t, "docs/gateway.md#webhooks-and-http-events"), addr) + "\nkill $!\nwait $!\n"
	d := s.must(t, []string{"PRESTAGE_GATEWAY_ADDR=" + addr}, script, "sh", "-u")
	if !strings.Contains(d.stdout, "202 Accepted") {
		t.Fatalf("%+v", d)
	}
	s.ends(t, answered(t, d), "warm")
}

// TestReadmeDeadLetters has 42 of them.
func TestReadmeDeadLetters(t *testing.T) {
	t.Parallel()
	s := newStage(t, "PRESTAGE_BUCKETS="+bucket)
	for i := range 42 {
		e := s.checkpoint(t, fmt.Sprintf("bad-%d", i), map[string]any{"uri": "s3://other/key"})
		if i == 41 {
			s.ends(t, e, "dead_lettered")
		}
	}
	s.settled(t)
	got := s.lines(t, example(t, "docs/operations.md#work-with-dead-letters"))
	mustExit(t, got, 0, 0, 0, 0, 0)
	for i, says := range []string{"EVENTS/42", "", "bad-41", "42", "1"} {
		if !strings.Contains(got[i].stdout, says) {
			t.Errorf("line %d does not say %q: %s", i+1, says, got[i].stdout)
		}
	}
	if n := strings.Count(got[0].stdout, "bucket_not_allowed"); n != 42 {
		t.Errorf("%d letters are listed, want 42", n)
	}
}

// TestReadmeReconcile finds what never became an event.
func TestReadmeReconcile(t *testing.T) {
	t.Parallel()
	mlflow := newRegistry(t, map[string]string{
		"/model-versions/search?max_results=100": `{"model_versions": [` +
			`{"name": "llama", "version": "3", "source": "s3://models/v3", "aliases": ["champion"]},` +
			`{"name": "llama", "version": "4", "source": "s3://models/v4"}]}`,
		"/model-versions/get-download-uri?name=llama&version=3": `{"artifact_uri": "s3://models/v3"}`,
	})
	s := newStage(t, mlflow.settings()...)
	s.put("run-7/step-100/__0_0.distcp", "run-8/step-1/__0_0.distcp")
	s.store.CreateBucket("models")
	s.store.Put("models", "llama/model.safetensors", large)
	s.store.Put("models", "listed.safetensors", large)
	s.store.Put("models", "v3/model.safetensors", large)
	s.store.Put("models", "v4/model.safetensors", large) // which nothing asks for
	s.file(t, "published.txt", "s3://models/listed.safetensors\n")
	mustExit(t, s.lines(t, example(t, "docs/reconcile.md#what-never-became-an-event")), 0, 0, 0, 0)
	s.settledOn(t, modelDurable)
	s.lota.mustHaveAsked(t, once("llama/model.safetensors", "listed.safetensors", "v3/model.safetensors")) // the first line is a dry run
}

// TestWaitingCommands waits for what has come and for what comes.
func TestWaitingCommands(t *testing.T) {
	t.Parallel()
	s := newStageWith(t, distinct, "PRESTAGE_CONFIRM=probe")
	s.put("x", "run-7/step-100/__0_0.distcp")
	s.store.CreateBucket("models")
	s.store.Put("models", "llama/model.safetensors", large)
	s.checkpoint(t, "run-7-step-100", map[string]any{"uri": uri("run-7/step-100/"), "complete": true})
	s.checkpoint(t, "a", map[string]any{"uri": uri("x")})
	s.checkpoint(t, "b", map[string]any{"uri": "s3://models/llama/model.safetensors"})
	mustExit(t, s.lines(t, example(t, "docs/waiting.md#waiting-until-it-is-warm")), 0, 0, 0, 0)
}

// TestWaitingInitContainer runs its command.
func TestWaitingInitContainer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.store.CreateBucket("models")
	s.store.Put("models", "llama/model.safetensors", large)
	var pod struct {
		Init []struct{ Command []string } `yaml:"initContainers"`
	}
	if err := yaml.Unmarshal([]byte(example(t, "docs/waiting.md#kubernetes-init-container")), &pod); err != nil {
		t.Fatal(err)
	}
	s.mustWaitAsInitContainer(t, pod.Init[0].Command, "s3://models/llama/")
}

// TestWaitingProlog runs it for jobs with a checkpoint that is warm, with one that
// is not, and with none. It must never drain the node.
func TestWaitingProlog(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.put("run-7/step-100/__0_0.distcp")
	s.checkpoint(t, "run-7-step-100", map[string]any{"uri": uri("run-7/step-100/"), "complete": true})
	text := example(t, "docs/waiting.md#slurm-prolog")
	if strings.Count(text, "5m") != 1 {
		t.Fatal("the prolog has another time-out than the test thinks")
	}
	s.file(t, "prolog", text)
	s.file(t, "impatient", strings.Replace(text, "5m", "1s", 1))
	for name, tt := range map[string]struct{ comment, program, logged string }{
		"warm":        {"warm=run-7-step-100", "./prolog", ""},
		"never comes": {"warm=run-7-step-200", "./impatient", "job 42 starts cold: exit 3"},
		"no comment":  {"", "./prolog", ""},
		"an option":   {"warm=--timeout=100h", "./impatient", "job 42 starts cold"},
	} {
		s.slurm(t, tt.comment)
		s.must(t, []string{"SLURM_JOB_ID=42", "PRESTAGE_CLUSTER=default"}, "", tt.program)
		if got := s.logged(t); (tt.logged == "") != (got == "") || !strings.Contains(got, tt.logged) {
			t.Errorf("%s: logged %q, want %q", name, got, tt.logged)
		}
	}
}

// TestWaitingStartScript starts a server when the model is warm, when it is not in
// time, and when it never will be.
func TestWaitingStartScript(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.store.CreateBucket("models")
	s.store.Put("models", "llama/model.safetensors", large)
	s.file(t, "bin/vllm", "#!/bin/sh\necho \"$*\"\n")
	text := example(t, "docs/waiting.md#vllm-start-script")
	if strings.Count(text, "15m") != 1 {
		t.Fatal("the script has another time-out than the test thinks")
	}
	s.file(t, "start", text)
	s.file(t, "impatient", strings.Replace(text, "15m", "1s", 1))
	const served = "serve s3://models/llama/ --load-format runai_streamer\n"
	check := func(program string, env []string, says string) {
		t.Helper()
		d := s.must(t, env, "", program)
		if !strings.HasSuffix(d.stdout, served) || !strings.Contains(d.stderr, says) {
			t.Errorf("%+v, want %q", d, says)
		}
	}
	check("./impatient", nil, "not warm in time")
	check("./start", []string{"NATS_URL=rubbish://"}, "will not become warm")
	s.must(t, nil, "", "prestage", "publish", "s3://models/llama/", "--model", "llama", "--complete", "--wait")
	check("./start", nil, "")
}

// TestWaitingPipeline publishes and waits in one go.
func TestWaitingPipeline(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.store.CreateBucket("models")
	s.store.Put("models", "llama/model.safetensors", large)
	s.must(t, []string{"TAG=v3"}, example(t, "docs/waiting.md#in-a-pipeline"), "sh", "-eu")
	s.mustBeWarm(t, "models", "llama/model.safetensors")
}

// TestClientsWarm has the AWS CLI and boto3 warm as the page says.
func TestClientsWarm(t *testing.T) {
	t.Parallel()
	needs(t, "aws")
	s := newStage(t)
	s.put("run-7/step-100.pt")
	s.file(t, "aws.cfg", "[default]\ns3 =\n    addressing_style = virtual\n")
	s.env = append(s.env, "HTTP_PROXY=http://"+s.lota.server.LOTAAddr(), "AWS_CONFIG_FILE=aws.cfg", "AWS_DEFAULT_REGION="+region)
	s.must(t, nil, example(t, "docs/clients.md#warming"), "sh", "-eu")
	s.lota.mustHaveAsked(t, once("run-7/step-100.pt"))
	if d := s.try(t, nil, "import boto3", "python3"); d.code != 0 {
		t.Skip("boto3 is missing: apt-get install python3-boto3")
	}
	const client = "import boto3\nfrom botocore.config import Config\n" +
		"s3 = boto3.client('s3', endpoint_url='http://cwlota.com', config=Config(s3={'addressing_style': 'virtual'}))\n"
	s.must(t, nil, client+example(t, "docs/clients.md#warming/2"), "python3")
	s.lota.mustHaveAsked(t, map[string]int{"run-7/step-100.pt": 2})
}
