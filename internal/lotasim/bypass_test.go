package lotasim

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

// Switch J: whether a request's Cache-Control counts.
func TestHonourCacheControl(t *testing.T) {
	t.Parallel()
	tests := []struct {
		control string
		honours bool
		want    []Filled // of HEAD, GET
	}{
		{"no-cache", false, []Filled{FillStarted, FillHit}},
		{"no-cache", true, []Filled{FillNone, FillNone}},
		{"max-age=0, No-Store", true, []Filled{FillNone, FillNone}},
		{"max-age=0", true, []Filled{FillStarted, FillHit}},
		{"", true, []Filled{FillStarted, FillHit}},
	}
	for _, tt := range tests {
		s := direct(t, large, func(o *Options) { o.Timing, o.HonourCacheControl = Timing{}, tt.honours })
		defer s.Close()
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			r := httptest.NewRequestWithContext(t.Context(), method, "http://ckpt.cwlota.com/k", nil)
			r.Header.Set("Range", warmingRange)
			r.Header.Set("Cache-Control", tt.control)
			w := httptest.NewRecorder()
			s.LOTA().ServeHTTP(w, r)
			if w.Code != http.StatusPartialContent || w.Header().Get("Content-Range") != "bytes 0-0/10000000" {
				t.Errorf("%s with %q: HTTP %d, %v", method, tt.control, w.Code, w.Header())
			}
		}
		var got []Filled
		for _, r := range s.History(Filter{}) {
			got = append(got, r.Filled)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Cache-Control %q, honours %v (-want +got):\n%s", tt.control, tt.honours, diff)
		}
		if n := s.Counters(); tt.want[0] == FillNone && (n.ProxyRequests != 2 || n.CacheRequests != 0) {
			t.Errorf("Cache-Control %q: %+v, want two requests past the cache", tt.control, n)
		}
	}
}

// headVersion warms one version of an object.
func headVersion(t *testing.T, b *bundle, key, id string) error {
	t.Helper()
	_, err := b.lota.HeadObject(t.Context(), &s3.HeadObjectInput{
		Bucket: aws.String("ckpt"), Key: aws.String(key), VersionId: aws.String(id), Range: aws.String(warmingRange),
	})
	return err
}

// Switch I: a versionId names the version that is filled, or goes past the cache.
func TestVersionIDs(t *testing.T) {
	t.Parallel()
	for _, bypass := range []bool{false, true} {
		b := setup(t, func(o *Options) { o.VersionsBypass = bypass })
		b.cat.EnableVersioning("ckpt")
		b.cat.Put("ckpt", "k", large)
		b.cat.Put("ckpt", "k", 2*large)
		all := b.cat.Versions("ckpt", "k")
		newer, older := all[0], all[1]

		if err := headVersion(t, b, "k", older.VersionID); err != nil {
			t.Fatal(err)
		}
		got := b.sim.TruthOf("ckpt", "k", older.VersionID)
		if got.Cached == bypass || got.RangedHeads != 1 || (!bypass && (got.ETag != older.ETag || got.Bytes != large)) {
			t.Errorf("bypass %v, the older version: %+v", bypass, got)
		}
		if got := b.sim.TruthOf("ckpt", "k", newer.VersionID); got.Cached || got.RangedHeads != 0 {
			t.Errorf("bypass %v: the newer version after a HEAD of the older: %+v", bypass, got)
		}
		b.warm(t, "k")
		if got := b.sim.Truth("ckpt", "k"); !got.Cached || got.VersionID != newer.VersionID || got.ETag != newer.ETag {
			t.Errorf("bypass %v, without a version id: %+v", bypass, got)
		}
		if err := headVersion(t, b, "k", newer.VersionID); err != nil {
			t.Fatal(err)
		}
		want := []Filled{FillStarted, FillStarted, FillHit}
		if bypass {
			want = []Filled{FillNone, FillStarted, FillNone}
		}
		var filled []Filled
		for _, r := range b.ended(t, 3) {
			filled = append(filled, r.Filled)
		}
		if diff := cmp.Diff(want, filled); diff != "" {
			t.Errorf("bypass %v (-want +got):\n%s", bypass, diff)
		}
		// The former version stays; the latest request finds another, which is cold.
		b.cat.Put("ckpt", "k", large)
		if _, err := head(t, b.lota, "ckpt", "k", ""); err != nil {
			t.Fatal(err)
		}
		if b.sim.Truth("ckpt", "k").Cached || !b.sim.TruthOf("ckpt", "k", newer.VersionID).Cached {
			t.Errorf("bypass %v: an overwrite made the wrong version cold", bypass)
		}
	}
}

// An object in STANDARD_IA says so, keeps its class and has no tier.
func TestArchive(t *testing.T) {
	t.Parallel()
	for _, skip := range []bool{false, true} {
		b := setup(t, func(o *Options) { o.SkipArchive = skip })
		before := b.cat.Put("ckpt", "k", large)
		if err := b.cat.AddRange("ckpt", "r%03d", 10, large); err != nil {
			t.Fatal(err)
		}
		if !b.cat.Archive("ckpt", "k") || !b.cat.Archive("ckpt", "r003") || b.cat.Archive("ckpt", "none") {
			t.Fatal("Archive is wrong about what there is")
		}
		out := b.warm(t, "k")
		if out.StorageClass != "STANDARD_IA" || *out.ETag != `"`+before+`"` {
			t.Errorf("HEAD says class %q, ETag %s", out.StorageClass, *out.ETag)
		}
		if got := b.sim.Truth("ckpt", "k"); got.Cached == skip || got.Tier != "" || got.RangedHeads != 1 {
			t.Errorf("skip %v: %+v", skip, got)
		}
		get(t, b.lota, "ckpt", "k", "bytes=0-9")
		if out := b.warm(t, "r004"); out.StorageClass != "" || b.sim.Truth("ckpt", "r004").Tier != "hot" {
			t.Errorf("a neighbour has the class %q", out.StorageClass)
		}
		list, err := b.lota.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("ckpt")})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Contents {
			want := "STANDARD"
			if *o.Key == "k" || *o.Key == "r003" {
				want = "STANDARD_IA"
			}
			if string(o.StorageClass) != want {
				t.Errorf("list says %s has the class %q, want %q", *o.Key, o.StorageClass, want)
			}
		}
		b.cat.Put("ckpt", "k", large)
		if out := b.warm(t, "k"); out.StorageClass != "" || !b.sim.Truth("ckpt", "k").Cached {
			t.Errorf("written anew: class %q", out.StorageClass)
		}
	}
}
