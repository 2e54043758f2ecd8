package lotasim

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

func TestOnlyTheWarmingHeadFills(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		byteRange string
		primary   bool
		anyRange  bool
		plain     bool
		minBytes  int64 // 0: the default
		size      int64
		filled    Filled
		cached    bool
		heads     int64
	}{
		{name: "ranged HEAD", byteRange: "bytes=0-0", size: large, filled: FillStarted, cached: true, heads: 1},
		{name: "plain HEAD", size: large, filled: FillNone},
		{name: "another range", byteRange: "bytes=0-1", size: large, filled: FillNone},
		{name: "another first byte", byteRange: "bytes=5-5", size: large, filled: FillNone},
		{name: "several ranges", byteRange: "bytes=0-0,2-2", size: large, filled: FillNone},
		{name: "spelt differently", byteRange: "bytes= 0-0", size: large, filled: FillNone},
		{name: "another range, where any fills", byteRange: "bytes=0-1", anyRange: true, size: large, filled: FillStarted, cached: true, heads: 1},
		{name: "several ranges, where any fill", byteRange: "bytes=0-0,2-2", anyRange: true, size: large, filled: FillStarted, cached: true, heads: 1},
		{name: "plain HEAD, where any range fills", anyRange: true, size: large, filled: FillNone},
		{name: "plain HEAD, where it fills", plain: true, size: large, filled: FillStarted, cached: true},
		{name: "another range, where a plain HEAD fills", byteRange: "bytes=0-1", plain: true, size: large, filled: FillNone},
		{name: "plain HEAD on the primary, where it fills", plain: true, primary: true, size: large, filled: FillNone},
		{name: "primary", byteRange: "bytes=0-0", primary: true, size: large, filled: FillNone, heads: 1},
		{name: "as large as is never cached", byteRange: "bytes=0-0", size: 4_000_000, filled: FillNone, heads: 1},
		{name: "one byte larger", byteRange: "bytes=0-0", size: 4_000_001, filled: FillStarted, cached: true, heads: 1},
		{name: "4 MiB, where that is never cached", byteRange: "bytes=0-0", minBytes: 4 << 20, size: 4 << 20, filled: FillNone, heads: 1},
		{name: "one byte larger than 4 MiB", byteRange: "bytes=0-0", minBytes: 4 << 20, size: 4<<20 + 1, filled: FillStarted, cached: true, heads: 1},
		{name: "larger than the cache", byteRange: "bytes=0-0", size: 3 << 40, filled: FillNone, heads: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *Options) {
				o.AnyRangeFills, o.PlainHeadFills = tt.anyRange, tt.plain
				if tt.minBytes != 0 {
					o.MinCacheBytes = tt.minBytes
				}
			})
			tag := b.cat.Put("ckpt", "k", tt.size)
			c := b.lota
			if tt.primary {
				c = b.primary
			}
			if _, err := head(t, c, "ckpt", "k", tt.byteRange); err != nil {
				t.Fatal(err)
			}
			got := b.sim.Truth("ckpt", "k")
			want := Truth{Bucket: "ckpt", Key: "k", Cached: tt.cached, RangedHeads: tt.heads, Tier: "hot", Accessed: got.Accessed}
			if counts := tt.heads > 0; got.Accessed.IsZero() == counts {
				t.Errorf("last access %v, although this counts as one: %v", got.Accessed, counts)
			}
			if tt.cached {
				want.ETag, want.Bytes, want.Fills = tag, tt.size, 1
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("truth (-want +got):\n%s", diff)
			}
			if h := b.ended(t, 1); h[0].Filled != tt.filled {
				t.Errorf("history = %+v, want filled %q", h, tt.filled)
			}
		})
	}
}

// Switches A: the answer's form.
func TestRangedStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		status, empty int
		size, length  int64
		contentRange  string
		fails         string
	}{
		{name: "206", status: 206, empty: 416, size: large, length: 1, contentRange: "bytes 0-0/10000000"},
		{name: "200", status: 200, empty: 416, size: large, length: large},
		{name: "empty object 416", status: 206, empty: 416, fails: "StatusCode: 416"},
		{name: "empty object 200", status: 206, empty: 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *Options) { o.RangedStatus, o.EmptyStatus = tt.status, tt.empty })
			b.cat.Put("ckpt", "k", tt.size)
			out, err := head(t, b.lota, "ckpt", "k", warmingRange)
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Fatalf("error = %v, want %s", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if aws.ToInt64(out.ContentLength) != tt.length || aws.ToString(out.ContentRange) != tt.contentRange {
				t.Errorf("Content-Length %d, Content-Range %q; want %d, %q",
					aws.ToInt64(out.ContentLength), aws.ToString(out.ContentRange), tt.length, tt.contentRange)
			}
			if aws.ToString(out.ETag) == "" {
				t.Error("no ETag")
			}
		})
	}
}

// Switch B: synchronous or not, shown by a fill that is held.
func TestSynchronous(t *testing.T) {
	t.Parallel()
	for _, synchronous := range []bool{false, true} {
		b := setup(t, func(o *Options) { o.Synchronous = synchronous })
		b.cat.Put("ckpt", "k", large)
		hold, err := b.sim.HoldFills(Match{Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan bool) // whether it was cached when the answer came
		go func() {
			_, err := head(t, b.lota, "ckpt", "k", warmingRange)
			answered <- err == nil && b.sim.Truth("ckpt", "k").Cached
		}()
		if !synchronous {
			if <-answered {
				t.Error("asynchronous: cached while its fill is held")
			}
			hold.Release()
			waitFor(t, func() bool { return b.sim.Truth("ckpt", "k").Cached })
			continue
		}
		waitFor(t, func() bool { return b.sim.Truth("ckpt", "k").Filling })
		select {
		case <-answered:
			t.Error("synchronous: answered while its fill is held")
		default:
		}
		hold.Release()
		if !<-answered {
			t.Error("synchronous: answered, but not cached")
		}
	}
}

// Switch C: a fill that never happens although it was answered with success.
func TestDrop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p    float64
		want [2]int // cached of 200: from, to
	}{{0, [2]int{200, 200}}, {0.5, [2]int{70, 130}}, {1, [2]int{0, 0}}} {
		cached := func(seed uint64) (keys []string) {
			s := direct(t, large, func(o *Options) { o.Timing, o.DropProbability, o.Seed = Timing{}, tt.p, seed })
			defer s.Close()
			for i := range 200 {
				url := "http://ckpt.cwlota.com/k" + strings.Repeat("x", i)
				if w := do(t, s.LOTA(), http.MethodHead, url, warmingRange); w.Code != http.StatusPartialContent {
					t.Fatalf("status %d", w.Code)
				}
			}
			for _, o := range s.Objects() {
				keys = append(keys, o.Key)
			}
			return keys
		}
		first := cached(7)
		if n := len(first); n < tt.want[0] || n > tt.want[1] {
			t.Errorf("p = %v: %d of 200 cached, want %v", tt.p, n, tt.want)
		}
		if diff := cmp.Diff(first, cached(7)); diff != "" {
			t.Errorf("p = %v: the same seed gave another run (-first +second):\n%s", tt.p, diff)
		}
		if tt.p == 0.5 && cmp.Equal(first, cached(8)) {
			t.Error("another seed gave the same run")
		}
	}
}

// Switch C: least recently used objects leave first.
func TestCapacity(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.Nodes, o.NodeBytes = 2, 15_000_000 })
	for _, k := range []string{"a", "b", "c"} {
		b.cat.Put("ckpt", k, large)
		b.warm(t, k)
	}
	b.warm(t, "a") // now b is the oldest
	b.cat.Put("ckpt", "d", large)
	b.warm(t, "d")
	var keys []string
	for _, o := range b.sim.Objects() {
		keys = append(keys, o.Key)
	}
	if diff := cmp.Diff([]string{"d", "a", "c"}, keys); diff != "" {
		t.Errorf("cached (-want +got):\n%s", diff)
	}
	if n := b.sim.Counters(); n.Evicted != 1 || n.CachedBytes != 3*large {
		t.Errorf("evicted %d, %d bytes cached; want 1, %d", n.Evicted, n.CachedBytes, 3*large)
	}
}

// Switch D: what a second HEAD of the same version does.
func TestRepeat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		refill bool
		want   []Filled
		fills  int64
	}{
		{false, []Filled{FillStarted, FillCoalesced, FillHit}, 1},
		{true, []Filled{FillStarted, FillStarted, FillStarted}, 3},
	} {
		b := setup(t, func(o *Options) { o.Refill = tt.refill })
		b.cat.Put("ckpt", "k", large)
		hold, err := b.sim.HoldFills(Match{})
		if err != nil {
			t.Fatal(err)
		}
		b.warm(t, "k")
		b.warm(t, "k")
		hold.Release()
		waitFor(t, func() bool { return b.sim.Truth("ckpt", "k").Cached && !b.sim.Truth("ckpt", "k").Filling })
		b.warm(t, "k")
		var got []Filled
		for _, r := range b.ended(t, 3) {
			got = append(got, r.Filled)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("refill %v (-want +got):\n%s", tt.refill, diff)
		}
		if n := b.sim.Truth("ckpt", "k").Fills; n != tt.fills {
			t.Errorf("refill %v: %d fills, want %d", tt.refill, n, tt.fills)
		}
	}
}

// An overwrite makes an object cold, also one during the fill.
func TestOverwrite(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	old := b.cat.Put("ckpt", "last.ckpt", large)
	hold, err := b.sim.HoldFills(Match{})
	if err != nil {
		t.Fatal(err)
	}
	b.warm(t, "last.ckpt")
	renewed := b.cat.Put("ckpt", "last.ckpt", 2*large)
	b.warm(t, "last.ckpt")
	hold.Release()
	waitFor(t, func() bool { return b.sim.Truth("ckpt", "last.ckpt").Cached })
	got := b.sim.Truth("ckpt", "last.ckpt")
	if got.ETag != renewed || got.Bytes != 2*large || got.Fills != 2 {
		t.Errorf("truth = %+v, want the version %s, not %s, after two fills", got, renewed, old)
	}
	third := b.cat.Put("ckpt", "last.ckpt", large)
	b.warm(t, "last.ckpt")
	if got := b.sim.Truth("ckpt", "last.ckpt"); got.ETag != third || got.Fills != 3 {
		t.Errorf("truth = %+v, want the version %s", got, third)
	}
}

// A fill of an old version that ends last changes nothing.
func TestLateFill(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.Put("ckpt", "last.ckpt", large)
	older, err := b.sim.HoldFills(Match{})
	if err != nil {
		t.Fatal(err)
	}
	b.warm(t, "last.ckpt")
	renewed := b.cat.Put("ckpt", "last.ckpt", large)
	newer, err := b.sim.HoldFills(Match{}) // the last rule holds
	if err != nil {
		t.Fatal(err)
	}
	b.warm(t, "last.ckpt")
	newer.Release()
	waitFor(t, func() bool { return b.sim.Truth("ckpt", "last.ckpt").Cached })
	older.Release()
	b.sim.fills.Wait()
	if got := b.sim.Truth("ckpt", "last.ckpt"); got.ETag != renewed || b.sim.Counters().FillsDone != 1 {
		t.Errorf("truth = %+v, want the version %s", got, renewed)
	}
}

// A write during a fill makes it lead to nothing.
func TestWriteDuringFill(t *testing.T) {
	t.Parallel()
	s := direct(t, large, func(o *Options) { o.Timing = Timing{} })
	defer s.Close()
	hold, err := s.HoldFills(Match{})
	if err != nil {
		t.Fatal(err)
	}
	do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange)
	do(t, s.Primary(), http.MethodPut, "http://ckpt.cwobject.com/k", "")
	hold.Release()
	s.fills.Wait()
	if got := s.Truth("ckpt", "k"); got.Cached || got.Filling {
		t.Errorf("truth = %+v, want it cold", got)
	}
}

// A write through either listener makes the object cold before it is answered.
func TestWriteInvalidates(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method, url string
		cold        bool
	}{
		{http.MethodPut, "/k", true},
		{http.MethodPut, "/k?x-id=PutObject", true},
		{http.MethodDelete, "/k", true},
		{http.MethodDelete, "/k?versionId=null", true},
		{http.MethodDelete, "/k?versionId=another", false},
		{http.MethodPost, "/k?uploadId=u", true},
		{http.MethodPut, "/k?partNumber=1&uploadId=u", false},
		{http.MethodPost, "/k?uploads=", false},
		{http.MethodPut, "/k?tagging=", false},
		{http.MethodPut, "/other", false},
	} {
		for _, host := range []string{"http://ckpt.cwlota.com", "http://ckpt.cwobject.com"} {
			s := direct(t, large, func(o *Options) { o.Timing = Timing{} })
			h := s.LOTA()
			do(t, h, http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange)
			if strings.HasSuffix(host, "cwobject.com") {
				h = s.Primary()
			}
			do(t, h, tt.method, host+tt.url, "")
			if got := !s.Truth("ckpt", "k").Cached; got != tt.cold {
				t.Errorf("%s %s%s: cold = %v, want %v", tt.method, host, tt.url, got, tt.cold)
			}
			s.Close()
		}
	}
}

// A GET of a miss fills, ranged or not; a GET through the primary doesn't.
func TestGetFills(t *testing.T) {
	t.Parallel()
	for _, byteRange := range []string{"", "bytes=100-199"} {
		b := setup(t, nil)
		b.cat.Put("ckpt", "k", 5_000_000)
		in := &s3.GetObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("k")}
		if byteRange != "" {
			in.Range = aws.String(byteRange)
		}
		for _, c := range []*s3.Client{b.primary, b.lota, b.lota} {
			out, err := c.GetObject(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			out.Body.Close()
		}
		var got []Filled
		for _, r := range b.ended(t, 3) {
			got = append(got, r.Filled)
		}
		if diff := cmp.Diff([]Filled{FillNone, FillStarted, FillHit}, got); diff != "" {
			t.Errorf("range %q (-want +got):\n%s", byteRange, diff)
		}
		if tr := b.sim.Truth("ckpt", "k"); !tr.Cached || tr.Bytes != 5_000_000 || tr.RangedHeads != 0 {
			t.Errorf("truth = %+v, want the whole object cached", tr)
		}
	}
}
