package integration_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// newHookStage is a stage whose gateway has a secret for each route, with the
// objects that the pages name.
func newHookStage(t *testing.T) *stage {
	t.Helper()
	needs(t, "curl", "openssl")
	s := newStage(t, "PRESTAGE_GATEWAY_WANDB_SECRETS="+gatewaySecret, "PRESTAGE_GATEWAY_HARBOR_SECRETS="+gatewaySecret)
	for _, name := range []string{"MLFLOW", "WANDB", "HUGGINGFACE", "HARBOR"} {
		s.env = append(s.env, name+"_SECRET="+gatewaySecret)
	}
	s.store.CreateBucket("models")
	s.store.Put("models", "llama/v3/model.safetensors", large)
	return s
}

// answered is what the gateway answered to a curl.
func answered(t *testing.T, d did) sent {
	t.Helper()
	for line := range strings.Lines(d.stdout) {
		var a taken
		if json.Unmarshal([]byte(line), &a) == nil && a.EventID != "" {
			return a.sent()
		}
	}
	t.Fatalf("no answer of the gateway in %q", d.stdout)
	return sent{}
}

// TestWiringMLflow creates the webhook, tests it, and sends what MLflow would.
func TestWiringMLflow(t *testing.T) {
	t.Parallel()
	needs(t, "python3")
	s := newHookStage(t)
	test := s.must(t, []string{"PYTHONPATH=" + fakes(t), "PYTHONDONTWRITEBYTECODE=1"}, example(t, "docs/wiring/mlflow.md#in-mlflow"), "python3")
	if !strings.Contains(test.stdout, "response_status=202") {
		t.Errorf("the test is answered %s", test.stdout)
	}
	eventually(t, "the test has ended", func() error {
		s.settledOn(t, modelDurable)
		return nil
	})
	if all := s.receipts(t); len(all) != 1 || all[0].Outcome != "skipped" || all[0].Reason != "not_actionable" {
		t.Errorf("the test ended as %+v", all)
	}
	d := s.must(t, nil, example(t, "docs/wiring/mlflow.md#what-is-seen"), "sh", "-eu")
	s.ends(t, answered(t, d), "warm")
	s.mustBeWarm(t, "models", "llama/v3/model.safetensors")
	if d := s.try(t, []string{"MLFLOW_SECRET=another"}, example(t, "docs/wiring/mlflow.md#what-is-seen"), "sh", "-eu"); d.code != 22 || !strings.Contains(d.stdout, "is by none of this route's secrets") {
		t.Errorf("with another secret: %+v", d)
	}
}

// TestWiringWandB sends what W&B makes of the page's payload.
func TestWiringWandB(t *testing.T) {
	t.Parallel()
	s := newHookStage(t)
	script := example(t, "docs/wiring/wandb.md#what-is-seen")
	d := s.must(t, nil, script, "sh", "-eu")
	s.ends(t, answered(t, d), "warm")
	s.mustBeWarm(t, "models", "llama/v3/model.safetensors")

	var payload, shown map[string]string
	text, _, _ := strings.Cut(strings.TrimPrefix(script, "body='"), "'")
	for source, into := range map[string]*map[string]string{example(t, "docs/wiring/wandb.md#in-wb"): &payload, text: &shown} {
		if err := json.Unmarshal([]byte(source), into); err != nil {
			t.Fatal(err)
		}
	}
	for field := range payload {
		if shown[field] == "" {
			t.Errorf("the payload has %s, which the shell's example leaves out", field)
		}
	}
	if len(payload) != len(shown) {
		t.Errorf("the payload has %d fields, the shell's example %d", len(payload), len(shown))
	}
}

// TestWiringHuggingFace copies a repository, and sends what the Hub would.
func TestWiringHuggingFace(t *testing.T) {
	t.Parallel()
	s := newHookStage(t)
	s.store.Put("models", "hf/org/llama/main/model.safetensors", large)
	s.file(t, "bin/hf", "#!/bin/sh\n[ \"$*\" = 'download org/llama --revision main --local-dir copy/org/llama' ] && mkdir -p copy/org/llama\n")
	s.file(t, "bin/aws", "#!/bin/sh\n[ \"$*\" = 's3 cp --recursive --only-show-errors copy/org/llama s3://models/hf/org/llama/main/' ] && [ -d copy/org/llama ]\n")
	if d := s.must(t, nil, example(t, "docs/wiring/huggingface.md#the-job-that-copies-publishes"), "sh"); !strings.Contains(d.stdout, "warm") {
		t.Errorf("%+v", d)
	}
	s.mustBeWarm(t, "models", "hf/org/llama/main/model.safetensors")
	r := s.ends(t, answered(t, s.must(t, nil, example(t, "docs/wiring/huggingface.md#the-webhook"), "sh", "-eu")), "dead_lettered")
	if r.Reason != "unresolvable_source" {
		t.Errorf("%+v", r)
	}
}

// TestWiringHarbor sends what Harbor would, and what the page has instead.
func TestWiringHarbor(t *testing.T) {
	t.Parallel()
	s := newHookStage(t)
	r := s.ends(t, answered(t, s.must(t, nil, example(t, "docs/wiring/harbor.md#what-is-seen"), "sh", "-eu")), "dead_lettered")
	if r.Reason != "unresolvable_source" {
		t.Errorf("%+v", r)
	}
	const blob = "docker/registry/v2/blobs/sha256/3f/3f2b9f0c5d7e8a1b4c6d8e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d/data"
	s.store.CreateBucket("registry")
	s.store.Put("registry", blob, large)
	s.store.PutBytes("registry", "manifests/llama-v3.json", []byte(`["s3://registry/`+blob+`"]`))
	s.must(t, nil, example(t, "docs/wiring/harbor.md#what-is-seen/2"), "sh", "-eu")
	s.must(t, nil, "", "prestage", "wait", "llama-v3", "--timeout", "2m")
	s.mustBeWarm(t, "registry", blob)
}

// TestWiringNotifications sends what MinIO's webhook does.
func TestWiringNotifications(t *testing.T) {
	t.Parallel()
	s := newHookStage(t)
	s.put("run 7/step-100/model.safetensors")
	s.must(t, nil, example(t, "docs/wiring/minio-ceph-aws.md#minio-ceph-and-others-by-http"), "sh", "-eu")
	s.lota.mustHaveAsked(t, once("run 7/step-100/model.safetensors"))
}

// TestWiringNotificationsByCLI has the AWS CLI check each command against its own
// model of the service, and send none.
func TestWiringNotificationsByCLI(t *testing.T) {
	t.Parallel()
	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("the AWS CLI is missing: apt-get install awscli")
	}
	s := newStage(t)
	s.file(t, "bin/aws", "#!/bin/sh\necho \"$*\" >> commands\nexec "+aws+" \"$@\" --generate-cli-skeleton output\n")
	setup := []string{"HOME=" + s.dir, "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y", "AWS_PAGER="}
	for page, want := range map[string]string{
		"docs/wiring/minio-ceph-aws.md#minio-ceph-and-others-by-http/2": "/hooks/s3\",\"persistent\":\"true\"}",
		"docs/wiring/minio-ceph-aws.md#aws":                             "https://prestage:" + gatewayToken + "@prestage.example.com/hooks/s3",
	} {
		s.must(t, setup, example(t, page), "sh", "-eu")
		commands, err := os.ReadFile(filepath.Join(s.dir, "commands"))
		if err != nil || !strings.Contains(string(commands), want) {
			t.Errorf("%s: %v, it called aws with %s", page, err, commands)
		}
	}
	if d := s.try(t, setup, "", "aws", "sns", "create-topic", "--names", "x"); d.code == 0 {
		t.Errorf("it takes anything: %+v", d)
	}
}

// TestWiringKServe runs the init container's command before and after the model
// is warm.
func TestWiringKServe(t *testing.T) {
	t.Parallel()
	s := newHookStage(t)
	var manifest struct {
		Spec struct {
			Predictor struct {
				Init []struct{ Command []string } `yaml:"initContainers"`
			}
		}
	}
	if err := yaml.Unmarshal([]byte(example(t, "docs/wiring/kserve.md#wait-until-it-is-warm")), &manifest); err != nil {
		t.Fatal(err)
	}
	s.mustWaitAsInitContainer(t, manifest.Spec.Predictor.Init[0].Command, "s3://models/llama/v3/")
}

// mustWaitAsInitContainer runs the command of an init container that waits for
// uri: warm, not warm in time, and dead-lettered.
func (s *stage) mustWaitAsInitContainer(t *testing.T, command []string, uri string) {
	t.Helper()
	if len(command) != 3 || command[0] != "/bin/sh" || strings.Count(command[2], "10m") != 1 {
		t.Fatalf("the command is %q", command)
	}
	impatient := []string{command[0], command[1], strings.Replace(command[2], "10m", "1s", 1)}
	if d := s.must(t, nil, "", impatient...); !strings.Contains(d.stdout+d.stderr, uri) {
		t.Errorf("before it is warm: %+v", d)
	}
	if d := s.try(t, []string{"NATS_URL=rubbish://"}, "", impatient...); d.code == 0 {
		t.Errorf("a wrong setting starts the model: %+v", d)
	}
	s.must(t, nil, "", "prestage", "publish", uri, "--model", "llama", "--complete", "--wait", "--timeout", "2m")
	s.must(t, nil, "", command...)
}

// mustBeWarm checks that LOTA has the whole object.
func (s *stage) mustBeWarm(t *testing.T, bucket, key string) {
	t.Helper()
	if truth := s.lota.Truth(bucket, key); !truth.Cached {
		t.Errorf("s3://%s/%s is not cached", bucket, key)
	}
}
