package lotasim

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Switch E: a GET that meets a fill. The fill brings 1 MB per second, after a
// second; the cache is ten times as fast, the backend a hundred times.
func TestGetDuringFill(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		way       GetDuringFill
		byteRange string
		after     time.Duration // from the HEAD to the GET
		want      time.Duration // of the GET
	}{
		{"read through", ReadThrough, "", 0, 1100 * time.Millisecond},
		{"read a part through", ReadThrough, "bytes=9000000-9999999", 0, 1010 * time.Millisecond},
		{"join at once", JoinFill, "", 0, 11 * time.Second},
		{"join the end", JoinFill, "", 10900 * time.Millisecond, time.Second},
		{"join for what is not there yet", JoinFill, "bytes=2000000-2999999", time.Second, 3 * time.Second},
		{"join for what is there", JoinFill, "bytes=0-999999", 5 * time.Second, 100 * time.Millisecond},
		{"await", AwaitFill, "", 0, 12 * time.Second},
		{"await the end", AwaitFill, "", 10900 * time.Millisecond, 1100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := direct(t, large, func(o *Options) {
					o.GetDuringFill = tt.way
					o.Timing = Timing{FillRate: 1_000_000, BackendFirstByte: time.Second, BackendRate: 100_000_000, CacheRate: 10_000_000}
				})
				defer s.Close()
				do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange)
				time.Sleep(tt.after)
				start := time.Now()
				w := do(t, s.LOTA(), http.MethodGet, "http://ckpt.cwlota.com/k", tt.byteRange)
				if took := time.Since(start); took != tt.want || w.Code/100 != 2 {
					t.Errorf("HTTP %d after %v, want 2xx after %v", w.Code, took, tt.want)
				}
				if got := s.History(Filter{Method: http.MethodGet})[0].Filled; got != FillCoalesced {
					t.Errorf("filled %q, want %q", got, FillCoalesced)
				}
			})
		})
	}
}

// Who awaits a fill that comes to nothing reads from the backend in the end; who
// joins one that is held waits for its release.
func TestGetDuringAnEndlessFill(t *testing.T) {
	t.Parallel()
	for way, want := range map[GetDuringFill]time.Duration{
		JoinFill:  time.Minute + time.Second,   // the release, and the first byte of the fill
		AwaitFill: time.Minute + 2*time.Second, // and that of the backend
	} {
		synctest.Test(t, func(t *testing.T) {
			s := direct(t, large, func(o *Options) {
				o.GetDuringFill, o.Timing = way, Timing{BackendFirstByte: time.Second}
			})
			defer s.Close()
			hold, err := s.HoldFills(Match{})
			if err != nil {
				t.Fatal(err)
			}
			do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange)
			var took time.Duration
			go func() {
				start := time.Now()
				do(t, s.LOTA(), http.MethodGet, "http://ckpt.cwlota.com/k", "")
				took = time.Since(start)
			}()
			time.Sleep(time.Minute)
			do(t, s.LOTA(), http.MethodPut, "http://ckpt.cwlota.com/k", "") // the fill is stale
			hold.Release()
			time.Sleep(time.Minute)
			synctest.Wait()
			if took != want {
				t.Errorf("%s: GET took %v, want %v", way, took, want)
			}
			if s.Truth("ckpt", "k").Cached {
				t.Errorf("%s: a stale fill made it warm", way)
			}
		})
	}
}

// Switch C: what a full cache does.
func TestFullCache(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		refuses bool
		want    []string
		errors  int64
	}{{false, []string{"c", "b"}, 0}, {true, []string{"b", "a"}, 1}} {
		b := setup(t, func(o *Options) { o.Nodes, o.NodeBytes, o.FullCacheRefuses = 2, large, tt.refuses })
		for _, k := range []string{"a", "b", "c"} {
			b.cat.Put("ckpt", k, large)
			b.warm(t, k)
		}
		if diff := cmp.Diff(tt.want, cachedKeys(b.sim)); diff != "" {
			t.Errorf("refuses %v, cached (-want +got):\n%s", tt.refuses, diff)
		}
		if n := b.sim.Counters().CacheErrors; n != tt.errors {
			t.Errorf("refuses %v: %d cache errors, want %d", tt.refuses, n, tt.errors)
		}
		b.cat.Put("ckpt", "b", large) // its old version makes room for the new one
		b.warm(t, "b")
		if !b.sim.Truth("ckpt", "b").Cached {
			t.Errorf("refuses %v: an overwrite didn't find the room of what it replaced", tt.refuses)
		}
	}
}

// Switch C: objects leave the cache by age, or never, whoever looks first.
func TestCacheTTL(t *testing.T) {
	t.Parallel()
	warm := func(t *testing.T, s *Sim, key string) {
		t.Helper()
		do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/"+key, warmingRange)
	}
	looks := map[string]func(t *testing.T, s *Sim) bool{ // whether k is cached
		"truth":    func(_ *testing.T, s *Sim) bool { return s.Truth("ckpt", "k").Cached },
		"objects":  func(_ *testing.T, s *Sim) bool { return len(s.Objects()) == 1 },
		"counters": func(_ *testing.T, s *Sim) bool { return s.Counters().CachedBytes == large },
		"request": func(t *testing.T, s *Sim) bool {
			warm(t, s, "k")
			return s.Truth("ckpt", "k").Fills == 1
		},
		"a fill that needs its room": func(t *testing.T, s *Sim) bool {
			warm(t, s, "other")
			return !s.Truth("ckpt", "other").Cached
		},
	}
	for name, cached := range looks {
		for _, ttl := range []time.Duration{0, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				s := direct(t, large, func(o *Options) {
					o.Timing, o.CacheTTL, o.FullCacheRefuses = Timing{}, ttl, true
					o.Nodes, o.NodeBytes = 1, large
				})
				defer s.Close()
				warm(t, s, "k")
				time.Sleep(time.Hour - time.Nanosecond)
				warm(t, s, "k") // a hit prolongs nothing
				if got := s.Truth("ckpt", "k"); !got.Cached || got.Fills != 1 {
					t.Errorf("TTL %v, before its end: %+v", ttl, got)
				}
				time.Sleep(time.Nanosecond)
				if got := cached(t, s); got != (ttl == 0) {
					t.Errorf("TTL %v, after an hour, by %s: cached %v", ttl, name, got)
				}
			})
		}
	}
}

func cachedKeys(s *Sim) (keys []string) {
	for _, o := range s.Objects() {
		keys = append(keys, o.Key)
	}
	return keys
}

// parts is anObject whose ETag is that of a multipart upload.
func parts(size int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"0123-4"`)
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	})
}

// Switch C: a lost node takes its share, which LOTA fills again or doesn't.
func TestLoseNode(t *testing.T) {
	t.Parallel()
	for _, refills := range []bool{false, true} {
		lost := func(h http.Handler) (perNode []int, left int) {
			o := Fast()
			o.Seed, o.Nodes, o.RefillLost = 1, 4, refills
			s, err := New(o, Backends{LOTA: h, Primary: h})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for i := range 100 {
				do(t, s.LOTA(), http.MethodHead, fmt.Sprintf("http://ckpt.cwlota.com/k%d", i), warmingRange)
			}
			for node := range 4 {
				n, err := s.LoseNode(node)
				if err != nil {
					t.Fatal(err)
				}
				perNode = append(perNode, n)
			}
			for _, wrong := range []int{-1, 4} {
				if _, err := s.LoseNode(wrong); err == nil {
					t.Errorf("node %d was lost", wrong)
				}
			}
			return perNode, len(s.Objects())
		}
		single, left := lost(anObject(large))
		sum := 0
		for node, n := range single {
			if sum += n; n < 10 || n > 40 {
				t.Errorf("node %d held %d of 100 objects", node, n)
			}
		}
		if sum != 100 || left != 100*map[bool]int{true: 1}[refills] {
			t.Errorf("refills %v: lost %d, %d are left", refills, sum, left)
		}
		want := []int{100, 0, 0, 0} // any node has a part of each
		if refills {
			want = []int{100, 100, 100, 100}
		}
		if got, _ := lost(parts(large)); !cmp.Equal(want, got) {
			t.Errorf("refills %v: lost %v objects of several parts, want %v", refills, got, want)
		}
	}
}

// Switch I: whether a write through LOTA fills.
func TestFillOnPut(t *testing.T) {
	t.Parallel()
	put := func(s *Sim, h http.Handler, url string, header http.Header) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, url, http.NoBody)
		r.ContentLength = large + 85
		maps.Copy(r.Header, header)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	for _, fills := range []bool{false, true} {
		s := direct(t, large, func(o *Options) { o.Timing, o.FillOnPut = Timing{}, fills })
		put(s, s.LOTA(), "http://ckpt.cwlota.com/k", nil)
		put(s, s.LOTA(), "http://ckpt.cwlota.com/chunked", http.Header{"X-Amz-Decoded-Content-Length": {strconv.Itoa(large)}})
		put(s, s.LOTA(), "http://ckpt.cwlota.com/copy", http.Header{"X-Amz-Copy-Source": {"ckpt/k"}})
		put(s, s.LOTA(), "http://ckpt.cwlota.com/k?tagging=", nil)
		put(s, s.Primary(), "http://ckpt.cwobject.com/primary", nil)
		got := map[string]int64{}
		for _, o := range s.Objects() {
			got[o.Key] = o.Bytes
		}
		want := map[string]int64{}
		if fills {
			want = map[string]int64{"k": large + 85, "chunked": large}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fills %v, cached (-want +got):\n%s", fills, diff)
		}
		if fills {
			do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/chunked", warmingRange)
			if h := s.History(Filter{Method: http.MethodHead}); h[0].Filled != FillHit {
				t.Errorf("a HEAD after the PUT: %q, want %q", h[0].Filled, FillHit)
			}
		}
		s.Close()
	}
}
