package prestage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// secretKey must never show up anywhere.
const secretKey = "wJalrXUtnFEMI-secret"

func staticCredentials(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: secretKey}, nil
}

// newWire returns a client of LOTA's host names whose requests all reach h.
func newWire(t *testing.T, h http.HandlerFunc) *S3 {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return newClient(t, "http://cwlota.com", srv.Listener.Addr().String())
}

func newClient(t *testing.T, endpoint, dial string) *S3 {
	t.Helper()
	return newClientOf(t, aws.CredentialsProviderFunc(staticCredentials), endpoint, dial)
}

func newClientOf(t *testing.T, who aws.CredentialsProvider, endpoint, dial string) *S3 {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := NewTransport(8, 2*time.Second, dial)
	t.Cleanup(transport.CloseIdleConnections)
	return NewS3(aws.Config{Region: "US-EAST-04A", Credentials: who}, S3Options{Endpoint: u, Transport: transport})
}

func TestKeysGoOutAsTheyAre(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	s := newWire(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf("%s %s %s range=%q", r.Method, r.Host, r.RequestURI, r.Header.Get("Range")))
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
			t.Errorf("not signed: %v", r.Header)
		}
	})
	for _, tt := range []struct{ key, want string }{
		{"a/../b//c", "/a/../b//c"},
		{"./x", "/./x"},
		{"100%/%2F", "/100%25/%252F"},
		{"a+b c", "/a%2Bb%20c"},
		{"line\nbreak", "/line%0Abreak"},
		{"größe/模型", "/gr%C3%B6%C3%9Fe/%E6%A8%A1%E5%9E%8B"},
		{"?x=1&y#z", "/%3Fx%3D1%26y%23z"},
		{"/leading", "//leading"},
		{"trailing/", "/trailing/"},
	} {
		got = nil
		ref := object.Ref{Bucket: "ckpt", Key: tt.key}
		if _, err := s.Fill(t.Context(), ref); err != nil {
			t.Errorf("%q: %v", tt.key, err)
		}
		if _, err := s.Head(t.Context(), ref); err != nil {
			t.Errorf("%q: %v", tt.key, err)
		}
		if _, err := s.Get(t.Context(), ref, 10); err != nil {
			t.Errorf("%q: %v", tt.key, err)
		}
		uri, query, _ := strings.Cut(strings.Join(got, "\n"), "?x-id=GetObject")
		want := fmt.Sprintf("HEAD ckpt.cwlota.com %s range=\"bytes=0-0\"\nHEAD ckpt.cwlota.com %s range=\"\"\nGET ckpt.cwlota.com %s", tt.want, tt.want, tt.want)
		if diff := cmp.Diff(want, uri); diff != "" || query != ` range=""` {
			t.Errorf("%q (-want +got):\n%s%s", tt.key, diff, query)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	modified := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	good := map[string]string{
		"ETag": `"abc-5"`, "Last-Modified": modified.Format(http.TimeFormat),
		"Content-Range": "bytes 0-0/734003200", "Content-Length": "1", "X-Amz-Version-Id": "v1",
	}
	version := object.Version{ETag: "abc-5", ID: "v1", LastModified: modified}
	for name, tt := range map[string]struct {
		status  int
		headers map[string]string // over good; "" removes
		want    Answer
		class   outcome.Class
	}{
		"206":                       {status: 206, want: Answer{Status: 206, Size: 734003200, Version: version}},
		"206 without Content-Range": {status: 206, headers: map[string]string{"Content-Range": ""}, want: Answer{Status: 206, Size: -1, Version: version}},
		"206 of unknown size":       {status: 206, headers: map[string]string{"Content-Range": "bytes 0-0/*"}, want: Answer{Status: 206, Size: -1, Version: version}},
		"negative size":             {status: 206, headers: map[string]string{"Content-Range": "bytes 0-0/-5"}, want: Answer{Status: 206, Size: -1, Version: version}},
		"absurd size":               {status: 206, headers: map[string]string{"Content-Range": "bytes 0-0/9223372036854775807"}, want: Answer{Status: 206, Size: -1, Version: version}},
		"more than a number":        {status: 206, headers: map[string]string{"Content-Range": "bytes 0-0/99999999999999999999999"}, want: Answer{Status: 206, Size: -1, Version: version}},
		"200":                       {status: 200, headers: map[string]string{"Content-Range": "", "Content-Length": "77"}, want: Answer{Status: 200, Size: 77, Version: version}},
		"200 with a range":          {status: 200, want: Answer{Status: 200, Size: 734003200, Version: version}},
		"no ETag":                   {status: 206, headers: map[string]string{"ETag": ""}, want: Answer{Status: 206, Size: 734003200, Version: object.Version{ID: "v1", LastModified: modified}}},
		"huge ETag":                 {status: 206, headers: map[string]string{"ETag": strings.Repeat("e", 1025)}, want: Answer{Status: 206, Size: 734003200, Version: object.Version{ID: "v1", LastModified: modified}}},
		"garbage date":              {status: 206, headers: map[string]string{"Last-Modified": "yesterday"}, want: Answer{Status: 206, Size: 734003200, Version: object.Version{ETag: "abc-5", ID: "v1"}}},
		"garbage nobody asked for":  {status: 206, headers: map[string]string{"X-Amz-Mp-Parts-Count": "many", "X-Amz-Delete-Marker": "?"}, want: Answer{Status: 206, Size: 734003200, Version: version}},
		"416":                       {status: 416, headers: map[string]string{"Content-Range": "bytes */0"}, want: Answer{Status: 416}},
		"416 of something":          {status: 416, headers: map[string]string{"Content-Range": "bytes */9"}, want: Answer{Status: 416, Size: 9}},
		"416 that tells nothing":    {status: 416, headers: map[string]string{"Content-Range": ""}, want: Answer{Status: 416, Size: -1}},
		"206 of other bytes":        {status: 206, headers: map[string]string{"Content-Range": "bytes 5-9/734003200"}, class: outcome.Transient},
		"206 of more bytes":         {status: 206, headers: map[string]string{"Content-Range": "bytes 0-9/734003200"}, class: outcome.Transient},
		"200 of other bytes":        {status: 200, headers: map[string]string{"Content-Range": "bytes 5-9/734003200"}, class: outcome.Transient},
		"206 of no bytes":           {status: 206, headers: map[string]string{"Content-Range": "lines 0-0/3"}, class: outcome.Transient},
		"204":                       {status: 204, headers: map[string]string{"Content-Length": ""}, class: outcome.Transient},
		"202":                       {status: 202, class: outcome.Transient},
		"304":                       {status: 304, headers: map[string]string{"Content-Length": ""}, class: outcome.Refused},
		"307 elsewhere":             {status: 307, headers: map[string]string{"Location": "http://ckpt.cwlota.com/other"}, class: outcome.Refused},
		"header beyond the bound":   {status: 206, headers: map[string]string{"ETag": strings.Repeat("e", 80<<10)}, class: outcome.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			s := newWire(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				for _, h := range []map[string]string{good, tt.headers} {
					for k, v := range h {
						if w.Header().Del(k); v != "" {
							w.Header().Set(k, v)
						}
					}
				}
				w.WriteHeader(tt.status)
			})
			got, err := s.Fill(t.Context(), object.Ref{Bucket: "ckpt", Key: "k"})
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests were sent", n)
			}
			if tt.class != 0 {
				if !errors.Is(err, tt.class) {
					t.Errorf("error %v is not %v", err, tt.class)
				}
				return
			}
			got.Latency = 0
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("(-want +got):\n%s%v", diff, err)
			}
		})
	}
}

// TestRangeNobodyAskedFor: a store may answer a plain HEAD as if it were ranged,
// but not about the middle of an object.
func TestRangeNobodyAskedFor(t *testing.T) {
	t.Parallel()
	var told string
	s := newWire(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", told)
		w.WriteHeader(http.StatusPartialContent)
	})
	for _, told = range []string{"bytes 0-0/77", "bytes 0-76/77"} {
		if got, err := s.Head(t.Context(), ckpt("k")); err != nil || got.Size != 77 {
			t.Errorf("%s: %+v, %v", told, got, err)
		}
	}
	told = "bytes 5-9/77"
	if got, err := s.Head(t.Context(), ckpt("k")); !errors.Is(err, outcome.Transient) {
		t.Errorf("%s: %+v, %v", told, got, err)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	s := newClient(t, "http://cwlota.com", srv.Listener.Addr().String())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := s.Fill(t.Context(), object.Ref{Bucket: "ckpt", Key: "k"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := opened.Load(); n > 16 {
		t.Errorf("400 requests, 8 at once, opened %d connections", n)
	}
}

func TestNothingGoesElsewhere(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(srv.Close)
	addr := srv.Listener.Addr().String()
	for name, s := range map[string]*S3{
		"an endpoint that is an IP address": newClient(t, "http://"+addr, ""),
		"another IP address":                newClient(t, "http://10.1.2.3", addr),
	} {
		_, err := s.Fill(t.Context(), object.Ref{Bucket: "ckpt", Key: "k"})
		if !errors.Is(err, outcome.Refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bucket := range []string{"a.b.c", "UPPER", "under_score", "x", "cw-logs", "evil.com/", "evil.com#", "evil@host"} {
		_, err := newClient(t, "http://cwlota.com", addr).Fill(t.Context(), object.Ref{Bucket: bucket, Key: "k"})
		if err == nil {
			t.Errorf("bucket %q was sent for", bucket)
		}
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}

	next := roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("sent") })
	guard := &sentry{endpoint: &url.URL{Scheme: "http", Host: "cwlota.com"}, next: next}
	for raw, want := range map[string]bool{
		"http://ckpt.cwlota.com/k":           true,
		"https://ckpt.cwlota.com/k":          false,
		"http://cwlota.com/ckpt/k":           false,
		"http://ckpt.cwlota.com:81/k":        false,
		"http://ckpt.cwlota.com.evil.org/k":  false,
		"http://evilcwlota.com/k":            false,
		"http://a.b.cwlota.com/k":            false,
		"http://ckpt.cwobject.com/k":         false,
		"http://x--x-s3.cwlota.com/k":        true,
		"http://169.254.169.254/latest/meta": false,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := guard.RoundTrip(r)
		if resp != nil {
			resp.Body.Close()
		}
		if passed := !errors.Is(err, outcome.Refused); passed != want {
			t.Errorf("%s: passed is %v", raw, passed)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestNoProxyIsUsed: a proxy would be sent what only LOTA may see.
func TestNoProxyIsUsed(t *testing.T) {
	t.Parallel()
	if NewTransport(1, time.Second, "").Proxy != nil {
		t.Error("the transport has a proxy")
	}
}

func TestExpressBucketNamesOpenNoSession(t *testing.T) {
	t.Parallel()
	var uri atomic.Value
	s := newWire(t, func(_ http.ResponseWriter, r *http.Request) { uri.Store(r.Host + r.RequestURI) })
	if _, err := s.Fill(t.Context(), object.Ref{Bucket: "x--usw2-az1--x-s3", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if got := uri.Load(); got != "x--usw2-az1--x-s3.cwlota.com/k" {
		t.Errorf("sent to %v", got)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	const head = `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	for name, tt := range map[string]struct {
		body  string
		want  Page
		class outcome.Class
	}{
		"escaped": {
			body: head + `<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>t2</NextContinuationToken>
<Contents><Key>p/a+b%2Bc%0D</Key><Size>5</Size><ETag>"e"</ETag><LastModified>2026-11-20T10:00:00.123Z</LastModified></Contents></ListBucketResult>`,
			want: Page{Next: "t2", Objects: []object.Attrs{{
				Ref: object.Ref{Bucket: "ckpt", Key: "p/a b+c\r"}, Size: 5,
				Version: object.Version{ETag: "e", LastModified: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)},
			}}},
		},
		"plain": {
			body: head + `<Contents><Key>p/a+b%2B</Key></Contents></ListBucketResult>`,
			want: Page{Objects: []object.Attrs{{Ref: object.Ref{Bucket: "ckpt", Key: "p/a+b%2B"}, Size: -1}}},
		},
		"negative size": {
			body: head + `<Contents><Key>p/a</Key><Size>-1</Size></Contents></ListBucketResult>`,
			want: Page{Objects: []object.Attrs{{Ref: object.Ref{Bucket: "ckpt", Key: "p/a"}, Size: -1}}},
		},
		"cut without a token": {body: head + `<IsTruncated>true</IsTruncated></ListBucketResult>`, class: outcome.Transient},
		"no XML":              {body: `{"oops":1}`, class: outcome.Transient},
		"no key":              {body: head + `<Contents><Size>1</Size></Contents></ListBucketResult>`, class: outcome.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWire(t, func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				if q.Get("prefix") != "p/" || q.Get("continuation-token") != "t1" || r.URL.Path != "/" {
					t.Errorf("asked for %s", r.RequestURI)
				}
				_, _ = w.Write([]byte(tt.body))
			})
			got, err := s.List(t.Context(), "ckpt", "p/", "t1")
			if tt.class != 0 {
				if !errors.Is(err, tt.class) {
					t.Errorf("error %v is not %v", err, tt.class)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("(-want +got):\n%s%v", diff, err)
			}
		})
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	s := &sentry{endpoint: &url.URL{Scheme: "http", Host: "cwlota.com"}, next: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{Body: io.NopCloser(endless{})}, nil
	})}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://ckpt.cwlota.com/k", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != maxBodyBytes || !errors.Is(err, errLongBody) {
		t.Errorf("read %d bytes: %v", n, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestGet(t *testing.T) {
	t.Parallel()
	s := newWire(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/exact":
			_, _ = w.Write([]byte("0123456789"))
		case "/long":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 11))
		case "/cut":
			w.Header().Set("Content-Length", "5")
			_, _ = w.Write([]byte("abc"))
		}
	})
	ref := func(key string) object.Ref { return object.Ref{Bucket: "ckpt", Key: key} }
	if got, err := s.Get(t.Context(), ref("exact"), 10); string(got) != "0123456789" || err != nil {
		t.Errorf("exact: %q, %v", got, err)
	}
	if _, err := s.Get(t.Context(), ref("long"), 10); !errors.Is(err, outcome.Permanent) {
		t.Errorf("long: %v", err)
	}
	if _, err := s.Get(t.Context(), ref("cut"), 10); !errors.Is(err, outcome.Transient) {
		t.Errorf("cut: %v", err)
	}
}
