package clients_test

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"testing"
)

// client is an S3 client as Debian packages it.
type client struct {
	name    string
	debian  string   // the package
	version []string // prints the version
	// setUp writes its settings; nil: it needs none.
	setUp func(t *testing.T, s *site)
	// command is what a user types for a step with an object and a file.
	command func(t *testing.T, s *site, step, key, file string) []string
}

var clients = []client{
	{name: "AWS CLI", debian: "awscli", version: []string{"/usr/bin/aws", "--version"}, setUp: setUpAWS, command: awsCommand},
	{
		name: "boto3", debian: "python3-boto3",
		version: []string{"/usr/bin/python3", "-c", "import boto3; print(boto3.__version__)"}, command: botoCommand,
	},
	{name: "s3cmd", debian: "s3cmd", version: []string{"/usr/bin/s3cmd", "--version"}, setUp: setUpS3cmd, command: s3cmdCommand},
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

// installed returns the client's version, or skips the test.
func (c client) installed(t *testing.T) string {
	t.Helper()
	s := &site{dir: t.TempDir(), environ: []string{"PATH=/usr/bin:/bin"}}
	out, err := s.run(t, c.version[0], c.version[1:]...)
	if err != nil {
		t.Skipf("%s is missing: apt-get install %s (%v)", c.name, c.debian, err)
	}
	return versionNumber.FindString(string(out))
}

// setUpAWS lets the AWS CLI put the bucket into the host's name. CoreWeave takes
// no parts below 15 MiB, so its own 8 MiB are too small.
func setUpAWS(t *testing.T, s *site) {
	t.Helper()
	s.environ = append(s.environ, "AWS_CONFIG_FILE="+s.file(t, "aws-config", []byte(`[default]
s3 =
    addressing_style = virtual
    multipart_threshold = 16MB
    multipart_chunksize = 16MB
`)))
}

func awsCommand(t *testing.T, s *site, step, key, file string) []string {
	t.Helper()
	object := "s3://" + s.bucket + "/" + key
	head := []string{"s3api", "head-object", "--bucket", s.bucket, "--key", key, "--range", "bytes=0-0"}
	args := map[string][]string{
		upload:    {"s3", "cp", "--only-show-errors", file, object},
		multipart: {"s3", "cp", "--only-show-errors", file, object},
		list:      {"s3", "ls", "--recursive", object},
		download:  {"s3", "cp", "--only-show-errors", object, file},
		resume:    {"s3api", "get-object", "--bucket", s.bucket, "--key", key, "--range", fmt.Sprintf("bytes=%d-", begun), file},
		warm:      head, defaultAddressing: head,
	}[step]
	if step == defaultAddressing {
		s.environ = append(s.environ, "AWS_CONFIG_FILE=/dev/null")
	}
	return append([]string{"/usr/bin/aws", "--endpoint-url", s.endpoint}, args...)
}

func botoCommand(t *testing.T, s *site, step, key, file string) []string {
	t.Helper()
	script, err := filepath.Abs("testdata/boto3_step.py")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"/usr/bin/python3", script, step, s.endpoint, s.bucket, key, file}
}

// setUpS3cmd writes its settings, of which the proxy is one: it doesn't read
// HTTP_PROXY.
func setUpS3cmd(t *testing.T, s *site) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.emulator.lota)
	if err != nil {
		t.Fatal(err)
	}
	base, proxy := "cwlota.com:"+port, ""
	if s.way == byProxy {
		base, proxy = "cwlota.com", fmt.Sprintf("proxy_host = %s\nproxy_port = %s\n", host, port)
	}
	s.file(t, ".s3cfg", fmt.Appendf(nil, `[default]
access_key = %s
secret_key = %s
bucket_location = %s
host_base = %s
host_bucket = %%(bucket)s.%s
use_https = False
multipart_chunk_size_mb = 16
%s`, accessKey, secretKey, region, base, base, proxy))
}

func s3cmdCommand(t *testing.T, s *site, step, key, file string) []string {
	t.Helper()
	object := "s3://" + s.bucket + "/" + key
	return append([]string{"/usr/bin/s3cmd", "--no-progress"}, map[string][]string{
		upload:    {"put", file, object},
		multipart: {"put", file, object},
		list:      {"ls", "--recursive", object},
		download:  {"get", "--force", object, file},
		resume:    {"get", "--continue", object, file},
		warm:      {"info", "--add-header=Range: bytes=0-0", object},
	}[step]...)
}
