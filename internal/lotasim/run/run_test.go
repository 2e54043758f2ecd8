package run

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/lotasim"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's pool of a server that has ended wakes up every 10 s, and ends then.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// fasthttp keeps one clock for the process, for ever.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

func freePorts() Options {
	o := Defaults()
	o.LOTAAddr, o.PrimaryAddr, o.AdminAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return o
}

// The values of Defaults and those of the flags' tags are the same.
func TestDefaultsAreThoseOfTheTags(t *testing.T) {
	t.Parallel()
	v := reflect.ValueOf(Defaults())
	for i := range v.NumField() {
		field := v.Type().Field(i)
		want := field.Tag.Get("default")
		var got string
		switch x := v.Field(i).Interface().(type) {
		case []string:
			got = strings.Join(x, ",")
		case time.Duration:
			d, err := time.ParseDuration(want)
			if err != nil || d != x {
				t.Errorf("%s: %v, tag %q", field.Name, x, want)
			}
			continue
		default:
			if got = fmt.Sprint(x); want == "" && v.Field(i).IsZero() {
				got = ""
			}
		}
		if got != want {
			t.Errorf("%s: %q, tag %q", field.Name, got, want)
		}
		if field.Tag.Get("help") == "" || field.Tag.Get("name") == "" {
			t.Errorf("%s has no help or no name", field.Name)
		}
	}
}

// TestRun does what a user does: reads the lines, pastes them. It is not parallel:
// a process can have one store at a time.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read, write := io.Pipe()
	ended := make(chan error, 1)
	o := freePorts()
	o.SecretKey = "not-to-be-shown"
	go func() {
		err := Run(ctx, o, slog.New(slog.DiscardHandler), write)
		_ = write.Close()
		ended <- err
	}()
	buf := make([]byte, 16<<10)
	n, err := read.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	text := string(buf[:n])
	if strings.Contains(text, o.SecretKey) {
		t.Error("the secret is shown")
	}
	found := regexp.MustCompile(`HTTP_PROXY=(\S+) .* s3api head-object`).FindStringSubmatch(text)
	config := regexp.MustCompile(`AWS_CONFIG_FILE=(\S+)`).FindStringSubmatch(text)
	curlLine := regexp.MustCompile(`(?s)curl -I .*/KEY\n`).FindString(text)
	truthLine := regexp.MustCompile(`curl 'http:[^\n]*\n`).FindString(text)
	if found == nil || config == nil || curlLine == "" || truthLine == "" {
		t.Fatalf("no lines to paste in:\n%s", text)
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "HTTP_PROXY=" + found[1], "AWS_CONFIG_FILE=" + config[1],
		"AWS_ACCESS_KEY_ID=" + o.AccessKey, "AWS_SECRET_ACCESS_KEY=" + o.SecretKey, "AWS_REGION=" + o.Region, "AWS_DEFAULT_REGION=" + o.Region,
		"PYENV_ROOT=" + os.Getenv("PYENV_ROOT"),
	}
	t.Run("aws", func(t *testing.T) {
		requires(t, "aws", "--version")
		file := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(file, make([]byte, 9<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		endpoint := []string{"--endpoint-url", "http://cwlota.com"}
		command(t, env, "aws", append(endpoint, "s3", "cp", file, "s3://ckpt/run 1/a+b.pt")...)
		out := command(t, env, "aws", append(endpoint, "s3api", "head-object", "--bucket", "ckpt", "--key", "run 1/a+b.pt", "--range", "bytes=0-0")...)
		if !strings.Contains(out, `"ContentLength": 1`) {
			t.Errorf("head-object: %s", out)
		}
		if out := truth(t, text, "run 1/a+b.pt"); !strings.Contains(out, `"ranged_heads": 1`) {
			t.Errorf("truth: %s", out)
		}
	})
	t.Run("curl", func(t *testing.T) {
		requires(t, "curl", "--version")
		line := strings.ReplaceAll(strings.ReplaceAll(curlLine, "curl -I", "curl -sS -I"), "KEY\n", "none\n")
		if out := command(t, env, "sh", "-c", line); !strings.Contains(out, "404") {
			t.Errorf("%s\n%s\nwant 404: signed well, but no such key", line, out)
		}
		line = strings.ReplaceAll(truthLine, "curl '", "curl --noproxy '*' -sS '")
		if out := command(t, env, "sh", "-c", line); !strings.Contains(out, `"cached": false`) {
			t.Errorf("%s\n%s", line, out)
		}
	})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run ended with %v", err)
	}
	if _, err := os.Stat(config[1]); !os.IsNotExist(err) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
}

// truth asks the admin listener that text names.
func truth(t *testing.T, text, key string) string {
	t.Helper()
	admin := regexp.MustCompile(`admin +(http://\S+)`).FindStringSubmatch(text)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin[1]+"truth?bucket=ckpt&key="+url.QueryEscape(key), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func requires(t *testing.T, name, arg string) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), name, arg).Run(); err != nil {
		t.Skip(name + " not installed")
	}
}

func command(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// Not parallel, as above.
func TestStartFails(t *testing.T) {
	for _, change := range []func(*Options){
		func(o *Options) { o.Nodes = 0 },
		func(o *Options) { o.AdminAddr = "127.0.0.1:none" },
		func(o *Options) { o.Buckets = []string{"X"} },
	} {
		o := freePorts()
		change(&o)
		if s, err := Start(t.Context(), o, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%+v: started", o)
			_ = s.Close()
		}
	}
	o := freePorts()
	o.Data = t.TempDir()
	s, err := Start(t.Context(), o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lotasim.Truth{Bucket: "ckpt", Key: "k"}, s.Sim.Truth("ckpt", "k")); diff != "" {
		t.Error(diff)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
