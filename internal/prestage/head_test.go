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
	var got []http.Header
	s := newWire(t, func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header) })
	rotations := 0
	s.credentials = credentials{aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		rotations++
		return aws.Credentials{AccessKeyID: fmt.Sprint("AKID", rotations), SecretAccessKey: secretKey, SessionToken: fmt.Sprint("token", rotations)}, nil
	})}
	for range 2 {
		if _, err := s.Fill(t.Context(), ckpt("k")); err != nil {
			t.Fatal(err)
		}
	}
	for i, h := range got {
		auth := h.Get("Authorization")
		if want := fmt.Sprintf("Credential=AKID%d/", i+1); !strings.Contains(auth, want) || h.Get("X-Amz-Security-Token") != fmt.Sprint("token", i+1) {
			t.Errorf("request %d: not signed with the credentials of that moment: %v", i, h)
		}
		if want := "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token,"; !strings.Contains(auth, want) {
			t.Errorf("request %d: %s, want %s", i, auth, want)
		}
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
