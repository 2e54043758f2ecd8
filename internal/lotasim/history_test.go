package lotasim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
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
	b.cat.Put("ckpt", "run/a b", large)
	b.warm(t, "run/a b")
	b.warm(t, "run/a b")
	if _, err := head(t, b.primary, "ckpt", "none", ""); err == nil {
		t.Fatal("a missing key is there")
	}
	waitFor(t, func() bool { h := b.sim.History(Filter{}); return len(h) == 3 && h[2].Done })
	want := []Request{
		{
			Seq: 1, Listener: "lota", Method: "HEAD", Host: "ckpt.cwlota.com", Bucket: "ckpt", Key: "run/a b", URI: "/run/a%20b",
			Range: "bytes=0-0", RangeSigned: true, AccessKeyID: testKey, Status: 206, Filled: FillStarted, Done: true,
		},
		{
			Seq: 2, Listener: "lota", Method: "HEAD", Host: "ckpt.cwlota.com", Bucket: "ckpt", Key: "run/a b", URI: "/run/a%20b",
			Range: "bytes=0-0", RangeSigned: true, AccessKeyID: testKey, Status: 206, Filled: FillHit, Done: true,
		},
		{
			Seq: 3, Listener: "primary", Method: "HEAD", Host: "ckpt.cwobject.com", Bucket: "ckpt", Key: "none", URI: "/none",
			AccessKeyID: testKey, Status: 404, Filled: FillNone, Done: true,
		},
	}
	ignore := cmpopts.IgnoreFields(Request{}, "Time", "Duration")
	if diff := cmp.Diff(want, b.sim.History(Filter{}), ignore); diff != "" {
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
	s.history.end(1, time.Second, 500, FillHit, true) // long forgotten: no other's entry is touched
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

func (b *bundle) admin(t *testing.T, method, path, body string, into any) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.server.AdminAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return resp.StatusCode
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	tag := b.cat.Put("ckpt", "run/a+b", large)
	b.warm(t, "run/a+b")

	var about map[string]any
	if b.admin(t, http.MethodGet, "/", "", &about) != 200 || about["seed"] != "1" || about["lota_domain"] != "cwlota.com" {
		t.Errorf("about: %v", about)
	}
	var truth Truth
	b.admin(t, http.MethodGet, "/truth?bucket=ckpt&key=run%2Fa%2Bb", "", &truth)
	if !truth.Cached || truth.ETag != tag {
		t.Errorf("truth: %+v", truth)
	}
	var objects []Truth
	b.admin(t, http.MethodGet, "/objects", "", &objects)
	if diff := cmp.Diff([]Truth{truth}, objects); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	var counters Counters
	b.admin(t, http.MethodGet, "/counters", "", &counters)
	if diff := cmp.Diff(b.sim.Counters(), counters); diff != "" || counters.FillsDone != 1 || counters.Misses != 1 {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	var history struct {
		Total    int
		Requests []Request
	}
	b.warm(t, "run/a+b")
	b.admin(t, http.MethodGet, "/history?range=bytes%3D0-0&listener=lota&method=HEAD&bucket=ckpt&prefix=run/&limit=1", "", &history)
	if history.Total != 2 || len(history.Requests) != 1 || history.Requests[0].Seq != 2 {
		t.Errorf("history: %+v", history)
	}

	var added struct{ ID int }
	status := b.admin(t, http.MethodPost, "/faults",
		`{"do":"status","status":503,"retry_after":"2","method":"HEAD","key":"run/*","ranged":true,"count":1}`, &added)
	if status != 201 || added.ID != 1 {
		t.Fatalf("add: HTTP %d, %+v", status, added)
	}
	if _, err := head(t, b.lota, "ckpt", "run/a+b", warmingRange); errorCode(err) != "ServiceUnavailable" {
		t.Errorf("with a fault: %v", err)
	}
	b.warm(t, "run/a+b")
	var rules []ruleJSON
	b.admin(t, http.MethodGet, "/faults", "", &rules)
	if len(rules) != 1 || rules[0].Applied != 1 || rules[0].RetryAfter != "2" {
		t.Errorf("rules: %+v", rules)
	}
	if got := b.admin(t, http.MethodDelete, "/faults?id=1", "", nil); got != 204 {
		t.Errorf("delete: HTTP %d", got)
	}
	if got := b.admin(t, http.MethodDelete, "/faults?id=1", "", nil); got != 404 {
		t.Errorf("delete again: HTTP %d", got)
	}

	b.admin(t, http.MethodPost, "/faults", `{"do":"hold","for":""}`, &added)
	answered := make(chan error, 1)
	go func() {
		_, err := head(t, b.lota, "ckpt", "run/a+b", warmingRange)
		answered <- err
	}()
	waitFor(t, func() bool { return b.sim.Rules()[0].Applied == 1 })
	var released struct{ Released int }
	b.admin(t, http.MethodPost, "/release", "", &released)
	if err := <-answered; err != nil || released.Released != 1 {
		t.Errorf("released %d, %v", released.Released, err)
	}
	if got := b.admin(t, http.MethodDelete, "/faults", "", nil); got != 204 || len(b.sim.Rules()) != 0 {
		t.Errorf("delete all: HTTP %d, %v left", got, b.sim.Rules())
	}

	for _, wrong := range []struct{ method, path, body string }{
		{http.MethodPost, "/faults", `{"do":"status"}`},
		{http.MethodPost, "/faults", `{"do":"reset","colour":"red"}`},
		{http.MethodPost, "/faults", `{"do":"latency","for":"2"}`},
		{http.MethodPost, "/faults", `{"do":"reset"}{"do":"reset"}`},
		{http.MethodPost, "/faults", `{"do":"` + strings.Repeat("x", maxRuleBytes) + `"}`},
		{http.MethodPost, "/faults", ``},
		{http.MethodDelete, "/faults?id=x", ``},
		{http.MethodGet, "/truth?bucket=ckpt", ``},
		{http.MethodGet, "/history?limit=0", ``},
	} {
		var answer struct{ Error string }
		if got := b.admin(t, wrong.method, wrong.path, wrong.body, &answer); got != 400 || answer.Error == "" {
			t.Errorf("%s %s %.40s: HTTP %d, %q", wrong.method, wrong.path, wrong.body, got, answer.Error)
		}
	}
	if len(b.sim.Rules()) != 0 {
		t.Errorf("a wrong rule was taken: %+v", b.sim.Rules())
	}
}

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.Put("ckpt", "k", large)
	addr := b.server.LOTAAddr()
	hold, err := b.sim.Hold(Match{Listener: ListenerLOTA})
	if err != nil {
		t.Fatal(err)
	}
	cut := make(chan error, 1)
	go func() {
		_, err := head(t, b.lota, "ckpt", "k", warmingRange)
		cut <- err
	}()
	if err := hold.Arrived(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.server.StopLOTA()
	b.server.StopLOTA()
	if err := <-cut; err == nil {
		t.Error("the request under way was answered")
	}
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial during the outage: %v, want refused", err)
	}
	if _, err := head(t, b.primary, "ckpt", "k", ""); err != nil {
		t.Errorf("primary during the outage: %v", err)
	}
	hold.Release()
	if err := b.server.StartLOTA(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.server.LOTAAddr() != addr {
		t.Errorf("now on %s, before on %s", b.server.LOTAAddr(), addr)
	}
	b.warm(t, "k")
}

func TestListenTellsWhere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := Fast()
	o.Seed, o.Logger = 42, logTo(&log)
	c := NewCatalogue(CatalogueOptions{})
	s, err := New(o, c.Backends())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server, err := Listen(t.Context(), s, Addrs{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"msg=lotasim seed=42",
		"msg=listening listener=lota addr=" + server.LOTAAddr(),
		"msg=listening listener=primary addr=" + server.PrimaryAddr(),
		"msg=listening listener=admin addr=" + server.AdminAddr(),
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, &log)
		}
	}
	if _, err := Listen(t.Context(), s, Addrs{Admin: server.LOTAAddr()}); err == nil {
		t.Error("two listeners on one address")
	}
	server.Close()
	server.Close()
}

func TestSeedIsChosen(t *testing.T) {
	t.Parallel()
	a := direct(t, large, func(o *Options) { o.Seed = 0 })
	defer a.Close()
	b := direct(t, large, func(o *Options) { o.Seed = 0 })
	defer b.Close()
	if a.Seed() == b.Seed() || a.Seed() == 0 {
		t.Errorf("seeds %d and %d", a.Seed(), b.Seed())
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	for i, change := range []func(*Options){
		func(o *Options) { o.LOTADomain = "" },
		func(o *Options) { o.PrimaryDomain = o.LOTADomain },
		func(o *Options) { o.RangedStatus = 204 },
		func(o *Options) { o.EmptyStatus = 206 },
		func(o *Options) { o.DropProbability = 1.5 },
		func(o *Options) { o.MinCacheBytes = -1 },
		func(o *Options) { o.Nodes = 0 },
		func(o *Options) { o.NodeBytes = 0 },
		func(o *Options) { o.UnknownBucketStall = -1 },
		func(o *Options) { o.HistoryLimit = 0 },
		func(o *Options) { o.Timing.Metadata = -1 },
		func(o *Options) { o.Timing.FillRate = -1 },
	} {
		o := Fast()
		change(&o)
		if _, err := New(o, NewCatalogue(CatalogueOptions{}).Backends()); err == nil {
			t.Errorf("wrong options %d were taken", i)
		}
	}
	if _, err := New(Fast(), Backends{}); err == nil {
		t.Error("no backends were taken")
	}
}

// Many clients at once: one HEAD per object version is one fill per version.
func TestConcurrentHeads(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.Timing.FillRate = 1_000_000_000 })
	if err := b.cat.AddRange("ckpt", "k%02d", 50, large); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	for i := range 200 {
		go func() {
			in := &s3.HeadObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("k" + string(rune('0'+i/10%5)) + string(rune('0'+i%10))), Range: aws.String(warmingRange)}
			_, err := b.lota.HeadObject(context.WithoutCancel(t.Context()), in)
			failed <- err
		}()
	}
	for range 200 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	waitFor(t, func() bool { return b.sim.Counters().CachedObjects == 50 })
	if n := b.sim.Counters(); n.FillsStarted != 50 || n.Hits+n.InProgress != 150 {
		t.Errorf("counters = %+v, want 50 fills and 150 that found one", n)
	}
}
