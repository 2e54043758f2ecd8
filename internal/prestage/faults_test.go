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
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// newRaw returns a client whose every connection is handed to talk once it has
// sent a request, and closed afterwards: what no HTTP server would do.
func newRaw(t *testing.T, talk func(c net.Conn)) *S3 {
	t.Helper()
	return newWire(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		talk(c)
	})
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

// asks are all requests that there are. One that hangs is interrupted at last.
func (s *S3) asks(t *testing.T) map[string]func() error {
	t.Helper()
	bounded := func(ask func(context.Context) error) func() error {
		return func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			return ask(ctx)
		}
	}
	ref := object.Ref{Bucket: "ckpt", Key: "k"}
	return map[string]func() error{
		"fill":        bounded(func(ctx context.Context) error { _, err := s.Fill(ctx, ref); return err }),
		"head":        bounded(func(ctx context.Context) error { _, err := s.Head(ctx, ref); return err }),
		"get":         bounded(func(ctx context.Context) error { _, err := s.Get(ctx, ref, 10); return err }),
		"list":        bounded(func(ctx context.Context) error { _, err := s.List(ctx, "ckpt", "p/", ""); return err }),
		"list one":    bounded(func(ctx context.Context) error { _, err := s.Any(ctx, ckpt("p/")); return err }),
		"head bucket": bounded(func(ctx context.Context) error { return s.HeadBucket(ctx, "ckpt") }),
	}
}

// TestBrokenAnswers: whatever is no whole answer can be asked for again.
func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("e", maxHeaderBytes+1)
	for name, talk := range map[string]func(net.Conn){
		"closed before the status line":    says(""),
		"closed in the status line":        says("HTTP/1.1 20"),
		"closed in the headers":            says("HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Le"),
		"a status that is none":            says("HTTP/1.1 2000 OK\r\n\r\n"),
		"a header that is none":            says("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
		"a header beyond the bound":        says("HTTP/1.1 200 OK\r\nX-A: " + long + "\r\nContent-Length: 0\r\n\r\n"),
		"headers beyond the bound":         says("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: "+long[:100]+"\r\n", 800) + "\r\n"),
		"nothing but interim answers":      says(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n", 5000)),
		"two lengths":                      says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
		"an upgrade that nobody asked for": says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
		"silence":                          func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"headers that never end": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(c, "X-%d: 1\r\n", i); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond) // a server that is slow
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for op, ask := range newRaw(t, talk).asks(t) {
				t.Run(op, func(t *testing.T) {
					t.Parallel()
					if err := ask(); !errors.Is(err, outcome.Transient) {
						t.Errorf("%v", err)
					}
				})
			}
		})
	}
}

// TestOldHTTP has a server of 1996, which closes each connection.
func TestOldHTTP(t *testing.T) {
	t.Parallel()
	s := newRaw(t, says("HTTP/1.0 200 OK\r\nETag: \"e\"\r\nContent-Length: 4\r\n\r\nbody"))
	for range 2 {
		got, err := s.Fill(t.Context(), ckpt("k"))
		if err != nil || got.Size != 4 || got.ETag != "e" {
			t.Errorf("%+v, %v", got, err)
		}
		if data, err := s.Get(t.Context(), ckpt("k"), 10); err != nil || string(data) != "body" {
			t.Errorf("%q, %v", data, err)
		}
	}
}

// TestCutListing cuts a page after each of its bytes, without a length that
// would tell: no part of it may pass for a page.
func TestCutListing(t *testing.T) {
	t.Parallel()
	const page = `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>ckpt</Name>` +
		`<KeyCount>2</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>p/a</Key><Size>5</Size></Contents>` +
		`<Contents><Key>p/b</Key></Contents></ListBucketResult>`
	var cut atomic.Int64
	s := newRaw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Type: application/xml\r\n\r\n"+page[:cut.Load()])
	})
	for n := range len(page) {
		cut.Store(int64(n))
		if got, err := s.List(t.Context(), "ckpt", "p/", ""); !errors.Is(err, outcome.Transient) {
			t.Errorf("cut after %q: %+v, %v", page[max(0, n-20):n], got, err)
		}
	}
	cut.Store(int64(len(page)))
	if got, err := s.List(t.Context(), "ckpt", "p/", ""); err != nil || len(got.Objects) != 2 {
		t.Errorf("not cut: %+v, %v", got, err)
	}
}

// TestRedirectsAreNotFollowed: a signature is for the host that we chose.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		for _, location := range []string{other.URL + "/k", "http://models.cwlota.com/k", "http://ckpt.cwlota.com/other", "/other", "//cwlota.com/"} {
			var requests atomic.Int32
			s := newWire(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				w.Header().Set("Location", location)
				w.Header().Set("X-Amz-Bucket-Region", "us-east-1")
				w.WriteHeader(status)
				_, _ = w.Write([]byte("<Error><Code>PermanentRedirect</Code><Endpoint>other.example</Endpoint></Error>"))
			})
			for op, ask := range s.asks(t) {
				requests.Store(0)
				err := ask()
				if !errors.Is(err, outcome.Refused) || outcome.As(err).Status != status {
					t.Errorf("%s, %d to %s: %v", op, status, location, err)
				}
				if n := requests.Load(); n != 1 {
					t.Errorf("%s, %d to %s: %d requests", op, status, location, n)
				}
			}
		}
	}
	if n := elsewhere.Load(); n > 0 {
		t.Errorf("%d requests were sent elsewhere", n)
	}
}

// TestBodyAfterHead has a server send what no answer to a HEAD has. It must not
// be taken for the next answer.
func TestBodyAfterHead(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	s := newRaw(t, func(c net.Conn) {
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nETag: \"e%d\"\r\nContent-Length: 5\r\n\r\n", n.Add(1))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nETag: \"forged\"\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	for i := range 3 {
		got, err := s.Fill(t.Context(), ckpt("k"))
		if want := fmt.Sprintf("e%d", i+1); err != nil || got.ETag != want {
			t.Errorf("request %d: %+v, %v", i, got, err)
		}
	}
}

// newSkewed is a store whose clock is an hour ahead, and which refuses what was
// signed more than five minutes off.
func newSkewed(t *testing.T, requests *atomic.Int32) *S3 {
	t.Helper()
	page := []byte(`<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`)
	return newWire(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		now := time.Now().Add(time.Hour)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || now.Sub(signed).Abs() > 5*time.Minute {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.URL.Query().Has("list-type") {
			_, _ = w.Write(page)
		}
	})
}

// TestClockIsSetRightForAll: the other requests are signed by the same clock.
func TestClockIsSetRightForAll(t *testing.T) {
	t.Parallel()
	for op := range newSkewed(t, new(atomic.Int32)).asks(t) {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			s := newSkewed(t, &requests)
			for _, want := range []int32{2, 1} {
				requests.Store(0)
				if err := s.asks(t)[op](); err != nil || requests.Load() != want {
					t.Errorf("%d requests, want %d: %v", requests.Load(), want, err)
				}
			}
		})
	}
}

// TestClockIsSharedByAll: what one request has learnt of the clock holds for the
// next, whoever sends it.
func TestClockIsSharedByAll(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"fill", "head", "get", "list", "head bucket"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			asks := newSkewed(t, &requests).asks(t)
			if err := asks["fill"](); err != nil {
				t.Fatal(err)
			}
			requests.Store(0)
			if err := asks[op](); err != nil || requests.Load() != 1 {
				t.Errorf("%d requests, want 1: %v", requests.Load(), err)
			}
		})
	}
}

// TestHugeBodies: what is not read is not held.
func TestHugeBodies(t *testing.T) {
	t.Parallel()
	s := newWire(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		if r.Method == http.MethodHead { // the server would drop it, for ever
			return
		}
		chunk := bytes.Repeat([]byte("<Error>"), 1<<13)
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	for op, ask := range s.asks(t) {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			if err := ask(); !errors.Is(err, outcome.Refused) || len(err.Error()) > 1000 {
				t.Errorf("%d bytes: %.1000v", len(err.Error()), err)
			}
		})
	}
}

// silent is a store that takes questions and answers none.
type silent struct{}

func (silent) List(ctx context.Context, bucket, prefix, _ string) (Page, error) {
	<-ctx.Done()
	return Page{}, classify(ctx, "list", object.Ref{Bucket: bucket, Key: prefix}, ctx.Err())
}

func (silent) Any(ctx context.Context, prefix object.Ref) (bool, error) {
	<-ctx.Done()
	return false, classify(ctx, "list", prefix, ctx.Err())
}

func (silent) Get(ctx context.Context, ref object.Ref, _ int64) ([]byte, error) {
	<-ctx.Done()
	return nil, classify(ctx, "get", ref, ctx.Err())
}

func (silent) Head(ctx context.Context, ref object.Ref) (Answer, error) {
	<-ctx.Done()
	return Answer{}, classify(ctx, "head", ref, ctx.Err())
}

// TestSilentStore: what a plan asks for is waited for as long as it may take, and
// then that is the store's failure.
func TestSilentStore(t *testing.T) {
	t.Parallel()
	for name, req := range map[string]Request{
		"a listing":   {Prefix: ckpt("p/")},
		"a manifest":  {Manifest: ckpt("m")},
		"a size":      {Objects: unsized("k"), AskSizes: true},
		"its own one": {Objects: unsized("k")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, &fakeStore{fill: fails(outcome.Transient), head: silent{}.Head})
				r.planner.store = silent{}
				began := time.Now()
				got := r.warm(t, req)
				if len(got.Problems) != 1 || got.Problems[0].Class != outcome.Transient {
					t.Errorf("%+v", got.Problems)
				}
				if took := time.Since(began); took < ReadTimeout || took > 3*ReadTimeout {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}
