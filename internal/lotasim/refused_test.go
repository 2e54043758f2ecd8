package lotasim

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

// Each request is authorised, also one for what is cached: a stranger learns
// nothing and counts for nothing.
func TestHitsAreAuthorised(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.Put("ckpt", "k", large)
	b.warm(t, "k")
	before, counted := b.sim.Truth("ckpt", "k"), b.sim.Counters()
	stranger := client(t, "http://cwlota.com", b.server.LOTAAddr(), "wrong")
	if _, err := head(t, stranger, "ckpt", "k", warmingRange); errorCode(err) != "Forbidden" {
		t.Errorf("HEAD of a cached object: %v, want 403", err)
	}
	_, err := stranger.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("k")})
	if errorCode(err) != "SignatureDoesNotMatch" {
		t.Errorf("GET of a cached object: %v, want SignatureDoesNotMatch", err)
	}
	for _, r := range b.ended(t, 3)[1:] {
		if r.Filled != FillNone || r.Status != http.StatusForbidden {
			t.Errorf("%+v, want 403 and no part of the cache in it", r)
		}
	}
	if diff := cmp.Diff(before, b.sim.Truth("ckpt", "k")); diff != "" {
		t.Errorf("truth before and after (-before +after):\n%s", diff)
	}
	if after := b.sim.Counters(); after.Hits != counted.Hits || after.ProxyRequests != counted.ProxyRequests+2 {
		t.Errorf("counters %+v, before %+v", after, counted)
	}
}

// A condition that fails, or that makes the answer needless, fills nothing and is
// no access.
func TestConditionsFillNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	tag := b.cat.Put("ckpt", "k", large)
	same, other := aws.String(`"`+tag+`"`), aws.String(`"other"`)
	bucket, key, byteRange := aws.String("ckpt"), aws.String("k"), aws.String(warmingRange)
	_, err := b.lota.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key, Range: byteRange, IfMatch: other})
	got := []string{errorCode(err)}
	_, err = b.lota.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key, Range: byteRange, IfNoneMatch: same})
	got = append(got, errorCode(err))
	_, err = b.lota.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, IfMatch: other})
	got = append(got, errorCode(err))
	_, err = b.lota.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, IfNoneMatch: same})
	got = append(got, errorCode(err))
	if diff := cmp.Diff([]string{"PreconditionFailed", "NotModified", "PreconditionFailed", "NotModified"}, got); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	if truth := b.sim.Truth("ckpt", "k"); truth.Fills != 0 || truth.RangedHeads != 0 || !truth.Accessed.IsZero() {
		t.Errorf("truth %+v, want it untouched", truth)
	}
	if _, err := b.lota.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key, Range: byteRange, IfMatch: same}); err != nil {
		t.Error(err)
	}
	if truth := b.sim.Truth("ckpt", "k"); !truth.Cached {
		t.Errorf("truth %+v after a condition that holds, want it cached", truth)
	}
}

// The two domains are what the options say, and nothing else.
func TestDomains(t *testing.T) {
	t.Parallel()
	s := direct(t, large, func(o *Options) { o.Timing, o.LOTADomain, o.PrimaryDomain = Timing{}, "lota.test", "store.test" })
	defer s.Close()
	for _, tt := range []struct {
		h    http.Handler
		host string
		want int
	}{
		{s.LOTA(), "ckpt.lota.test", http.StatusPartialContent},
		{s.LOTA(), "ckpt.store.test", http.StatusMisdirectedRequest},
		{s.LOTA(), "ckpt.cwlota.com", http.StatusMisdirectedRequest},
		{s.LOTA(), "127.0.0.1:9000", http.StatusMisdirectedRequest},
		{s.LOTA(), "lota.test", http.StatusBadRequest},
		{s.Primary(), "ckpt.store.test", http.StatusPartialContent},
		{s.Primary(), "ckpt.lota.test", http.StatusMisdirectedRequest},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/k", nil)
		r.Host = tt.host
		r.Header.Set("Range", warmingRange)
		w := httptest.NewRecorder()
		tt.h.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("Host %s: HTTP %d, want %d", tt.host, w.Code, tt.want)
		}
	}
}
