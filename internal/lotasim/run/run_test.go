package run

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
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

// flagless are the emulator's options that no flag sets: its names and limits,
// and what concerns only backends with archived objects.
var flagless = []string{"LOTADomain", "PrimaryDomain", "HistoryLimit", "Logger", "Faults", "SkipArchive"}

// Every option of the emulator is a flag, and every flag reaches it.
func TestFlagsReachTheEmulator(t *testing.T) {
	t.Parallel()
	var o Options
	v := reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(v.Type().Field(i).Name != "Hostile")
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(i + 1))
		case reflect.Uint64:
			f.SetUint(uint64(i + 1))
		case reflect.Float64:
			f.SetFloat(0.25)
		case reflect.String:
			f.SetString("set")
		}
	}
	check := func(v reflect.Value) {
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if v.Field(i).IsZero() && !slices.Contains(flagless, name) {
				t.Errorf("no flag sets %s", name)
			}
		}
	}
	got := o.sim(nil)
	check(reflect.ValueOf(got))
	check(reflect.ValueOf(got.Timing))
	before := reflect.ValueOf(Defaults().sim(nil))
	for i := range before.NumField() {
		name := before.Type().Field(i).Name
		same := reflect.DeepEqual(before.Field(i).Interface(), reflect.ValueOf(got).Field(i).Interface())
		if same != slices.Contains(flagless, name) {
			t.Errorf("%s: same as the default: %v", name, same)
		}
	}
	o.Hostile = true
	if got := o.sim(nil); len(got.Faults) == 0 || got.RangedStatus != http.StatusOK {
		t.Errorf("hostile: %d rules, status %d", len(got.Faults), got.RangedStatus)
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	if err := Defaults().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for want, change := range map[string]func(*Options){
		"status 204 for a ranged HEAD":   func(o *Options) { o.RangedStatus = 204 },
		"--list-only-key lotasim":        func(o *Options) { o.ListOnly = o.AccessKey },
		`bucket name "UPPER"`:            func(o *Options) { o.Buckets = []string{"UPPER"} },
		`bucket name "low_er"`:           func(o *Options) { o.Versioned = []string{"low_er"} },
		"bucket name of 2 characters":    func(o *Options) { o.Foreign = []string{"ab"} },
		"--foreign-bucket ckpt: must":    func(o *Options) { o.Foreign = []string{"ckpt"} },
		"--foreign-bucket twofold: must": func(o *Options) { o.Foreign, o.Versioned = []string{"twofold"}, []string{"twofold"} },
	} {
		o := Defaults()
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Not parallel, as below.
func TestSecondCluster(t *testing.T) {
	o := freePorts()
	o.SecondLOTA, o.SecondAdmin = "127.0.0.1:0", "127.0.0.1:0"
	o.Seed = 7
	var log bytes.Buffer
	s, err := Start(t.Context(), o, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	// The ports were chosen: the log must say whose they are.
	for _, want := range []string{"cluster=second name=lota addr=" + s.SecondServer.LOTAAddr(), "cluster=second name=admin addr=" + s.SecondServer.AdminAddr()} {
		if !strings.Contains(log.String(), "msg=listening "+want) {
			t.Errorf("no %q in:\n%s", want, &log)
		}
	}
	var text strings.Builder
	if err := s.explain(o, &text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{s.SecondServer.LOTAAddr(), s.SecondServer.AdminAddr(), "A second cluster"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, &text)
		}
	}
	if s.Second == s.Sim || s.Second.Seed() == s.Sim.Seed() || s.SecondServer.PrimaryAddr() != lotasim.NoListener {
		t.Errorf("seeds %d and %d, primary %s", s.Sim.Seed(), s.Second.Seed(), s.SecondServer.PrimaryAddr())
	}
	clients := []*s3.Client{client(t, o, s.Server.LOTAAddr()), client(t, o, s.SecondServer.LOTAAddr())}
	body := bytes.NewReader(make([]byte, 5<<20))
	if _, err := clients[0].PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("k"), Body: body}); err != nil {
		t.Fatal(err)
	}
	for i, sim := range []*lotasim.Sim{s.Sim, s.Second} {
		other := []*lotasim.Sim{s.Second, s.Sim}[i]
		before := other.Truth("ckpt", "k").RangedHeads
		in := &s3.HeadObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("k"), Range: aws.String("bytes=0-0")}
		if _, err := clients[i].HeadObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if sim.Truth("ckpt", "k").Fills != 1 || other.Truth("ckpt", "k").RangedHeads != before {
			t.Errorf("cluster %d: %+v; the other: %+v", i+1, sim.Truth("ckpt", "k"), other.Truth("ckpt", "k"))
		}
	}
}

func client(t *testing.T, o Options, addr string) *s3.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://cwlota.com"), Region: o.Region,
		Credentials: credentials.NewStaticCredentialsProvider(o.AccessKey, o.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: transport},
	})
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

// Not parallel, as above. The flags about buckets and keys reach the store, also
// one that has them already.
func TestBucketsAndKeys(t *testing.T) {
	o := freePorts()
	o.Data = t.TempDir()
	o.Versioned, o.Foreign, o.ListOnly = []string{"kept"}, []string{"theirs"}, "lister"
	before, err := Start(t.Context(), o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	owner := client(t, o, s.Server.LOTAAddr())
	out, err := owner.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("kept"), Key: aws.String("k"), Body: strings.NewReader("x")})
	if err != nil || aws.ToString(out.VersionId) == "" {
		t.Errorf("put: %+v, %v; want a version id", out, err)
	}
	if _, err := owner.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("theirs")}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("another customer's bucket: %v, want 403", err)
	}
	o.AccessKey = o.ListOnly
	lister := client(t, o, s.Server.LOTAAddr())
	for _, bucket := range []string{"ckpt", "kept"} {
		if _, err := lister.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket}); err != nil {
			t.Errorf("list %s: %v", bucket, err)
		}
	}
	if _, err := lister.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("kept"), Key: aws.String("k")}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("HEAD with the key that may list: %v, want 403", err)
	}
}

// Not parallel, as above.
func TestStartFails(t *testing.T) {
	for _, change := range []func(*Options){
		func(o *Options) { o.Nodes = 0 },
		func(o *Options) { o.AdminAddr = "127.0.0.1:none" },
		func(o *Options) { o.SecondLOTA = "127.0.0.1:none" },
		func(o *Options) { o.Buckets = []string{"X"} },
		func(o *Options) { o.Foreign = []string{"X"} },
		func(o *Options) { o.ListOnly = o.AccessKey },
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
