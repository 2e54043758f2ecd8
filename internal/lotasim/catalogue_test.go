package lotasim

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

func errorCode(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

var oddKeys = []string{
	"/", "//", "a//b", "a/../b", "./a", "..", " ", "a b", "a+b", "a%2Fb", "a%b", "é", "日本/語", "new\nline", "\x01",
	"q?x=1&y", "#", "~tilde", "'quote\"<&>", strings.Repeat("k", 1024), "trailing/", "😀",
}

// Every legal key can be warmed, read and listed by a real client.
func TestOddKeys(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for i, key := range oddKeys {
		b.cat.Put("ckpt", key, int64(5_000_000+i))
	}
	for i, key := range oddKeys {
		out := b.warm(t, key)
		if want := fmt.Sprintf("bytes 0-0/%d", 5_000_000+i); aws.ToString(out.ContentRange) != want {
			t.Errorf("%q: Content-Range %q, want %q", key, aws.ToString(out.ContentRange), want)
		}
		if !b.sim.Truth("ckpt", key).Cached {
			t.Errorf("%q is not cached", key)
		}
		if body := get(t, b.lota, "ckpt", key, "bytes=7-9"); len(body) != 3 {
			t.Errorf("%q: %d bytes of a part of 3", key, len(body))
		}
		if n := b.sim.Count(Filter{Key: key, Range: warmingRange}); n != 1 {
			t.Errorf("%q: %d ranged HEADs in the history, want exactly one", key, n)
		}
	}
}

func keysOf(t *testing.T, c *s3.Client, in *s3.ListObjectsV2Input) (keys []string, pages int) {
	t.Helper()
	p := s3.NewListObjectsV2Paginator(c, in)
	for p.HasMorePages() {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return keys, pages
}

func TestList(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.cat.AddRange("ckpt", "run/shard-%03d.pt", 5, large); err != nil {
		t.Fatal(err)
	}
	if err := b.cat.AddRange("ckpt", "run/shard-%02d", 2, large); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"a", "run/shard-001.pt", "run/shard-0015", "run/z", "rum", "ruo"} {
		b.cat.Put("ckpt", k, 1)
	}
	b.cat.Delete("ckpt", "run/shard-003.pt")
	b.cat.Put("ckpt", "run/x", 1)
	b.cat.Delete("ckpt", "run/x")
	b.cat.Delete("ckpt", "never was")

	all := []string{
		"a", "rum", "run/shard-00", "run/shard-000.pt", "run/shard-001.pt", "run/shard-0015", "run/shard-002.pt",
		"run/shard-004.pt", "run/shard-01", "run/z", "ruo",
	}
	tests := []struct {
		name  string
		in    s3.ListObjectsV2Input
		want  []string
		pages int
	}{
		{"all", s3.ListObjectsV2Input{}, all, 1},
		{"pages", s3.ListObjectsV2Input{MaxKeys: aws.Int32(2)}, all, 6},
		{"a page that is just full", s3.ListObjectsV2Input{MaxKeys: aws.Int32(11)}, all, 1},
		{"more than a page may have", s3.ListObjectsV2Input{MaxKeys: aws.Int32(5000)}, all, 1},
		{"prefix", s3.ListObjectsV2Input{Prefix: aws.String("run/shard-00"), MaxKeys: aws.Int32(3)}, all[2:8], 2},
		{"start after", s3.ListObjectsV2Input{StartAfter: aws.String("run/shard-002.pt")}, all[7:], 1},
		{"start after what is not there", s3.ListObjectsV2Input{StartAfter: aws.String("run/shard-0019")}, all[6:], 1},
		{"start after and prefix", s3.ListObjectsV2Input{StartAfter: aws.String("a"), Prefix: aws.String("run/z")}, all[9:10], 1},
		{"nothing", s3.ListObjectsV2Input{Prefix: aws.String("x")}, nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.in.Bucket = aws.String("ckpt")
			keys, pages := keysOf(t, b.lota, &tt.in)
			if diff := cmp.Diff(tt.want, keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if pages != tt.pages {
				t.Errorf("%d pages, want %d", pages, tt.pages)
			}
		})
	}
}

// What a list says of an object is what its HEAD says.
func TestListAgreesWithHead(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	at := time.Date(2026, 10, 1, 2, 3, 4, 567_000_000, time.UTC)
	b.cat.PutAt("ckpt", "k", 42, at)
	list, err := b.primary.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("ckpt")})
	if err != nil || len(list.Contents) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	out, err := head(t, b.primary, "ckpt", "k", "")
	if err != nil {
		t.Fatal(err)
	}
	o := list.Contents[0]
	if *o.ETag != *out.ETag || *o.Size != *out.ContentLength || !o.LastModified.Equal(at) || !out.LastModified.Equal(at.Truncate(time.Second)) {
		t.Errorf("list says %s, %d, %v; HEAD %s, %d, %v", *o.ETag, *o.Size, o.LastModified, *out.ETag, *out.ContentLength, out.LastModified)
	}
}

// A million objects cost what their description costs.
func TestMillions(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.cat.AddRange("ckpt", "run/%07d.pt", 3_000_000, large); err != nil {
		t.Fatal(err)
	}
	page, err := b.lota.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("ckpt"), StartAfter: aws.String("run/2998999.pt")})
	if err != nil || *page.KeyCount != 1000 || *page.IsTruncated || *page.Contents[999].Key != "run/2999999.pt" {
		t.Fatalf("the last page: %v keys, %v", page.KeyCount, err)
	}
	b.warm(t, "run/2999999.pt")
	for _, missing := range []string{"run/3000000.pt", "run/299999.pt", "run/02999999.pt", "run/+299999.pt", "run/2999999.p"} {
		if _, err := head(t, b.lota, "ckpt", missing, warmingRange); errorCode(err) != "NotFound" {
			t.Errorf("%s: %v, want 404", missing, err)
		}
	}
	// One of a range is written anew.
	before := *b.warm(t, "run/0000005.pt").ETag
	b.cat.Put("ckpt", "run/0000005.pt", large)
	if *b.warm(t, "run/0000005.pt").ETag == before {
		t.Error("an overwrite kept its ETag")
	}
}

func TestWrongRanges(t *testing.T) {
	t.Parallel()
	c := NewCatalogue(CatalogueOptions{})
	for _, tt := range []struct {
		format string
		n      int
	}{{"no verb", 1}, {"%d", 1}, {"%0d", 1}, {"%02d-%02d", 1}, {"%s", 1}, {"%02d", 101}, {"%02d", 0}} {
		if err := c.AddRange("ckpt", tt.format, tt.n, 1); err == nil {
			t.Errorf("AddRange(%q, %d) was taken", tt.format, tt.n)
		}
	}
	if err := c.AddRange("ckpt", "%02d", 100, 1); err != nil {
		t.Error(err)
	}
}

// The bytes of an object do not depend on how they are read.
func TestContent(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.Put("ckpt", "k", 100_003)
	whole := get(t, b.lota, "ckpt", "k", "")
	if len(whole) != 100_003 || bytes.Count(whole, []byte{0}) > 1000 {
		t.Fatalf("%d bytes, %d of them zero", len(whole), bytes.Count(whole, []byte{0}))
	}
	for _, tt := range []struct {
		byteRange string
		want      []byte
	}{
		{"bytes=0-0", whole[:1]},
		{"bytes=3-20", whole[3:21]},
		{"bytes=99999-", whole[99_999:]},
		{"bytes=-5", whole[99_998:]},
		{"bytes=-999999", whole},
		{"bytes=100000-999999", whole[100_000:]},
		{"bytes=5-3", whole},
		{"bytes=0-1,5-6", whole},
		{"lines=0-1", whole},
	} {
		if got := get(t, b.lota, "ckpt", "k", tt.byteRange); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: %d bytes, want %d, or others", tt.byteRange, len(got), len(tt.want))
		}
	}
	b.cat.Put("ckpt", "k", 100_003)
	if bytes.Equal(whole, get(t, b.lota, "ckpt", "k", "")) {
		t.Error("another version has the same bytes")
	}
	b.cat.PutBytes("ckpt", "index.json", []byte(`{"a":1}`))
	if got := get(t, b.lota, "ckpt", "index.json", "bytes=1-3"); string(got) != `"a"` {
		t.Errorf("part of real bytes: %q", got)
	}
	for _, beyond := range []string{"bytes=100003-", "bytes=-0"} {
		in := &s3.GetObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("k"), Range: aws.String(beyond)}
		if _, err := b.lota.GetObject(t.Context(), in); errorCode(err) != "InvalidRange" {
			t.Errorf("%s: %v, want 416", beyond, err)
		}
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	none := Credential{AccessKeyID: testKey, SecretAccessKey: testSecret}
	with := func(change func(*Credential)) Credential { c := none; change(&c); return c }
	tests := []struct {
		name         string
		who          Credential
		secret       string
		region       string // the only one; "": any
		signed       string // the region of the signature; "": testRegion
		as400        bool
		late         time.Duration // of the client's clock
		head         string        // codes: HEAD of an object,
		missing      string        // of a key that doesn't exist,
		list, bucket string        // a list, HeadBucket
	}{
		{name: "all", who: none, head: "<nil>", missing: "NotFound", list: "<nil>", bucket: "<nil>"},
		{name: "no get", who: with(func(c *Credential) { c.DenyGet = true }), head: "Forbidden", missing: "Forbidden", list: "<nil>", bucket: "<nil>"},
		{name: "no list", who: with(func(c *Credential) { c.DenyList = true }), head: "<nil>", missing: "Forbidden", list: "AccessDenied", bucket: "<nil>"},
		{name: "a bucket of others", who: with(func(c *Credential) { c.Buckets = []string{"mine-*"} }), head: "Forbidden", missing: "Forbidden", list: "AccessDenied", bucket: "Forbidden"},
		{name: "bucket by glob", who: with(func(c *Credential) { c.Buckets = []string{"ck*"} }), head: "<nil>", missing: "NotFound", list: "<nil>", bucket: "<nil>"},
		{name: "wrong secret", who: none, secret: "x", head: "Forbidden", missing: "Forbidden", list: "SignatureDoesNotMatch", bucket: "Forbidden"},
		{name: "unknown key", who: with(func(c *Credential) { c.AccessKeyID = "other" }), head: "Forbidden", missing: "Forbidden", list: "InvalidAccessKeyId", bucket: "Forbidden"},
		{name: "wrong secret, answered 400", who: none, secret: "x", as400: true, head: "BadRequest", missing: "BadRequest", list: "SignatureDoesNotMatch", bucket: "BadRequest"},
		{name: "unknown key, where a wrong secret is 400", who: with(func(c *Credential) { c.AccessKeyID = "other" }), as400: true, head: "Forbidden", missing: "Forbidden", list: "InvalidAccessKeyId", bucket: "Forbidden"},
		{name: "wrong clock, where a wrong secret is 400", who: none, late: time.Hour, as400: true, head: "Forbidden", missing: "Forbidden", list: "RequestTimeTooSkewed", bucket: "Forbidden"},
		{name: "any region", who: none, signed: "auto", head: "<nil>", missing: "NotFound", list: "<nil>", bucket: "<nil>"},
		{name: "right region", who: none, region: testRegion, head: "<nil>", missing: "NotFound", list: "<nil>", bucket: "<nil>"},
		{name: "wrong region", who: none, region: "RNO2A", head: "BadRequest", missing: "BadRequest", list: "AuthorizationHeaderMalformed", bucket: "BadRequest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cat := NewCatalogue(CatalogueOptions{
				Credentials: []Credential{tt.who}, Region: tt.region, StrictRegion: tt.region != "", BadSignatureAs400: tt.as400,
				Now: func() time.Time { return time.Now().Add(tt.late) },
			})
			cat.Put("ckpt", "k", large)
			sim, err := New(Fast(), cat.Backends())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(sim.Close)
			server, err := Listen(t.Context(), sim, Addrs{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Close)
			secret := testSecret
			if tt.secret != "" {
				secret = tt.secret
			}
			c := client(t, "http://cwlota.com", server.LOTAAddr(), secret, func(o *s3.Options) {
				if tt.signed != "" {
					o.Region = tt.signed
				}
			})
			_, headErr := head(t, c, "ckpt", "k", warmingRange)
			_, missingErr := head(t, c, "ckpt", "none", warmingRange)
			_, listErr := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("ckpt")})
			_, bucketErr := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("ckpt")})
			got := []string{errorCode(headErr), errorCode(missingErr), errorCode(listErr), errorCode(bucketErr)}
			if diff := cmp.Diff([]string{tt.head, tt.missing, tt.list, tt.bucket}, got); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
			if cached := sim.Truth("ckpt", "k").Cached; cached != (tt.head == "<nil>") {
				t.Errorf("cached = %v", cached)
			}
		})
	}
}

// HeadBucket through the primary tells own, free and another's.
func TestHeadBucket(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	out, err := b.primary.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("ckpt")})
	if err != nil || aws.ToString(out.BucketRegion) != testRegion {
		t.Errorf("own: %+v, %v", out, err)
	}
	if _, err := b.primary.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("nobody")}); errorCode(err) != "NotFound" {
		t.Errorf("free: %v, want 404", err)
	}
	b.cat.opts.Credentials[0].Buckets = []string{"mine"}
	if _, err := b.primary.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("ckpt")}); errorCode(err) != "Forbidden" {
		t.Errorf("another's: %v, want 403", err)
	}
}

func TestCatalogueIsReadOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, err := b.lota.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("k")})
	if errorCode(err) != "MethodNotAllowed" {
		t.Errorf("DELETE: %v", err)
	}
	_, err = b.lota.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("ckpt"), Delimiter: aws.String("/")})
	if errorCode(err) != "NotImplemented" {
		t.Errorf("delimiter: %v", err)
	}
	_, err = b.lota.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("ckpt"), ContinuationToken: aws.String("!")})
	if errorCode(err) != "InvalidArgument" {
		t.Errorf("token: %v", err)
	}
}

// What S3 answers for versions and delete markers, as AWS documents it.
func TestDeleteMarkers(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.cat.AddRange("ckpt", "r%02d", 5, large); err != nil {
		t.Fatal(err)
	}
	b.cat.Put("ckpt", "k", large)
	b.cat.EnableVersioning("ckpt")
	b.cat.Put("ckpt", "k", 2*large)
	b.cat.Put("ckpt", "k", 3*large)
	for _, key := range []string{"k", "r03"} {
		b.cat.Delete("ckpt", key)
	}
	type answer struct {
		Code   string
		Size   int64
		Marker string
		ID     string
	}
	ask := func(key, id string) answer {
		url := "http://ckpt.cwlota.com/" + key
		if id != "" {
			url += "?versionId=" + id
		}
		s := signing(b.cat)
		sim, err := New(Fast(), Backends{LOTA: s, Primary: s})
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		w := do(t, sim.LOTA(), "GET", url, warmingRange)
		got := answer{Marker: w.Header().Get("X-Amz-Delete-Marker"), ID: w.Header().Get("X-Amz-Version-Id")}
		if _, code, ok := strings.Cut(w.Body.String(), "<Code>"); ok {
			got.Code, _, _ = strings.Cut(code, "<")
			got.Code = fmt.Sprint(w.Code) + " " + got.Code
			return got
		}
		_, err = fmt.Sscanf(w.Header().Get("Content-Range"), "bytes 0-0/%d", &got.Size)
		if err != nil || sim.TruthOf("ckpt", key, versionID(got.ID)).Bytes != got.Size {
			t.Errorf("%s %s: %v, %+v", key, id, err, sim.Truth("ckpt", key))
		}
		return got
	}
	all := b.cat.Versions("ckpt", "k")
	if len(all) != 4 || !all[0].DeleteMarker || all[1].Size != 3*large || all[3].VersionID != "null" {
		t.Fatalf("versions: %+v", all)
	}
	ranged := b.cat.Versions("ckpt", "r03")
	if len(ranged) != 2 || !ranged[0].DeleteMarker || ranged[1].Size != large {
		t.Fatalf("versions of one of a range: %+v", ranged)
	}
	if n := len(b.cat.Versions("ckpt", "r04")) + len(b.cat.Versions("ckpt", "none")) + len(b.cat.Versions("none", "k")); n != 1 {
		t.Errorf("%d versions of one object that was never touched and two that never were", n)
	}
	for _, tt := range []struct {
		key, id string
		want    answer
	}{
		{"k", "", answer{Code: "404 NoSuchKey", Marker: "true", ID: all[0].VersionID}},
		{"k", all[0].VersionID, answer{Code: "405 MethodNotAllowed", Marker: "true", ID: all[0].VersionID}},
		{"k", all[1].VersionID, answer{Size: 3 * large, ID: all[1].VersionID}},
		{"k", "null", answer{Size: large, ID: "null"}},
		{"k", "none", answer{Code: "404 NoSuchVersion"}},
		{"none", "", answer{Code: "404 NoSuchKey"}},
		{"r03", "null", answer{Size: large, ID: "null"}},
		{"r04", "", answer{Size: large, ID: "null"}},
	} {
		if diff := cmp.Diff(tt.want, ask(tt.key, tt.id)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.key, tt.id, diff)
		}
	}
	keys, _ := keysOf(t, b.lota, &s3.ListObjectsV2Input{Bucket: aws.String("ckpt")})
	if diff := cmp.Diff([]string{"r00", "r01", "r02", "r04"}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	b.cat.Put("ckpt", "k", large)
	if err := b.cat.AddRange("ckpt", "s%02d", 1, large); err != nil {
		t.Fatal(err)
	}
	if id := b.cat.Versions("ckpt", "s00")[0].VersionID; len(id) != 32 {
		t.Errorf("version id %q of a range", id)
	}
	b.warm(t, "k")
}
