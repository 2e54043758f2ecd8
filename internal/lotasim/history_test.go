package lotasim

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	etag := b.cat.Put("ckpt", "run/a b", large)
	b.warm(t, "run/a b")
	b.warm(t, "run/a b")
	if _, err := head(t, b.primary, "ckpt", "none", ""); err == nil {
		t.Fatal("a missing key is there")
	}
	got := b.ended(t, 3)
	want := []Request{
		{
			Seq: 1, Listener: "lota", Method: "HEAD", Host: "ckpt.cwlota.com", Bucket: "ckpt", Key: "run/a b", URI: "/run/a%20b",
			Range: "bytes=0-0", RangeSigned: true, AccessKeyID: testKey, Status: 206, ETag: etag, Filled: FillStarted, Done: true,
		},
		{
			Seq: 2, Listener: "lota", Method: "HEAD", Host: "ckpt.cwlota.com", Bucket: "ckpt", Key: "run/a b", URI: "/run/a%20b",
			Range: "bytes=0-0", RangeSigned: true, AccessKeyID: testKey, Status: 206, ETag: etag, Filled: FillHit, Done: true,
		},
		{
			Seq: 3, Listener: "primary", Method: "HEAD", Host: "ckpt.cwobject.com", Bucket: "ckpt", Key: "none", URI: "/none",
			AccessKeyID: testKey, Status: 404, Filled: FillNone, Done: true,
		},
	}
	ignore := cmpopts.IgnoreFields(Request{}, "Time", "Duration")
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		f    Filter
		want int
	}{
		{Filter{Listener: "primary"}, 1},
		{Filter{Method: "GET"}, 0},
		{Filter{Bucket: "ckpt", Range: "bytes=0-0"}, 2},
		{Filter{Key: "none"}, 1},
		{Filter{Prefix: "run/"}, 2},
		{Filter{Bucket: "models"}, 0},
	} {
		if n := b.sim.Count(tt.f); n != tt.want || len(b.sim.History(tt.f)) != tt.want {
			t.Errorf("%+v: %d, want %d", tt.f, n, tt.want)
		}
	}
}

// The ring forgets the oldest requests, and says how many.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	s := direct(t, large, func(o *Options) { o.Timing, o.HistoryLimit = Timing{}, 3 })
	defer s.Close()
	for i := range 8 {
		do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/"+strings.Repeat("k", i+1), "")
	}
	var keys []string
	for i, r := range s.History(Filter{}) {
		keys = append(keys, r.Key)
		if !r.Done || r.Seq != uint64(6+i) {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff([]string{"kkkkkk", "kkkkkkk", "kkkkkkkk"}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if n := s.Counters().HistoryDropped; n != 5 {
		t.Errorf("%d dropped, want 5", n)
	}
	s.history.end(1, time.Second, 500, "", FillHit, true) // long forgotten: no other's entry is touched
	for _, r := range s.History(Filter{}) {
		if r.Status != http.StatusOK {
			t.Errorf("%+v", r)
		}
	}
}

// A presigned URL is remembered without what would let anybody use it.
func TestHistoryKeepsNoSecret(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.Put("ckpt", "k", large)
	signer := s3.NewPresignClient(b.lota)
	p, err := signer.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("k"), Range: aws.String("bytes=0-9")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(p.URL, "ckpt.cwlota.com", b.server.LOTAAddr(), 1)+"&X-Amz-Security-Token=hush", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "ckpt.cwlota.com"
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	b.warm(t, "k")
	text, err := json.Marshal(b.sim.History(Filter{}))
	if err != nil {
		t.Fatal(err)
	}
	signature := r.URL.Query().Get("X-Amz-Signature")
	for _, secret := range []string{signature, "hush", testSecret, "Signature=0", "AWS4-HMAC-SHA256 "} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%q is in the history", secret)
		}
	}
	if h := b.sim.History(Filter{})[0]; h.AccessKeyID != testKey || !h.RangeSigned {
		t.Errorf("presigned: %+v", h)
	}
}
