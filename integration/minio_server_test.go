package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
)

// minioVariable names MinIO's server program. It is built from a module of its
// own and run as a program of its own, never linked into ours: its licence is
// the AGPL.
const minioVariable = "INTEGRATION_MINIO"

// minioTarget is the name of the notification target.
const minioTarget = "PRESTAGE"

// minio is a MinIO server that publishes its notifications to JetStream.
type minio struct {
	addr   string
	client *s3.Client
}

// startMinIO skips the test where there is no MinIO.
func startMinIO(t *testing.T, n *natstest.Server) *minio {
	t.Helper()
	path := os.Getenv(minioVariable)
	if path == "" {
		t.Skip("MinIO is not installed: go tool task minio builds it and sets " + minioVariable)
	}
	m := &minio{addr: freeAddr(t)}
	var log output
	cmd := exec.Command(path, "server", "--address", m.addr, t.TempDir())
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + t.TempDir(),
		"MINIO_ROOT_USER=" + accessKey,
		"MINIO_ROOT_PASSWORD=" + secretKey,
		"MINIO_SITE_REGION=" + region,
		"MINIO_DOMAIN=cwlota.com,cwobject.com",
		"MINIO_BROWSER=off",
		"MINIO_UPDATE=off",
		"MINIO_NOTIFY_NATS_ENABLE_" + minioTarget + "=on",
		"MINIO_NOTIFY_NATS_ADDRESS_" + minioTarget + "=" + strings.TrimPrefix(n.URL(), "nats://"),
		"MINIO_NOTIFY_NATS_SUBJECT_" + minioTarget + "=" + notificationSubject,
		"MINIO_NOTIFY_NATS_JETSTREAM_" + minioTarget + "=on",
	}
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("MinIO:\n%s", log.tail())
		}
	})
	eventually(t, "MinIO is ready", func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.addr+"/minio/health/ready", nil)
		if err != nil {
			return err
		}
		r.Close = true
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			return errors.Join(err, fmt.Errorf("status %d", resp.StatusCode))
		}
		return nil
	})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	m.client = s3.New(s3.Options{
		Region: region, BaseEndpoint: aws.String("http://" + m.addr), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:  &http.Client{Transport: transport},
	})
	return m
}

// freeAddr is an address that nobody listens on: MinIO does not tell a port that
// it chose.
func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// backends makes the server the store behind a LOTA: requests reach it with
// their signatures as they are, and it verifies them.
func (m *minio) backends(t *testing.T) lotasim.Backends {
	t.Helper()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, m.addr)
		},
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = &url.URL{Scheme: "http", Host: r.In.Host, Path: r.In.URL.Path, RawPath: r.In.URL.RawPath, RawQuery: r.In.URL.RawQuery}
			r.Out.Host = r.In.Host
		},
	}
	return lotasim.Backends{LOTA: proxy, Primary: proxy}
}

// makeBucket makes a bucket that notifies of everything that MinIO notifies of.
func (m *minio) makeBucket(t *testing.T, name string, versioned bool) {
	t.Helper()
	_, err := m.client.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket:                    &name,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: region},
	})
	if err == nil && versioned {
		_, err = m.client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
			Bucket:                  &name,
			VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		})
	}
	if err == nil {
		_, err = m.client.PutBucketNotificationConfiguration(t.Context(), &s3.PutBucketNotificationConfigurationInput{
			Bucket: &name,
			NotificationConfiguration: &types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{{
				QueueArn: aws.String("arn:minio:sqs:" + region + ":" + minioTarget + ":nats"),
				Events:   []types.Event{"s3:ObjectCreated:*", "s3:ObjectAccessed:*", "s3:ObjectRemoved:*"},
			}}},
		})
	}
	if err != nil {
		t.Fatalf("bucket %s: %v", name, err)
	}
}
