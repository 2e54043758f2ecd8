package prestage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

type verdict struct {
	Class      outcome.Class
	Reason     outcome.Reason
	RetryAfter time.Duration
	Hint       bool
}

func verdictOf(err error) verdict {
	var e *outcome.Error
	if !errors.As(err, &e) {
		return verdict{}
	}
	return verdict{Class: e.Class, Reason: e.Reason, RetryAfter: e.RetryAfter, Hint: e.Hint != ""}
}

func TestClassifyStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status     int
		retryAfter string
		want       verdict
	}{
		{status: 301, want: verdict{Class: outcome.Refused, Reason: outcome.BadRequest, Hint: true}},
		{status: 304, want: verdict{Class: outcome.Refused, Reason: outcome.BadRequest, Hint: true}},
		{status: 400, want: verdict{Class: outcome.Refused, Reason: outcome.BadRequest, Hint: true}},
		{status: 401, want: verdict{Class: outcome.Refused, Reason: outcome.Forbidden, Hint: true}},
		{status: 403, want: verdict{Class: outcome.Refused, Reason: outcome.Forbidden, Hint: true}},
		{status: 404, want: verdict{Class: outcome.Failed, Reason: outcome.NotFound}},
		{status: 412, want: verdict{Class: outcome.Refused, Reason: outcome.BadRequest, Hint: true}},
		{status: 429, retryAfter: "7", want: verdict{Class: outcome.Throttled, Reason: outcome.FillFailed, RetryAfter: 7 * time.Second}},
		{status: 429, want: verdict{Class: outcome.Throttled, Reason: outcome.FillFailed}},
		{status: 503, retryAfter: "999999", want: verdict{Class: outcome.Throttled, Reason: outcome.FillFailed, RetryAfter: maxRetryAfter}},
		{status: 500, retryAfter: "7", want: verdict{Class: outcome.Transient, Reason: outcome.FillFailed}},
		{status: 502, want: verdict{Class: outcome.Transient, Reason: outcome.FillFailed}},
		{status: 504, want: verdict{Class: outcome.Transient, Reason: outcome.FillFailed}},
		{status: 507, want: verdict{Class: outcome.Transient, Reason: outcome.FillFailed}},
	} {
		t.Run(fmt.Sprint(tt.status, tt.retryAfter), func(t *testing.T) {
			t.Parallel()
			s := newWire(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.retryAfter != "" {
					w.Header().Set("Retry-After", tt.retryAfter)
				}
				w.WriteHeader(tt.status)
			})
			ref := object.Ref{Bucket: "ckpt", Key: "k"}
			_, fillErr := s.Fill(t.Context(), ref)
			_, headErr := s.Head(t.Context(), ref)
			_, getErr := s.Get(t.Context(), ref, 1)
			_, listErr := s.List(t.Context(), "ckpt", "p/", "")
			for _, err := range []error{fillErr, headErr, getErr, listErr, s.HeadBucket(t.Context(), "ckpt")} {
				if diff := cmp.Diff(tt.want, verdictOf(err)); diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				var e *outcome.Error
				if errors.As(err, &e) && e.Status != tt.status {
					t.Errorf("status %d", e.Status)
				}
				checkSecrets(t, err)
			}
		})
	}
}

func checkSecrets(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{secretKey, "AKIDEXAMPLE", "Signature", "X-Amz", "list-type", "AWS4"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("error tells %q: %v", secret, err)
		}
	}
}

func TestClassifyBroken(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-hang
		case "/reset":
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			c.Close()
		case "/garbage":
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = c.Write([]byte("SSH-2.0-no HTTP\r\n"))
			c.Close()
		case "/prose":
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>%s</Message></Error>", secretKey)
		}
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(hang) })
	addr := srv.Listener.Addr().String()

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	timeout, cancelTimeout := withTimeout(t.Context(), time.Millisecond)
	t.Cleanup(cancelTimeout)
	dead, kill := context.WithCancelCause(t.Context())
	kill(deadBucket("", object.Ref{Bucket: "ckpt"}, errors.New("silent")))

	noHost := NewS3(aws.Config{Region: "X", Credentials: aws.CredentialsProviderFunc(staticCredentials)}, S3Options{
		Endpoint: &url.URL{Scheme: "http", Host: "cwlota.com"},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}}
		}),
	})
	noCreds := func(err error) *S3 {
		return NewS3(aws.Config{Region: "X", Credentials: aws.NewCredentialsCache(aws.CredentialsProviderFunc(
			func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, err },
		))}, S3Options{Endpoint: &url.URL{Scheme: "http", Host: "cwlota.com"}, Transport: http.DefaultTransport})
	}
	for name, tt := range map[string]struct {
		s    *S3
		ctx  context.Context //nolint:containedctx // a row's argument
		key  string
		want verdict
		text string
	}{
		"reset":            {key: "reset", want: verdict{Class: outcome.Transient, Reason: outcome.FillFailed}},
		"no HTTP":          {key: "garbage", want: verdict{Class: outcome.Transient, Reason: outcome.FillFailed}},
		"no answer":        {key: "hang", want: verdict{Class: outcome.Transient, Reason: outcome.FillFailed}, text: "no answer in time"},
		"our own time-out": {key: "hang", ctx: timeout, want: verdict{Class: outcome.Transient, Reason: outcome.FillFailed}, text: "no answer within 1ms"},
		"our own end":      {key: "hang", ctx: cancelled, want: verdict{Class: outcome.Interrupted}},
		"a dead bucket":    {key: "hang", ctx: dead, want: verdict{Class: outcome.Refused, Reason: outcome.BadRequest, Hint: true}},
		"nobody listens":   {s: newClient(t, "http://cwlota.com", nobody), want: verdict{Class: outcome.Unreachable, Reason: outcome.BadRequest}, text: "refused"},
		"no such host":     {s: noHost, want: verdict{Class: outcome.Unreachable, Reason: outcome.BadRequest}, text: "ckpt.cwlota.com"},
		"TLS to plain":     {s: newClient(t, "https://cwlota.com", addr), want: verdict{Class: outcome.Refused, Reason: outcome.BadRequest, Hint: true}},
		"server's prose":   {key: "prose", want: verdict{Class: outcome.Refused, Reason: outcome.Forbidden, Hint: true}},
		"no credentials":   {s: noCreds(errors.New("helper printed " + secretKey)), want: verdict{Class: outcome.Refused, Reason: outcome.Forbidden, Hint: true}, text: "the provider failed"},
		"no token file": {
			s:    noCreds(fmt.Errorf("read token: %w", &fs.PathError{Op: "open", Path: "/token", Err: fs.ErrNotExist})),
			want: verdict{Class: outcome.Refused, Reason: outcome.Forbidden, Hint: true}, text: "open /token: file does not exist",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ctx := tt.s, tt.ctx
			if s == nil {
				s = newClient(t, "http://cwlota.com", addr)
			}
			if ctx == nil {
				ctx = t.Context()
			}
			if tt.key == "" {
				tt.key = "k"
			}
			ref := object.Ref{Bucket: "ckpt", Key: tt.key}
			_, fillErr := s.Fill(ctx, ref)
			_, headErr := s.Head(ctx, ref)
			_, getErr := s.Get(ctx, ref, 10)
			for _, err := range []error{fillErr, headErr, getErr} {
				if diff := cmp.Diff(tt.want, verdictOf(err)); diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				if err == nil || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %v does not tell %q", err, tt.text)
				}
				if err != nil && strings.Contains(err.Error(), secretKey) {
					t.Errorf("error tells a secret: %v", err)
				}
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-3": 0, "soon": 0, "300": maxRetryAfter, "301": maxRetryAfter,
		"9223372036854775807": maxRetryAfter, "-9223372036854775808": 0, "99999999999999999999": 0,
		now.Add(20 * time.Second).Format(http.TimeFormat): 20 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
		now.Add(time.Hour).Format(http.TimeFormat):        maxRetryAfter,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}
