package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that is expected to happen; the flag
// -patience changes it.
var patience = 2 * time.Minute

// program is the program as a child process.
type program struct {
	cmd    *exec.Cmd
	stdout output
	stderr output
	exited chan struct{}
}

// launch starts a build with args. Its environment is environ and nothing else.
// It is killed when the test ends, and its log is shown if the test failed.
func launch(t *testing.T, b *build, environ []string, args ...string) *program {
	t.Helper()
	return launchWith(t, nil, b, environ, args...)
}

// launchWith is launch with a standard input.
func launchWith(t *testing.T, stdin io.Reader, b *build, environ []string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(b.path(t), args...), exited: make(chan struct{})}
	p.cmd.Env = environ
	p.cmd.Dir, p.cmd.Stdin = t.TempDir(), stdin
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	dieWithUs(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the exit code tells
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // also one that is stopped
		<-p.exited
		if strings.Contains(p.stderr.String(), "DATA RACE") {
			t.Error("the program has a data race")
		}
		if t.Failed() {
			t.Logf("process %d, standard error:\n%s", p.cmd.Process.Pid, p.stderr.tail())
		}
	})
	return p
}

// finish runs a build until it ends by itself.
func finish(t *testing.T, b *build, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := launch(t, b, environ, args...)
	code = p.wait(t)
	return code, p.stdout.String(), p.stderr.String()
}

// wait returns the exit code, -1 after a signal.
func (p *program) wait(t *testing.T) int {
	t.Helper()
	return p.waitFor(t, patience)
}

func (p *program) waitFor(t *testing.T, patience time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("the program still runs after %s", patience)
		return 0
	}
}

func (p *program) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %s: %v", s, err)
	}
}

// kill ends the program as kill -9 does.
func (p *program) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.exited
}

// stop ends the program in the orderly way.
func (p *program) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t); code != 0 {
		t.Fatalf("exit code %d after SIGTERM, want 0", code)
	}
}

// ready waits for /readyz to be content.
func (p *program) ready(t *testing.T) *program {
	t.Helper()
	eventually(t, "the program is ready", func() error {
		select {
		case <-p.exited:
			t.Fatalf("the program ended with exit code %d", p.cmd.ProcessState.ExitCode())
		default:
		}
		status, body, err := p.get(t, "/readyz")
		if err == nil && status != http.StatusOK {
			err = errors.New(body)
		}
		return err
	})
	return p
}

// get reads a page of the admin listener.
func (p *program) get(t *testing.T, path string) (status int, body string, err error) {
	t.Helper()
	addr := ""
	for _, line := range p.logged("listening") {
		if line["name"] == "admin" {
			addr, _ = line["addr"].(string)
		}
	}
	if addr == "" {
		return 0, "", errors.New("the log does not tell the admin listener's address")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

// says waits until the program has written text to its log.
func (p *program) says(t *testing.T, text string) {
	t.Helper()
	eventually(t, "the log tells: "+text, func() error {
		if !strings.Contains(p.stderr.String(), text) {
			return fmt.Errorf("%d lines do not", p.lines())
		}
		return nil
	})
}

// logged returns the log lines with the message msg.
func (p *program) logged(msg string) []map[string]any {
	var out []map[string]any
	for line := range strings.Lines(p.stderr.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == msg {
			out = append(out, fields)
		}
	}
	return out
}

// output is what a child process has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tail is the end of it, as much as a reader bears.
func (o *output) tail() string {
	const most = 20_000
	s := o.String()
	if len(s) > most {
		s = fmt.Sprintf("(%d bytes left out)…%s", len(s)-most, s[len(s)-most:])
	}
	return s
}

// eventually calls try until it returns nil.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited %s for this: %s; last: %v", patience, what, err)
		}
	}
}

// throughout calls check again and again for d: what must not happen meanwhile.
func throughout(t *testing.T, d time.Duration, check func()) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(d); ; {
		check()
		if t.Failed() {
			t.FailNow()
		}
		select {
		case <-tick.C:
		case <-end:
			return
		}
	}
}
