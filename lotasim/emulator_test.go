package lotasim_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/lotasim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const large = 10_000_000 // bytes of an object that LOTA caches

func start(t *testing.T, o lotasim.Options, store lotasim.StoreOptions) *lotasim.Emulator {
	t.Helper()
	e, err := lotasim.Start(t.Context(), o, store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func client(t *testing.T, endpoint string, transport *http.Transport, key lotasim.Credential) *s3.Client {
	t.Helper()
	t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint), Region: lotasim.Region, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: transport},
	})
}

var everything = lotasim.Credential{AccessKeyID: lotasim.AccessKeyID, SecretAccessKey: lotasim.SecretAccessKey}

// Each way to the emulator leads to the listener that DNS would lead to, and
// only LOTA's fills.
func TestWays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		endpoint  string
		transport func(e *lotasim.Emulator) *http.Transport
		cached    bool
	}{
		"transport to LOTA":      {"http://cwlota.com", (*lotasim.Emulator).Transport, true},
		"transport to the store": {"http://cwobject.com", (*lotasim.Emulator).Transport, false},
		"proxy": {"http://cwlota.com", func(e *lotasim.Emulator) *http.Transport {
			return &http.Transport{Proxy: http.ProxyURL(e.ProxyURL())}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, lotasim.Fast(), lotasim.StoreOptions{})
			etag := e.Objects.Put("ckpt", "k", large)
			c := client(t, tt.endpoint, tt.transport(e), everything)
			if err := warm(t.Context(), c, "ckpt", "k"); err != nil {
				t.Fatal(err)
			}
			got := e.Truth("ckpt", "k")
			if got.Cached != tt.cached || got.RangedHeads != 1 {
				t.Errorf("truth %+v, want cached %v", got, tt.cached)
			}
			if tt.cached && got.ETag != etag {
				t.Errorf("ETag %s, want %s", got.ETag, etag)
			}
		})
	}
}

func TestNothingLeavesTheMachine(t *testing.T) {
	t.Parallel()
	e := start(t, lotasim.Fast(), lotasim.StoreOptions{})
	for _, endpoint := range []string{"http://example.org", "http://notcwlota.com"} {
		err := warm(t.Context(), client(t, endpoint, e.Transport(), everything), "ckpt", "k")
		if err == nil || !strings.Contains(err.Error(), "the emulator is cwlota.com and cwobject.com only") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	if conn, err := e.DialContext(t.Context(), "tcp", "cwlota.com"); err == nil {
		_ = conn.Close()
		t.Error("dialled without a port")
	}
}

// The store's options and the cache's reach them.
func TestOptions(t *testing.T) {
	t.Parallel()
	o := lotasim.Fast().Hostile()
	o.Faults, o.Seed = nil, 7
	mayList := lotasim.Credential{AccessKeyID: "LISTS", SecretAccessKey: "secret", DenyGet: true}
	e := start(t, o, lotasim.StoreOptions{Credentials: []lotasim.Credential{mayList}, Region: "RNO2A"})
	e.Objects.Put("ckpt", "k", large)
	c := client(t, "http://cwlota.com", e.Transport(), mayList)
	if err := warm(t.Context(), c, "ckpt", "k"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("warm: %v, want 403", err)
	}
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("ckpt")})
	if err != nil || len(out.Contents) != 1 {
		t.Errorf("list: %+v, %v", out, err)
	}
	bucket, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("ckpt")})
	if err != nil || aws.ToString(bucket.BucketRegion) != "RNO2A" {
		t.Errorf("bucket: %+v, %v", bucket, err)
	}
	if e.Seed() != 7 {
		t.Errorf("seed %d", e.Seed())
	}
	var statuses []int
	for _, r := range e.History(lotasim.Filter{Bucket: "ckpt"}) {
		statuses = append(statuses, r.Status)
	}
	if diff := cmp.Diff([]int{403, 200, 200}, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	o := lotasim.Fast()
	o.Nodes = 0
	if e, err := lotasim.Start(t.Context(), o, lotasim.StoreOptions{}); err == nil {
		e.Close()
		t.Error("started without a node")
	}
}
