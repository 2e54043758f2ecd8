package prestage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// newStrictWire is newWire to an emulator whose store verifies signatures.
func newStrictWire(t *testing.T) (*S3, *lotasim.Sim, *lotasim.Catalogue) {
	t.Helper()
	store := lotasim.NewCatalogue(lotasim.CatalogueOptions{
		Region: "US-EAST-04A", StrictRegion: true,
		Credentials: []lotasim.Credential{{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: secretKey}},
	})
	sim, err := lotasim.New(lotasim.Fast(), store.Backends())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return newWire(t, sim.LOTA().ServeHTTP), sim, store
}

// TestHeadsAreSignedAsTheyAreSent has the signatures verified by a store.
func TestHeadsAreSignedAsTheyAreSent(t *testing.T) {
	t.Parallel()
	s, sim, store := newStrictWire(t)
	for _, key := range []string{
		"plain", "a/../b//c", "./x", "100%/%2F", "a+b c", "a%2Bb", "line\nbreak\ttab", "größe/模型/🙂", "?x=1&y#z", "/leading", "trailing/",
		"~!$'()*,;:@=[]{}|^`\"<>\\", " a / b ", "two  spaces", "X-Amz-Date: no", strings.Repeat("x", object.MaxKeyBytes),
	} {
		etag := store.Put("ckpt", key, 5_000_000)
		ref := object.Ref{Bucket: "ckpt", Key: key}
		for name, ask := range map[string]func(context.Context, object.Ref) (Answer, error){"fill": s.Fill, "head": s.Head} {
			if got, err := ask(t.Context(), ref); err != nil || got.ETag != etag || got.Size != 5_000_000 {
				t.Errorf("%s %q: %+v, %v", name, key, got, err)
			}
		}
		if !sim.Truth("ckpt", key).Cached {
			t.Errorf("%q is not cached", key)
		}
	}
}

func TestHeadsSignWhatMatters(t *testing.T) {
	t.Parallel()
	var got http.Header
	s := newWire(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	s.credentials = credentials{aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: secretKey, SessionToken: "session"}, nil
	})}
	if _, err := s.Fill(t.Context(), ckpt("k")); err != nil {
		t.Fatal(err)
	}
	const want = "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token,"
	if auth := got.Get("Authorization"); !strings.Contains(auth, want) || got.Get("X-Amz-Security-Token") != "session" {
		t.Errorf("%v, want %s", got, want)
	}
}

// TestCredentialsRotate: each request is signed with the credentials of that
// moment, those of the SDK's client too. While there are none it waits as it does
// for a bucket that refuses.
func TestCredentialsRotate(t *testing.T) {
	t.Parallel()
	for op := range newWire(t, func(http.ResponseWriter, *http.Request) {}).asks(t) {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			var got http.Header
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r.Header
				if strings.HasPrefix(op, "list") {
					_, _ = w.Write([]byte("<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>"))
				}
			}))
			t.Cleanup(srv.Close)
			var key string
			var failure error
			s := newClientOf(t, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: key, SecretAccessKey: secretKey, SessionToken: "of " + key}, failure
			}), "http://cwlota.com", srv.Listener.Addr().String())
			ask := s.asks(t)[op]
			for _, key = range []string{"AKIDONE", "AKIDTWO"} {
				err := ask()
				if want := "Credential=" + key + "/"; err != nil || !strings.Contains(got.Get("Authorization"), want) || got.Get("X-Amz-Security-Token") != "of "+key {
					t.Errorf("not signed with the credentials of that moment, %s: %v, %v", key, got, err)
				}
			}
			failure, got = errors.New("expired, and "+secretKey), nil
			if err := ask(); !errors.Is(err, outcome.Refused) || outcome.As(err).Reason != outcome.Forbidden || got != nil || strings.Contains(err.Error(), secretKey) {
				t.Errorf("without credentials: %v, asked with %v", err, got)
			}
		})
	}
}

func TestHeadOfNoKeyIsNotSent(t *testing.T) {
	t.Parallel()
	s := newWire(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent %s %s", r.Method, r.RequestURI) })
	for _, key := range []string{"", "nul\x00", "not\xffutf-8", strings.Repeat("x", object.MaxKeyBytes+1)} {
		if _, err := s.Fill(t.Context(), ckpt(key)); !errors.Is(err, outcome.Permanent) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// TestClockIsSetRight has a server whose clock may differ from ours, and which
// refuses what was signed more than five minutes off.
func TestClockIsSetRight(t *testing.T) {
	t.Parallel()
	type ask struct {
		ahead  time.Duration // the server's clock
		tells  time.Duration // what its Date says, which is normally the same
		noDate bool
	}
	same := func(d time.Duration) ask { return ask{ahead: d, tells: d} }
	for name, tt := range map[string]struct {
		asks []ask
		want []string // how each ended, and after how many requests
	}{
		"right":             {[]ask{same(0)}, []string{"206 1"}},
		"a little off":      {[]ask{same(3 * time.Minute)}, []string{"206 1"}},
		"ahead":             {[]ask{same(time.Hour), same(time.Hour)}, []string{"206 2", "206 1"}},
		"behind":            {[]ask{same(-time.Hour), same(-time.Hour)}, []string{"206 2", "206 1"}},
		"ahead, then right": {[]ask{same(time.Hour), same(0), same(0)}, []string{"206 2", "206 2", "206 1"}},
		"tells no time":     {[]ask{{ahead: time.Hour, noDate: true}}, []string{"403 1"}},
		"tells another":     {[]ask{{ahead: time.Hour, tells: 2 * time.Hour}}, []string{"403 2"}},
		"refuses all":       {[]ask{{ahead: time.Hour}}, []string{"403 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var now ask
			requests := 0
			s := newWire(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				requests++
				w.Header().Set("Date", time.Now().Add(now.tells).UTC().Format(http.TimeFormat))
				if now.noDate {
					w.Header()["Date"] = nil
				}
				signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
				if err != nil || time.Until(signed)-now.ahead > 5*time.Minute || now.ahead-time.Until(signed) > 5*time.Minute {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				w.WriteHeader(http.StatusPartialContent)
			})
			var got []string
			for _, a := range tt.asks {
				mu.Lock()
				now, requests = a, 0
				mu.Unlock()
				answer, err := s.Fill(t.Context(), ckpt("k"))
				status := answer.Status
				if err != nil {
					status = outcome.As(err).Status
				}
				got = append(got, fmt.Sprint(status, " ", requests))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// BenchmarkFill is one ranged HEAD without a network.
func BenchmarkFill(b *testing.B) {
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Range", "bytes 0-0/734003200")
	rec.Header().Set("ETag", `"abc-5"`)
	rec.WriteHeader(http.StatusPartialContent)
	cfg := aws.Config{Region: "US-EAST-04A", Credentials: aws.CredentialsProviderFunc(staticCredentials)}
	s := NewS3(cfg, S3Options{Endpoint: &url.URL{Scheme: "http", Host: "cwlota.com"}, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return rec.Result(), nil
	})})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Fill(b.Context(), ckpt("run-7/step-100/__0_0.distcp")); err != nil {
			b.Fatal(err)
		}
	}
}
