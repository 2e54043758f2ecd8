package lotasim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testKey    = "AKIATEST"
	testSecret = "secret-of-the-test"
	testRegion = "US-EAST-04A"
	large      = 10_000_000
)

// bundle is a catalogue behind a Sim on its three listeners.
type bundle struct {
	cat     *Catalogue
	sim     *Sim
	server  *Server
	lota    *s3.Client
	primary *s3.Client
}

func setup(t *testing.T, change func(*Options)) *bundle {
	t.Helper()
	b := &bundle{cat: NewCatalogue(CatalogueOptions{
		Region:      testRegion,
		Credentials: []Credential{{AccessKeyID: testKey, SecretAccessKey: testSecret}},
	})}
	b.cat.CreateBucket("ckpt")
	o := Fast()
	o.Seed = 1
	if change != nil {
		change(&o)
	}
	var err error
	if b.sim, err = New(o, b.cat.Backends()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.sim.Close)
	if b.server, err = Listen(t.Context(), b.sim, Addrs{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.server.Close)
	b.lota = client(t, "http://cwlota.com", b.server.LOTAAddr(), testSecret)
	b.primary = client(t, "http://cwobject.com", b.server.PrimaryAddr(), testSecret)
	return b
}

// client is a real SDK client that dials addr whatever the host's name.
func client(t *testing.T, endpoint, addr, secret string, change ...func(*s3.Options)) *s3.Client {
	t.Helper()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint),
		Region:       testRegion,
		Credentials:  credentials.NewStaticCredentialsProvider(testKey, secret, ""),
		HTTPClient:   &http.Client{Transport: transport},
		Retryer:      aws.NopRetryer{},
	}, change...)
}

// head sends a HEAD with the range ("": none).
func head(t *testing.T, c *s3.Client, bucket, key, byteRange string) (*s3.HeadObjectOutput, error) {
	t.Helper()
	in := &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)}
	if byteRange != "" {
		in.Range = aws.String(byteRange)
	}
	return c.HeadObject(t.Context(), in)
}

// warm sends the ranged HEAD, which must succeed.
func (b *bundle) warm(t *testing.T, key string) *s3.HeadObjectOutput {
	t.Helper()
	out, err := head(t, b.lota, "ckpt", key, warmingRange)
	if err != nil {
		t.Fatalf("ranged HEAD of %q: %v", key, err)
	}
	return out
}

// ended waits until n requests have arrived and all of them have ended: a client
// may have its answer a moment before the history has.
func (b *bundle) ended(t *testing.T, n int) []Request {
	t.Helper()
	var all []Request
	waitFor(t, func() bool {
		all = b.sim.History(Filter{})
		return len(all) == n && !slices.ContainsFunc(all, func(r Request) bool { return !r.Done })
	})
	return all
}

// signing lets a raw request pass a catalogue's check of signatures.
func signing(c *Catalogue) http.Handler {
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Amz-Content-Sha256", emptyHash)
		who := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
		if err := signer.SignHTTP(r.Context(), who, r, emptyHash, "s3", testRegion, c.opts.Now()); err != nil {
			panic(err)
		}
		c.ServeHTTP(w, r)
	})
}

// anObject is a backend with one object of every name, without signatures.
func anObject(size int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, length, e := byteRange(w, r, size)
		if e != nil {
			e.write(w, r)
			return
		}
		status := http.StatusOK
		w.Header().Set("ETag", `"one"`)
		if length >= 0 {
			status = http.StatusPartialContent
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first+length-1, size))
		} else {
			length = size
		}
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
		w.WriteHeader(status)
		if r.Method == http.MethodGet {
			_, _ = w.Write(make([]byte, length))
		}
	})
}

// direct is a Sim before anObject, without any listener.
func direct(t *testing.T, size int64, change func(*Options)) *Sim {
	t.Helper()
	o := Defaults()
	o.Seed = 1
	if change != nil {
		change(&o)
	}
	h := anObject(size)
	s, err := New(o, Backends{LOTA: h, Primary: h})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do hands a request to a handler and returns the answer.
func do(t *testing.T, h http.Handler, method, url, byteRange string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, url, nil)
	if byteRange != "" {
		r.Header.Set("Range", byteRange)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// logTo returns a logger that writes to buf.
func logTo(buf *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(buf, nil)) }

// waitFor polls until ok, for what has no channel to wait on.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("waited for 10 s in vain")
		}
	}
}

// get reads an object, or the range of it.
func get(t *testing.T, c *s3.Client, bucket, key, byteRange string) []byte {
	t.Helper()
	in := &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)}
	if byteRange != "" {
		in.Range = aws.String(byteRange)
	}
	out, err := c.GetObject(t.Context(), in)
	if err != nil {
		t.Fatalf("GET of %q: %v", key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatalf("GET of %q: %v", key, err)
	}
	return body
}
