package lotasim

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signed is a request that the AWS SDK's own signer has signed.
func signed(t *testing.T, method, target string, at time.Time, prepare func(*http.Request)) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	r.Header.Set("X-Amz-Content-Sha256", emptyHash)
	if prepare != nil {
		prepare(r)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	who := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
	if err := signer.SignHTTP(context.Background(), who, r, r.Header.Get("X-Amz-Content-Sha256"), "s3", testRegion, at); err != nil {
		t.Fatal(err)
	}
	return r
}

// code is what the verifier says to r; "" means that it is right.
func verdict(r *http.Request, now time.Time) string {
	sig, e := parseSignature(r.Header.Get("Authorization"))
	if e == nil {
		e = sig.verify(r, testSecret, now)
	}
	if e == nil {
		return ""
	}
	return e.Code
}

func TestVerifiesWhatTheSDKSigns(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 23, 59, 59, 0, time.UTC)
	for _, target := range []string{
		"http://ckpt.cwlota.com/",
		"http://ckpt.cwlota.com/plain",
		"http://ckpt.cwlota.com/a%2Bb%20c%25/%C3%A4~_.-",
		"http://ckpt.cwlota.com//double//../slash/./",
		"http://ckpt.cwlota.com/new%0Aline%0A",
		"http://ckpt.cwlota.com/%21%27%28%29%2A%26%3D%3F%23",
		"http://ckpt.cwlota.com:8080/port",
		"http://ckpt.cwlota.com/?list-type=2&prefix=a%20b%2Fc&max-keys=5&empty=",
		"http://ckpt.cwlota.com/?z=1&a=2&a=1&A=3",
	} {
		for _, byteRange := range []string{"", warmingRange} {
			r := signed(t, http.MethodHead, target, now, func(r *http.Request) {
				if byteRange != "" {
					r.Header.Set("Range", byteRange)
				}
				r.Header.Set("X-Amz-Meta-Spaces", "  a   b ")
			})
			if got := verdict(r, now); got != "" {
				t.Errorf("%s, range %q: %s", target, byteRange, got)
			}
		}
	}
	r := signed(t, http.MethodGet, "http://ckpt.cwlota.com/k", now, func(r *http.Request) {
		r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	})
	if got := verdict(r, now); got != "" {
		t.Errorf("unsigned payload: %s", got)
	}
}

func TestRefusesWhatWasChanged(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	replace := func(old, renewed string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, renewed, 1))
		}
	}
	tests := []struct {
		name   string
		change func(*http.Request)
		want   string
	}{
		{"nothing", func(*http.Request) {}, ""},
		{"within the skew", func(r *http.Request) { *r = *signed(t, r.Method, r.URL.String(), now.Add(-15*time.Minute), nil) }, ""},
		{"method", func(r *http.Request) { r.Method = http.MethodGet }, "SignatureDoesNotMatch"},
		{"host", func(r *http.Request) { r.Host = "other.cwlota.com" }, "SignatureDoesNotMatch"},
		{"path", func(r *http.Request) { r.URL.Path = "/K" }, "SignatureDoesNotMatch"},
		{"query", func(r *http.Request) { r.URL.RawQuery = "a=2" }, "SignatureDoesNotMatch"},
		{"range", func(r *http.Request) { r.Header.Set("Range", "bytes=0-1") }, "SignatureDoesNotMatch"},
		{"no range", func(r *http.Request) { r.Header.Del("Range") }, "SignatureDoesNotMatch"},
		{"signature", replace("Signature=", "Signature=0"), "SignatureDoesNotMatch"},
		{"region", replace(testRegion, "auto"), "SignatureDoesNotMatch"},
		{"unsigned header", func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, "AccessDenied"},
		{"unsigned host", replace("host;", ""), "AccessDenied"},
		{"payload", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, "SignatureDoesNotMatch"},
		{"payload of other bytes", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64)) }, "XAmzContentSHA256Mismatch"},
		{"no payload", func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }, "InvalidRequest"},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, "AccessDenied"},
		{"another day", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261121T000000Z") }, "AccessDenied"},
		{"too early", func(r *http.Request) {
			*r = *signed(t, r.Method, r.URL.String(), now.Add(-15*time.Minute-time.Second), nil)
		}, "RequestTimeTooSkewed"},
		{"too late", func(r *http.Request) {
			*r = *signed(t, r.Method, r.URL.String(), now.Add(15*time.Minute+time.Second), nil)
		}, "RequestTimeTooSkewed"},
		{"nobody", func(r *http.Request) { r.Header.Del("Authorization") }, "AccessDenied"},
		{"another algorithm", replace("AWS4-HMAC-SHA256", "AWS"), "AccessDenied"},
		{"another service", replace("/s3/", "/ec2/"), "AuthorizationHeaderMalformed"},
		{"no scope", func(r *http.Request) { r.Header.Set("Authorization", sigAlgorithm+" Credential=a, Signature=b") }, "AuthorizationHeaderMalformed"},
		{"garbage", func(r *http.Request) { r.Header.Set("Authorization", sigAlgorithm+" ,,=,==;") }, "AuthorizationHeaderMalformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := signed(t, http.MethodHead, "http://ckpt.cwlota.com/k?a=1", now, func(r *http.Request) { r.Header.Set("Range", warmingRange) })
			tt.change(r)
			if got := verdict(r, now); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzSignature(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=k/20261120/r/s3/aws4_request, SignedHeaders=host;range, Signature=00", "20261120T120000Z", "/a?b=c")
	f.Add("AWS4-HMAC-SHA256 Credential=////, Signature=", "", "/")
	f.Fuzz(func(t *testing.T, authorization, date, target string) {
		r, err := http.NewRequest(http.MethodHead, "http://ckpt.cwlota.com"+target, nil)
		if err != nil {
			return // no server would see it
		}
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		r.Header.Set("X-Amz-Content-Sha256", emptyHash)
		if verdict(r, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)) == "" {
			t.Error("passed without the secret")
		}
	})
}
