package store_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/lotasim/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's pool of a server that has ended wakes up every 10 s, and ends then.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// fasthttp keeps one clock for the process, for ever.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

func options(dir string) store.Options {
	return store.Options{
		Dir: dir, AccessKey: "AKIATEST", SecretKey: "secret-of-the-test", Region: "US-EAST-04A",
		LOTADomain: "cwlota.com", PrimaryDomain: "cwobject.com",
	}
}

func client(t *testing.T, domain, addr, secret string) *s3.Client {
	t.Helper()
	return clientAs(t, domain, addr, "AKIATEST", secret)
}

func clientAs(t *testing.T, domain, addr, accessKey, secret string) *s3.Client {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + domain), Region: "US-EAST-04A",
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secret, ""),
		HTTPClient:  &http.Client{Transport: tr},
	})
}

// TestStore is one story and not parallel: a process can have one Store at a time.
func TestStore(t *testing.T) {
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	st, err := store.New(t.Context(), options(dir))
	if err != nil {
		t.Fatal(err)
	}
	if second, err := store.New(t.Context(), options(t.TempDir())); err == nil {
		t.Error("two stores at a time")
		_ = second.Close()
	}
	if err := st.CreateBucket(t.Context(), "ckpt"); err != nil {
		t.Fatal(err)
	}
	if err := st.CreateBucket(t.Context(), "ckpt"); err != nil {
		t.Errorf("a second time: %v", err)
	}
	o := lotasim.Fast()
	o.NodeBytes = 1 << 30
	sim, err := lotasim.New(o, st.Backends())
	if err != nil {
		t.Fatal(err)
	}
	server, err := lotasim.Listen(t.Context(), sim, lotasim.Addrs{})
	if err != nil {
		t.Fatal(err)
	}
	lota := client(t, "cwlota.com", server.LOTAAddr(), "secret-of-the-test")
	primary := client(t, "cwobject.com", server.PrimaryAddr(), "secret-of-the-test")

	data := bytes.Repeat([]byte("0123456789abcdef"), 500_000) // 8 MB
	sum := md5.Sum(data)
	tag := hex.EncodeToString(sum[:])
	if _, err := primary.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("ckpt"), Key: aws.String("run/a+b c.bin"), Body: bytes.NewReader(data),
	}); err != nil {
		t.Fatal(err)
	}

	t.Run("ranged HEAD", func(t *testing.T) {
		out, err := lota.HeadObject(t.Context(), &s3.HeadObjectInput{
			Bucket: aws.String("ckpt"), Key: aws.String("run/a+b c.bin"), Range: aws.String("bytes=0-0"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if *out.ETag != `"`+tag+`"` || *out.ContentRange != "bytes 0-0/8000000" || *out.ContentLength != 1 {
			t.Errorf("ETag %s, Content-Range %q, Content-Length %d", *out.ETag, *out.ContentRange, *out.ContentLength)
		}
		if tr := sim.Truth("ckpt", "run/a+b c.bin"); !tr.Cached || tr.ETag != tag || tr.Bytes != int64(len(data)) {
			t.Errorf("truth = %+v", tr)
		}
	})
	t.Run("plain HEAD through the primary", func(t *testing.T) {
		out, err := primary.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("run/a+b c.bin")})
		if err != nil || *out.ContentLength != int64(len(data)) {
			t.Errorf("%+v, %v", out, err)
		}
	})
	t.Run("overwrite makes cold", func(t *testing.T) {
		if _, err := lota.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("ckpt"), Key: aws.String("run/a+b c.bin"), Body: bytes.NewReader(data),
		}); err != nil {
			t.Fatal(err)
		}
		if tr := sim.Truth("ckpt", "run/a+b c.bin"); tr.Cached {
			t.Errorf("truth = %+v, want it cold, although the bytes are the same", tr)
		}
	})
	t.Run("multipart and copy", func(t *testing.T) { multipart(t, lota, sim) })
	t.Run("GET", func(t *testing.T) {
		out, err := lota.GetObject(t.Context(), &s3.GetObjectInput{
			Bucket: aws.String("ckpt"), Key: aws.String("run/a+b c.bin"), Range: aws.String("bytes=16-31"),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer out.Body.Close()
		if body, err := io.ReadAll(out.Body); string(body) != "0123456789abcdef" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	})
	t.Run("empty object", func(t *testing.T) {
		if _, err := lota.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("empty")}); err != nil {
			t.Fatal(err)
		}
		_, err := lota.HeadObject(t.Context(), &s3.HeadObjectInput{
			Bucket: aws.String("ckpt"), Key: aws.String("empty"), Range: aws.String("bytes=0-0"),
		})
		if code(err) != "RequestedRangeNotSatisfiable" {
			t.Errorf("error = %v, want 416", err)
		}
	})
	t.Run("STANDARD_IA is not kept", func(t *testing.T) {
		if _, err := lota.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("ckpt"), Key: aws.String("archived"), StorageClass: types.StorageClassStandardIa,
		}); err != nil {
			t.Fatal(err)
		}
		out, err := lota.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("archived")})
		if err != nil || out.StorageClass == types.StorageClassStandardIa {
			t.Errorf("class %q, %v", out.StorageClass, err)
		}
	})
	t.Run("list", func(t *testing.T) { list(t, lota) })
	t.Run("errors", func(t *testing.T) {
		stranger := client(t, "cwlota.com", server.LOTAAddr(), "wrong")
		_, err := stranger.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("ckpt")})
		if code(err) != "SignatureDoesNotMatch" {
			t.Errorf("wrong secret: %v", err)
		}
		for _, region := range []string{"RNO2A", "auto"} {
			in := &s3.ListObjectsV2Input{Bucket: aws.String("ckpt")}
			_, err = lota.ListObjectsV2(t.Context(), in, func(o *s3.Options) { o.Region = region })
			if code(err) != "AuthorizationHeaderMalformed" || !strings.Contains(err.Error(), "StatusCode: 400") {
				t.Errorf("signed for %s: %v", region, err)
			}
		}
		_, err = lota.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("none")})
		if code(err) != "NoSuchKey" {
			t.Errorf("missing key: %v", err)
		}
		_, err = primary.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("nobody")})
		if code(err) != "NotFound" {
			t.Errorf("missing bucket: %v", err)
		}
		own, err := primary.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("ckpt")})
		if err != nil || aws.ToString(own.BucketRegion) != "US-EAST-04A" {
			t.Errorf("own bucket: %+v, %v", own, err)
		}
	})
	t.Run("no header twice", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.LOTAAddr()+"/k", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "ckpt.cwlota.com"
		tr := &http.Transport{}
		defer tr.CloseIdleConnections()
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for name, values := range resp.Header {
			if len(values) > 1 {
				t.Errorf("%s: %q", name, values)
			}
		}
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("unsigned: HTTP %d, want 403", resp.StatusCode)
		}
	})

	server.Close()
	sim.Close()
	if err := st.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if after, err := os.Getwd(); err != nil || after != before {
		t.Errorf("the working directory is %s, was %s", after, before)
	}
	again, err := store.New(t.Context(), options(dir))
	if err != nil {
		t.Fatalf("open again: %v", err)
	}
	if !again.HasBucket("ckpt") || again.HasBucket("nobody") || again.HasBucket("..") {
		t.Error("the buckets are not those of before")
	}
	if err := again.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

func multipart(t *testing.T, c *s3.Client, sim *lotasim.Sim) {
	t.Helper()
	bucket, key := aws.String("ckpt"), aws.String("run/parts.pt")
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var done types.CompletedMultipartUpload
	for n := int32(1); n <= 2; n++ {
		out, err := c.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: bucket, Key: key, UploadId: up.UploadId, PartNumber: aws.Int32(n),
			Body: bytes.NewReader(make([]byte, 5<<20)),
		})
		if err != nil {
			t.Fatal(err)
		}
		done.Parts = append(done.Parts, types.CompletedPart{ETag: out.ETag, PartNumber: aws.Int32(n)})
	}
	if _, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: up.UploadId, MultipartUpload: &done,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: bucket, Key: aws.String("run/copy.pt"), CopySource: aws.String("ckpt/run/parts.pt"),
	}); err != nil {
		t.Fatal(err)
	}
	out, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("run/copy.pt"), Range: aws.String("bytes=0-0")})
	if err != nil || *out.ContentRange != fmt.Sprintf("bytes 0-0/%d", 10<<20) {
		t.Errorf("HEAD of the copy: %+v, %v", out, err)
	}
	if !sim.Truth("ckpt", "run/copy.pt").Cached || sim.Truth("ckpt", "run/parts.pt").Cached {
		t.Error("want the copy cached, which was asked for, and not its source")
	}
}

func list(t *testing.T, c *s3.Client) {
	t.Helper()
	var keys []string
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String("ckpt"), Prefix: aws.String("run/"), MaxKeys: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	if diff := cmp.Diff([]string{"run/a+b c.bin", "run/copy.pt", "run/parts.pt"}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// Not parallel, as above.
func TestNewRefuses(t *testing.T) {
	o := options(t.TempDir())
	o.Region = ""
	if _, err := store.New(t.Context(), o); err == nil {
		t.Error("a store without a region")
	}
	o = options(t.TempDir())
	o.ListOnlyKey = o.AccessKey
	if _, err := store.New(t.Context(), o); err == nil {
		t.Error("one key for two")
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	for range 2 { // a failure leaves nothing in use
		if st, err := store.New(t.Context(), options(file.Name())); err == nil {
			_ = st.Close()
			t.Fatal("a store in a file")
		} else if want := "store in "; len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("error = %v", err)
		}
	}
}
