package docscheck_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// otherVariables are those of a manifest that the AWS SDK and Go's runtime read.
var otherVariables = []string{
	"AWS_REGION", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "GOMEMLIMIT",
}

// manifest is what the checks look at in a Kubernetes object. Misspelt fields
// of the parts named here do not go unnoticed: what they should set is missing.
type manifest struct {
	Kind string
	Spec struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		Template template

		// Of a CronJob.
		Concurrency string `yaml:"concurrencyPolicy"`
		Job         struct {
			Spec struct {
				Deadline int64 `yaml:"activeDeadlineSeconds"`
				Template template
			}
		} `yaml:"jobTemplate"`
	}
}

type template struct {
	Metadata struct{ Labels map[string]string }
	Spec     podSpec
}

type podSpec struct {
	Grace           int64 `yaml:"terminationGracePeriodSeconds"`
	SecurityContext struct {
		NonRoot bool  `yaml:"runAsNonRoot"`
		User    int64 `yaml:"runAsUser"`
	} `yaml:"securityContext"`
	Containers []container
	Volumes    []struct {
		Name      string
		Projected struct {
			Sources []struct {
				Token struct{ Audience, Path string } `yaml:"serviceAccountToken"`
			}
		}
	}
}

type container struct {
	Image           string
	Args            []string
	Env             []struct{ Name, Value string }
	Ports           []struct{ Name string }
	Liveness        probe `yaml:"livenessProbe"`
	Readiness       probe `yaml:"readinessProbe"`
	SecurityContext struct {
		Escalation   *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRoot bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities struct{ Drop []string }
	} `yaml:"securityContext"`
	Resources struct{ Limits struct{ Memory string } }
	Mounts    []struct {
		Name string
		Path string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// deployments gives the Deployments and CronJobs of a file of YAML documents.
func deployments(text string) ([]manifest, error) {
	var out []manifest
	dec := yaml.NewDecoder(bytes.NewBufferString(text))
	for {
		var m manifest
		err := dec.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("read manifest: %w", err)
		case m.Kind == "Deployment", m.Kind == "CronJob":
			out = append(out, m)
		}
	}
}

// faults says what is wrong with a Deployment or CronJob of prestage.
func (m manifest) faults(settings map[string]bool, imageUser string) []string {
	pod := m.Spec.Template.Spec
	if m.Kind == "CronJob" {
		pod = m.Spec.Job.Spec.Template.Spec
	}
	if len(pod.Containers) != 1 {
		return []string{fmt.Sprintf("%d containers, want 1", len(pod.Containers))}
	}
	c := pod.Containers[0]
	var out []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}

	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
		check(settings[e.Name] || slices.Contains(otherVariables, e.Name), "the program reads no variable %s", e.Name)
	}
	switch {
	case m.Kind == "CronJob":
		m.checkJob(c, check)
	case slices.Equal(c.Args, []string{"gateway"}):
		checkServer(c, env, check)
		checkGateway(pod, env, check)
	default:
		checkServer(c, env, check)
		checkDaemon(pod, env, check)
	}

	user := pod.SecurityContext
	check(user.NonRoot && fmt.Sprint(user.User) == imageUser, "it runs as user %d, the image's is %s", user.User, imageUser)
	check(c.SecurityContext.ReadOnlyRoot, "the root file system is writable")
	check(slices.Equal(c.SecurityContext.Capabilities.Drop, []string{"ALL"}), "not all capabilities are dropped")
	check(c.SecurityContext.Escalation != nil && !*c.SecurityContext.Escalation, "privilege escalation is allowed")

	if !slices.Equal(c.Args, []string{"gateway"}) { // which has no business with the store
		check(pod.tokenAt(c) == env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"], "the projected token is at %q, the SDK reads %q",
			pod.tokenAt(c), env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
	}
	for name, value := range m.Spec.Selector.MatchLabels {
		check(m.Spec.Template.Metadata.Labels[name] == value, "the selector's label %s is not the pod's", name)
	}
	return out
}

// checkServer is for what runs for ever.
func checkServer(c container, env map[string]string, check checker) {
	check(c.Liveness.HTTPGet.Path == "/healthz" && c.Liveness.HTTPGet.Port == "http", "the liveness probe is not /healthz on http")
	check(c.Readiness.HTTPGet.Path == "/readyz" && c.Readiness.HTTPGet.Port == "http", "the readiness probe is not /readyz on http")
	check(len(c.Ports) == 1 && c.Ports[0].Name == "http", "there is no port named http")
	var limit, collect int
	_, err := fmt.Sscanf(c.Resources.Limits.Memory+" "+env["GOMEMLIMIT"], "%dMi %dMiB", &limit, &collect)
	check(err == nil && collect <= limit*7/8, "GOMEMLIMIT %q leaves too little of the pod's %q", env["GOMEMLIMIT"], c.Resources.Limits.Memory)
}

// checkJob is for a pass that ends.
func (m manifest) checkJob(c container, check checker) {
	var timeout time.Duration
	for _, arg := range c.Args {
		if value, ok := strings.CutPrefix(arg, "--timeout="); ok {
			timeout, _ = time.ParseDuration(value) // 0 is told below
		}
	}
	deadline := time.Duration(m.Spec.Job.Spec.Deadline) * time.Second
	check(len(c.Args) > 0 && c.Args[0] == "reconcile", "it does not run reconcile")
	check(timeout > 0 && deadline >= timeout+30*time.Second, "a deadline of %v leaves too little after --timeout=%v", deadline, timeout)
	check(m.Spec.Concurrency == "Forbid", "passes overlap")
}

type checker func(ok bool, format string, args ...any)

// checkDaemon checks what only the consumer has.
func checkDaemon(pod podSpec, env map[string]string, check checker) {
	drain, err := time.ParseDuration(env["PRESTAGE_DRAIN_TIMEOUT"])
	check(err == nil, "PRESTAGE_DRAIN_TIMEOUT is not set to a duration")
	grace := time.Duration(pod.Grace) * time.Second
	check(grace >= drain+15*time.Second, "a grace period of %v leaves too little after a drain of %v", grace, drain)
	check(strings.HasPrefix(env["PRESTAGE_HTTP_ADDR"], "0.0.0.0:"), "the kubelet cannot reach PRESTAGE_HTTP_ADDR %q", env["PRESTAGE_HTTP_ADDR"])
}

// checkGateway checks what only the gateway has: it listens for all, and opens
// no route without a secret.
func checkGateway(pod podSpec, env map[string]string, check checker) {
	check(pod.Grace >= 15, "a grace period of %d s cuts off requests that wait for the stream", pod.Grace)
	check(strings.HasPrefix(env["PRESTAGE_GATEWAY_ADDR"], "0.0.0.0:"), "nobody can reach PRESTAGE_GATEWAY_ADDR %q", env["PRESTAGE_GATEWAY_ADDR"])
	check(env["PRESTAGE_GATEWAY_INSECURE"] == "", "routes without a secret are open")
	secrets := 0
	for name, file := range env {
		if !strings.HasPrefix(name, "PRESTAGE_GATEWAY_") || !strings.HasSuffix(name, "_FILE") {
			continue
		}
		secrets++
		check(slices.ContainsFunc(pod.Containers[0].Mounts, func(m struct {
			Name string
			Path string `yaml:"mountPath"`
		},
		) bool {
			return strings.HasPrefix(file, m.Path+"/")
		}), "%s is %q, where nothing is mounted", name, file)
	}
	check(secrets > 0, "no route has a secret")
}

// tokenAt is where c finds the projected token for CoreWeave's identity service.
func (p podSpec) tokenAt(c container) string {
	for _, v := range p.Volumes {
		for _, s := range v.Projected.Sources {
			for _, m := range c.Mounts {
				if m.Name == v.Name && s.Token.Audience == "https://coreweave.com/iam" {
					return m.Path + "/" + s.Token.Path
				}
			}
		}
	}
	return ""
}

// imageUser is the user of the image that a Dockerfile builds, and whether its
// last stage stands on a base without root.
func imageUser(dockerfile string) (user string, nonRootBase bool) {
	for line := range strings.Lines(dockerfile) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "FROM":
			user, nonRootBase = "", strings.HasSuffix(fields[1], ":nonroot")
		case "USER":
			user, _, _ = strings.Cut(fields[1], ":")
		}
	}
	return user, nonRootBase
}

func TestDeployments(t *testing.T) {
	t.Parallel()
	files := repository(t)
	settings, err := files.settings()
	if err != nil {
		t.Fatal(err)
	}
	user, nonRootBase := imageUser(files["deployments/Dockerfile"])
	if !nonRootBase {
		t.Error("deployments/Dockerfile: the base of the image is not a non-root one")
	}
	found := 0
	for _, name := range files.named("deployments/kubernetes/*.yaml") {
		list, err := deployments(files[name])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, m := range list {
			found++
			for _, fault := range m.faults(settings, user) {
				t.Errorf("%s: %s", name, fault)
			}
		}
	}
	if found == 0 {
		t.Error("deployments/kubernetes holds no Deployment and no CronJob")
	}
}

// breakage is a change of a manifest and the fault that it has to be found by.
type breakage struct{ old, new, want string }

// TestDeploymentsFail breaks one thing at a time in the real manifests.
func TestDeploymentsFail(t *testing.T) {
	t.Parallel()
	failManifest(t, "gateway.yaml", []breakage{
		{"terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 5", "a grace period of 5 s cuts off requests that wait for the stream"},
		{`"0.0.0.0:8081"`, `"127.0.0.1:8081"`, `nobody can reach PRESTAGE_GATEWAY_ADDR "127.0.0.1:8081"`},
		{"name: LOG_FORMAT", "name: PRESTAGE_GATEWAY_INSECURE", "routes without a secret are open"},
		{"value: /var/run/secrets/gateway/tokens", "value: /etc/tokens", `PRESTAGE_GATEWAY_TOKENS_FILE is "/etc/tokens", where nothing is mounted`},
		{"name: PRESTAGE_GATEWAY_TOKENS_FILE", "name: PRESTAGE_GATEWAY_TOKENS", "no route has a secret"},
		{"path: /readyz", "path: /healthz", "the readiness probe is not /readyz on http"},
	})
	failManifest(t, "prestage.yaml", []breakage{
		{"terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 30", "a grace period of 30s leaves too little after a drain of 30s"},
		{"value: 30s", "value: soon", "PRESTAGE_DRAIN_TIMEOUT is not set to a duration"},
		{"name: NATS_CREDS", "name: NATS_CREDENTIALS", "the program reads no variable NATS_CREDENTIALS"},
		{"path: /healthz", "path: /health", "the liveness probe is not /healthz on http"},
		{"path: /readyz", "path: /healthz", "the readiness probe is not /readyz on http"},
		{"448MiB", "512MiB", `GOMEMLIMIT "512MiB" leaves too little of the pod's "512Mi"`},
		{"name: http, containerPort", "name: web, containerPort", "there is no port named http"},
		{`"0.0.0.0:8080"`, `"127.0.0.1:8080"`, `the kubelet cannot reach PRESTAGE_HTTP_ADDR "127.0.0.1:8080"`},
		{"runAsUser: 65532", "runAsUser: 1000", "it runs as user 1000, the image's is 65532"},
		{"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "the root file system is writable"},
		{"drop: [ALL]", "drop: [NET_RAW]", "not all capabilities are dropped"},
		{"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "privilege escalation is allowed"},
		{
			"path: cks-pod-identity-token", "path: token",
			`the projected token is at "/var/run/secrets/cks.coreweave.com/serviceaccount/token", ` +
				`the SDK reads "/var/run/secrets/cks.coreweave.com/serviceaccount/cks-pod-identity-token"`,
		},
		{
			"matchLabels:\n      app.kubernetes.io/name: prestage\n  strategy", "matchLabels:\n      app.kubernetes.io/name: other\n  strategy",
			"the selector's label app.kubernetes.io/name is not the pod's",
		},
	})
}

func failManifest(t *testing.T, file string, breakages []breakage) {
	t.Helper()
	files := repository(t)
	settings, err := files.settings()
	if err != nil {
		t.Fatal(err)
	}
	text := files["deployments/kubernetes/"+file]
	for _, tt := range breakages {
		t.Run(tt.new, func(t *testing.T) {
			t.Parallel()
			if strings.Count(text, tt.old) != 1 {
				t.Fatalf("the manifest has %d times %q", strings.Count(text, tt.old), tt.old)
			}
			list, err := deployments(strings.Replace(text, tt.old, tt.new, 1))
			if err != nil || len(list) != 1 {
				t.Fatalf("%d objects, error %v", len(list), err)
			}
			want(t, list[0].faults(settings, "65532"), tt.want)
		})
	}
}

// TestCronJobFails breaks one thing at a time in the CronJob.
func TestCronJobFails(t *testing.T) {
	t.Parallel()
	failManifest(t, "reconcile.yaml", []breakage{
		{"- reconcile\n", "- run\n", "it does not run reconcile"},
		{"--timeout=50m", "--timeout=55m", "a deadline of 55m0s leaves too little after --timeout=55m0s"},
		{"--timeout=50m", "--verbose", "a deadline of 55m0s leaves too little after --timeout=0s"},
		{"concurrencyPolicy: Forbid", "concurrencyPolicy: Allow", "passes overlap"},
		{"name: NATS_CREDS", "name: NATS_CREDENTIALS", "the program reads no variable NATS_CREDENTIALS"},
		{"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "the root file system is writable"},
	})
}

func TestImageUser(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		dockerfile, user string
		nonRootBase      bool
	}{
		{"FROM golang:1.26 AS build\nUSER 1:1\nFROM x/static:nonroot\nUSER 65532:65532\n", "65532", true},
		{"FROM x/static:nonroot\nUSER 2\nFROM debian:12\n", "", false},
	} {
		user, nonRootBase := imageUser(tt.dockerfile)
		if user != tt.user || nonRootBase != tt.nonRootBase {
			t.Errorf("imageUser(%q) = %q, %v", tt.dockerfile, user, nonRootBase)
		}
	}
}
