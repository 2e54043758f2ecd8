package clients_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The ways to a LOTA whose names no resolver knows.
const (
	byProxy = "proxy" // it is named as HTTP proxy, so that nothing is resolved
	byHost  = "host"  // <bucket>.cwlota.com resolves to it, as it does in a cluster
)

var ways = []string{byProxy, byHost}

// site is where one client does its steps, in a bucket of its own.
type site struct {
	emulator *emulator
	way      string
	bucket   string
	dir      string // for its files, and its home
	endpoint string // what the client takes for CoreWeave's
	environ  []string
}

// nssWrapper, of Debian's libnss-wrapper, lets a file answer for the resolver of
// one process. Changing the machine's /etc/hosts would do the same to all.
const nssWrapper = "libnss_wrapper.so"

func newSite(t *testing.T, e *emulator, way, bucket string) *site {
	t.Helper()
	s := &site{emulator: e, way: way, bucket: bucket, dir: t.TempDir(), endpoint: "http://cwlota.com"}
	s.environ = []string{
		"PATH=/usr/bin:/bin", "HOME=" + s.dir, // Debian's programs, and nobody's settings
		"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_DEFAULT_REGION=" + region,
		"AWS_EC2_METADATA_DISABLED=true",
	}
	if way == byProxy {
		s.environ = append(s.environ, "HTTP_PROXY=http://"+e.lota)
		return s
	}
	_, port, err := net.SplitHostPort(e.lota)
	if err != nil {
		t.Fatal(err)
	}
	s.endpoint += ":" + port
	hosts := s.file(t, "hosts", []byte("127.0.0.1 cwlota.com "+bucket+".cwlota.com\n"))
	s.environ = append(s.environ, "LD_PRELOAD="+nssWrapper, "NSS_WRAPPER_HOSTS="+hosts)
	if out, err := s.run(t, "/usr/bin/getent", "hosts", bucket+".cwlota.com"); err != nil || !bytes.Contains(out, []byte("127.0.0.1")) {
		t.Skipf("a name cannot be given an address here: apt-get install libnss-wrapper (%v, %s)", err, out)
	}
	return s
}

// file writes a file beside the client's others.
func (s *site) file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a program as the client's user would, and returns all that it prints.
func (s *site) run(t *testing.T, program string, args ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Dir = s.environ, s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %q: %w\n%s", program, args, err, out)
	}
	return out, err
}

// stored reads an object past the client and past the cache.
func (s *site) stored(t *testing.T, key string) ([]byte, error) {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.emulator.primary)
	}}
	defer tr.CloseIdleConnections()
	c := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://cwobject.com"), Region: region, HTTPClient: &http.Client{Transport: tr},
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}
