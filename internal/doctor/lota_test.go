package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/object"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	const zone = "set AWS_REGION to the bucket's availability zone"
	signing := func(key, secret, token string) func(*rig) {
		return func(r *rig) {
			r.options.AWS.Credentials = credentials.NewStaticCredentialsProvider(key, secret, token)
		}
	}
	for name, tt := range map[string]struct {
		who     func(*lotasim.Credential)
		change  func(*rig)
		target  object.Ref
		environ []string
		want    []complaint
	}{
		"a prefix":         {target: object.Ref{Bucket: "ckpt", Key: "run/"}},
		"an object":        {target: object.Ref{Bucket: "ckpt", Key: "run/a"}},
		"a missing object": {target: object.Ref{Bucket: "ckpt", Key: "run/b"}, want: []complaint{{Fail, "object s3://ckpt/run/b", "does not exist", "key"}}},
		"an empty bucket":  {target: object.Ref{Bucket: "empty"}},
		"an empty prefix":  {target: object.Ref{Bucket: "ckpt", Key: "none/"}},
		"the wrong region": {
			change: func(r *rig) { r.options.AWS.Region = "us-east-1" }, target: ckpt,
			want: []complaint{{Fail, "bucket ckpt", "HTTP 400 AuthorizationHeaderMalformed: signed for the wrong region", zone + ", such as US-EAST-04A (it is us-east-1 now)"}},
		},
		"no region": {
			change: func(r *rig) { r.options.AWS.Region = "" }, target: ckpt,
			want: []complaint{{Warn, "region", `signed for "auto"`, "AWS_REGION"}, {Fail, "bucket ckpt", "wrong region", zone}},
		},
		"may not read": {
			who: func(c *lotasim.Credential) { c.DenyGet = true }, target: ckpt,
			want: []complaint{{Fail, "object s3://ckpt/run/a", "s3:GetObject is missing (HTTP 403)", "allow s3:GetObject"}},
		},
		"may not read in an empty bucket": {
			who: func(c *lotasim.Credential) { c.DenyGet = true }, target: object.Ref{Bucket: "empty"},
			want: []complaint{{Fail, "object s3://empty/prestage-doctor", "s3:GetObject is missing (HTTP 403)", "allow s3:GetObject"}},
		},
		"may not list": {
			who: func(c *lotasim.Credential) { c.DenyList = true }, target: object.Ref{Bucket: "ckpt", Key: "run/a"},
			want: []complaint{{Fail, "list", "s3:ListBucket is missing (HTTP 403)", "allow s3:ListBucket"}},
		},
		"may not list, no object named": {
			who: func(c *lotasim.Credential) { c.DenyList = true }, target: ckpt,
			want: []complaint{
				{Fail, "list", "s3:ListBucket is missing (HTTP 403)", "allow s3:ListBucket"},
				{Warn, "object s3://ckpt/prestage-doctor", "or the object does not exist", "--uri s3://ckpt/key"},
			},
		},
		"another's bucket": {
			who: func(c *lotasim.Credential) { c.Buckets = []string{"mine"} }, target: ckpt,
			want: []complaint{{Fail, "bucket ckpt", "every request is denied", "is the bucket yours?"}},
		},
		"a wrong secret": {
			change: signing(testKey, "hush-other", ""), target: ckpt,
			want: []complaint{{Fail, "bucket ckpt", "HTTP 403 SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"}},
		},
		"an unknown key": {
			change: signing("AKIAOFNOBODY", testSecret, ""), target: ckpt,
			want: []complaint{{Fail, "bucket ckpt", "HTTP 403 InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"}},
		},
		"a stray token": {
			change: signing(testKey, testSecret, "hush-token"), target: ckpt,
			want: []complaint{{Fail, "bucket ckpt", "HTTP 400 InvalidToken", "unset AWS_SESSION_TOKEN"}},
		},
		"a bucket that is none": {
			change: func(r *rig) { r.limit = time.Second }, target: object.Ref{Bucket: "ckpd"},
			want: []complaint{{Fail, "bucket ckpd", "no answer within 1s", "name right?"}},
		},
		"a bucket that is not allowed": {
			target: ckpt, environ: []string{"PRESTAGE_BUCKETS=models,data-*"},
			want: []complaint{{Fail, "bucket ckpt", "PRESTAGE_BUCKETS does not allow it", "PRESTAGE_BUCKETS"}},
		},
		"a new bucket": {
			change: func(r *rig) { r.refuse(t, http.StatusBadRequest) }, target: ckpt,
			want: []complaint{{Fail, "bucket ckpt", "HTTP 400", "first minute"}},
		},
		"a store that is busy": {
			change: func(r *rig) { r.refuse(t, http.StatusServiceUnavailable) }, target: ckpt,
			want: []complaint{{Warn, "bucket ckpt", "HTTP 503", "try again"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, ns.URL(), tt.who)
			r.options.Target = tt.target
			if tt.change != nil {
				tt.change(r)
			}
			holds(t, r.examine(t, tt.environ...), tt.want...)
			if n := r.sim.Count(lotasim.Filter{Range: "bytes=0-0"}); n != 0 {
				t.Errorf("%d ranged requests", n)
			}
		})
	}
}

// Below a prefix nothing else is asked for.
func TestPrefix(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	r := newRig(t, ns.URL(), nil)
	r.store.Put("ckpt", "before", 5_000_000)
	r.options.Target = object.Ref{Bucket: "ckpt", Key: "run/"}
	got := r.examine(t)
	want := []Finding{
		{"list", OK, `1 objects below "run/"`, ""},
		{"object s3://ckpt/run/a", OK, "a plain HEAD is answered HTTP 200, 5000000 bytes", ""},
	}
	if diff := cmp.Diff(want, got[len(got)-2:]); diff != "" {
		t.Error(diff)
	}
}

// refuse makes each request for a bucket fail with status.
func (r *rig) refuse(t *testing.T, status int) {
	t.Helper()
	if _, err := r.sim.AddRule(lotasim.Rule{Match: lotasim.Match{Bucket: "?*"}, Do: lotasim.AnswerStatus, Status: status}); err != nil {
		t.Error(err)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tt := range map[string]struct {
		provider aws.CredentialsProvider
		want     Finding
	}{
		"none": {nil, Finding{Status: Fail, Seen: "no provider is configured"}},
		"failing": {
			provide(aws.Credentials{}, errors.New("helper said hush")),
			Finding{Status: Fail, Seen: "no provider of the AWS SDK's default chain has any, or the one that is configured fails"},
		},
		"empty":    {provide(aws.Credentials{Source: "S"}, nil), Finding{Status: Fail, Seen: "S gave an empty key"}},
		"too slow": {aws.CredentialsProviderFunc(hang), Finding{Status: Fail, Seen: "none within 50ms"}},
		"for good": {
			provide(aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, Source: "S"}, nil),
			Finding{Status: OK, Seen: "from S, access key id ends in TEST, without expiry"},
		},
		"a short id": {
			provide(aws.Credentials{AccessKeyID: "hush", SecretAccessKey: testSecret, Source: "S"}, nil),
			Finding{Status: OK, Seen: "from S, access key id is too short to show a part of, without expiry"},
		},
		"for a while": {
			provide(aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, SessionToken: "hush", Source: "S", CanExpire: true, Expires: now.Add(time.Hour)}, nil),
			Finding{Status: OK, Seen: "from S, access key id ends in TEST, for another 1h0m0s"},
		},
		"expired": {
			provide(aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, Source: "S", CanExpire: true, Expires: now.Add(-time.Hour)}, nil),
			Finding{Status: Fail, Seen: "from S, expired 1h0m0s ago"},
		},
		"with a token of the environment": {
			provide(aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, SessionToken: "hush", Source: config.CredentialsSourceName}, nil),
			Finding{Status: Warn, Seen: "AWS_SESSION_TOKEN is set: CoreWeave's access keys have none, and a stray one is answered HTTP 400"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all []Finding
			d := newDoctor(Options{AWS: aws.Config{Credentials: tt.provider}}, func(f Finding) { all = append(all, f) })
			d.limit, d.now = 50*time.Millisecond, func() time.Time { return now }
			d.credentials(t.Context())
			if len(all) != 1 {
				t.Fatalf("told %v", all)
			}
			if (all[0].Remedy == "") != (tt.want.Status == OK) {
				t.Errorf("remedy %q", all[0].Remedy)
			}
			tt.want.Name, all[0].Remedy = "credentials", ""
			if diff := cmp.Diff(tt.want, all[0]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func provide(c aws.Credentials, err error) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, err })
}

func hang(ctx context.Context) (aws.Credentials, error) {
	<-ctx.Done()
	return aws.Credentials{}, ctx.Err()
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(other.Close)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(refusing.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	const wrong = "LOTA_ENDPOINT or LOTA_DIAL leads to"
	for name, tt := range map[string]struct {
		environ []string
		want    []complaint
	}{
		"LOTA":            {nil, nil},
		"another store":   {[]string{"LOTA_DIAL=" + addr(other.URL)}, []complaint{{Warn, "endpoint", "answers a path-style request with HTTP 403", wrong}}},
		"one like LOTA":   {[]string{"LOTA_DIAL=" + addr(refusing.URL)}, nil},
		"nobody":          {[]string{"LOTA_DIAL=" + addr(closed.URL)}, []complaint{{Fail, "endpoint", "cannot be dialled", "inside a CoreWeave cluster"}}},
		"no HTTP":         {[]string{"LOTA_DIAL=" + answering(t, "SSH-2.0\r\n\r\n")}, []complaint{{Fail, "endpoint", "what it answers is not HTTP", wrong}}},
		"closes":          {[]string{"LOTA_DIAL=" + answering(t, "")}, []complaint{{Fail, "endpoint", "accepts connections, but", wrong}}},
		"trusted":         {[]string{"LOTA_ENDPOINT=http://s3.test", "LOTA_TRUST_ENDPOINT=true"}, []complaint{{Warn, "endpoint", "s3.test is not known to be LOTA", "LOTA_TRUST_ENDPOINT"}, {Warn, "endpoint", "HTTP 421", wrong}}},
		"trusted at home": {[]string{"LOTA_TRUST_ENDPOINT=true"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, ns.URL(), nil)
			holds(t, r.examine(t, tt.environ...), append(tt.want, noBucket)...)
		})
	}
}

func addr(url string) string { return strings.TrimPrefix(url, "http://") }

// answering accepts connections, reads a little, says text and closes.
func answering(t *testing.T, text string) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1))
			_, _ = conn.Write([]byte(text))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String()
}

// A bucket that cannot be reached is not asked.
func TestUnreachedBucket(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	closed := httptest.NewServer(nil)
	closed.Close()
	r := newRig(t, ns.URL(), nil)
	r.options.Target = ckpt
	all := r.examine(t, "LOTA_DIAL="+addr(closed.URL))
	holds(t, all, complaint{Fail, "endpoint", "cannot be dialled", "LOTA_DIAL"})
	if slices.Contains(names(all), "bucket ckpt") {
		t.Error("the bucket was asked")
	}
}

// resolved is a resolver that knows one host.
type resolved string

func (r resolved) LookupHost(_ context.Context, host string) ([]string, error) {
	if host != string(r) {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, nil
}

func TestDNS(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]complaint{
		"ckpt.cwlota.com": {OK, "dns", "[192.0.2.1 192.0.2.2 192.0.2.3]", ""},
		"ckpd.cwlota.com": {Fail, "dns", "ckpd.cwlota.com does not resolve: lookup ckpd.cwlota.com: no such host", "name right?"},
	} {
		var all []Finding
		d := newDoctor(Options{Config: parse(t)}, func(f Finding) { all = append(all, f) })
		d.dns = resolved("ckpt.cwlota.com")
		if d.resolves(t.Context(), host) != (want.status == OK) {
			t.Errorf("%s: the wrong way", host)
		}
		if len(all) != 1 || all[0].Status != want.status || !strings.Contains(all[0].Seen, want.seen) || !strings.Contains(all[0].Remedy, want.remedy) {
			t.Errorf("%s: %v", host, all)
		}
	}
}
