package integration_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/docscheck"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/lotasim"
)

// stage is where a document's examples run: a world with the daemon and the
// gateway, and a folder with the program in bin.
type stage struct {
	*world
	dir     string
	daemon  *program
	gateway string // its URL
	env     []string
}

// put is world's, and makes whole checkpoints of what it puts.
func (s *stage) put(keys ...string) {
	s.world.put(keys...)
	for _, key := range keys {
		if dir, file, _ := strings.Cut(key, "model.safetensors"); file == "" && strings.Contains(dir, "/checkpoint-") {
			s.store.Put(bucket, dir+"trainer_state.json", 1000)
		}
		dir, isShard := strings.CutSuffix(key, "__0_0.distcp")
		if isShard {
			s.store.Put(bucket, dir+".metadata", 1000)
		}
		if isShard && strings.HasSuffix(dir, ".ckpt/") {
			s.store.Put(bucket, dir+"meta.pt", 1000)
		}
	}
}

func newStage(t *testing.T, settings ...string) *stage {
	t.Helper()
	return newStageWith(t, nil, settings...)
}

// newStageWith is newStage with another LOTA.
func newStageWith(t *testing.T, change func(*lotasim.Options), settings ...string) *stage {
	t.Helper()
	s := &stage{world: newWorld(t, change), dir: t.TempDir()}
	s.daemon = s.run(t, settings...)
	s.gateway = "http://" + s.world.gateway(t, raceBuild, settings...).gatewayAddr()
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(raceBuild.path(t), filepath.Join(bin, "prestage")); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.environ(t, settings...),
		"PATH="+bin+":"+strings.Join(programs, ":"), "GATEWAY_URL="+s.gateway, "GATEWAY_TOKEN="+gatewayToken)
	return s
}

// file writes a file into the stage's folder.
func (s *stage) file(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil { //nolint:gosec // some are programs
		t.Fatal(err)
	}
}

// did is what a command came to.
type did struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// try runs a command with a part of its environment changed, and its standard
// input.
func (s *stage) try(t *testing.T, env []string, stdin string, argv ...string) did {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.program(t, argv[0]), argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdin = slices.Concat(s.env, env), s.dir, strings.NewReader(stdin)
	var stdout, stderr output
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second // a child in the background may hold the pipes
	begun := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%q: %v", argv, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%q still ran after %s:\n%s%s", argv, patience, &stdout, &stderr)
	}
	return did{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String(), took: time.Since(begun)}
}

// must is try for what has to exit 0.
func (s *stage) must(t *testing.T, env []string, stdin string, argv ...string) did {
	t.Helper()
	d := s.try(t, env, stdin, argv...)
	if d.code != 0 {
		t.Fatalf("%q: exit code %d\n%s%s", argv, d.code, d.stdout, d.stderr)
	}
	return d
}

// example is the block of that ID as it stands.
func example(t *testing.T, id string) string {
	t.Helper()
	path, _, _ := strings.Cut(id, "#")
	text, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range docscheck.Blocks(path, string(text)) {
		if b.ID == id {
			return b.Text
		}
	}
	t.Fatalf("there is no example %s", id)
	return ""
}

// programs are where those of the system are, and nothing that somebody's shell
// puts before them.
var programs = []string{"/usr/local/bin", "/usr/bin", "/bin"}

// program is the path of a program as the stage's shell would find it.
func (s *stage) program(t *testing.T, name string) string {
	t.Helper()
	if strings.Contains(name, "/") {
		return name
	}
	if path, err := exec.LookPath(filepath.Join(s.dir, "bin", name)); err == nil {
		return path
	}
	return installed(t, name)
}

// installed is the path of a program of the system, or skips the test.
func installed(t *testing.T, program string) string {
	t.Helper()
	for _, dir := range programs {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	t.Skipf("%s is missing: apt-get install what brings it", program)
	return ""
}

// needs skips the test where a program of others is missing.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		installed(t, p)
	}
}

// happening is an event of the stream, as the daemon reads it.
type happening struct {
	Subject, ID, Source, URI, Run string
	Step                          int64
	Layout                        string
	Complete                      bool
}

// happened are all events of the stream.
func (s *stage) happened(t *testing.T) []happening {
	t.Helper()
	var out []happening
	for seq := uint64(1); seq <= s.lastSequence(t); seq++ {
		m := s.storedAt(t, seq)
		e, err := events.Decode(events.Message{
			Stream: "EVENTS", Seq: seq, Time: m.Time, Subject: m.Subject, Kind: events.KindCheckpoint, Header: m.Header, Data: m.Data,
		})
		if err != nil {
			t.Errorf("message %d: %v: %s", seq, err, m.Data)
			continue
		}
		at := e.Prefix
		if len(e.Objects) == 1 {
			at = e.Objects[0].Ref
		}
		out = append(out, happening{m.Subject, e.ID, e.Source, at.String(), e.Run, e.Step, e.Layout, e.Complete})
	}
	return out
}

// mustHaveHappened compares the stream with want, and waits for all of it to be
// warm.
func (s *stage) mustHaveHappened(t *testing.T, want ...happening) {
	t.Helper()
	if diff := cmp.Diff(want, s.happened(t)); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	for i, h := range want {
		s.ends(t, sent{cluster: "default", id: h.ID, source: h.Source, seq: uint64(i + 1)}, "warm")
	}
}
