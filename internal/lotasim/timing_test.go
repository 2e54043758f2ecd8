package lotasim

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestTiming measures the model of time on a clock that runs only when nothing
// else does.
func TestTiming(t *testing.T) {
	t.Parallel()
	timing := Timing{
		Metadata:         3 * time.Millisecond,
		BackendFirstByte: 25 * time.Millisecond,
		BackendRate:      100_000_000,
		CacheFirstByte:   time.Millisecond,
		CacheRate:        1_000_000_000,
		FillRate:         50_000_000,
	}
	tests := []struct {
		name        string
		synchronous bool
		warm        bool // before
		primary     bool
		method      string
		byteRange   string
		want        time.Duration
	}{
		{name: "plain HEAD", method: http.MethodHead, want: 3 * time.Millisecond},
		{name: "ranged HEAD", method: http.MethodHead, byteRange: warmingRange, want: 3 * time.Millisecond},
		{name: "ranged HEAD, synchronous", synchronous: true, method: http.MethodHead, byteRange: warmingRange, want: 225 * time.Millisecond},
		{name: "ranged HEAD, synchronous, warm", synchronous: true, warm: true, method: http.MethodHead, byteRange: warmingRange, want: 3 * time.Millisecond},
		{name: "cold GET", method: http.MethodGet, want: 125 * time.Millisecond},
		{name: "warm GET", warm: true, method: http.MethodGet, want: 11 * time.Millisecond},
		{name: "cold part", method: http.MethodGet, byteRange: "bytes=0-999999", want: 35 * time.Millisecond},
		{name: "warm part", warm: true, method: http.MethodGet, byteRange: "bytes=0-999999", want: 2 * time.Millisecond},
		{name: "primary GET", warm: true, primary: true, method: http.MethodGet, want: 125 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := direct(t, large, func(o *Options) { o.Timing, o.Synchronous = timing, tt.synchronous })
				defer s.Close()
				if tt.warm {
					do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange)
					time.Sleep(time.Second)
				}
				h, url := s.LOTA(), "http://ckpt.cwlota.com/k"
				if tt.primary {
					h, url = s.Primary(), "http://ckpt.cwobject.com/k"
				}
				start := time.Now()
				w := do(t, h, tt.method, url, tt.byteRange)
				if got := time.Since(start); got != tt.want || w.Code/100 != 2 {
					t.Errorf("HTTP %d after %v, want 2xx after %v", w.Code, got, tt.want)
				}
			})
		})
	}
}

// A fill takes its time, in which the object isn't cached and a GET reads
// through at the backend's speed instead of waiting.
func TestFillTakesTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := direct(t, large, func(o *Options) {
			o.Timing = Timing{FillRate: 1_000_000, BackendFirstByte: time.Second, CacheFirstByte: time.Millisecond}
		})
		defer s.Close()
		do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange)
		time.Sleep(11*time.Second - time.Nanosecond)
		synctest.Wait()
		if tr := s.Truth("ckpt", "k"); tr.Cached || !tr.Filling {
			t.Errorf("just before the end: %+v", tr)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if tr := s.Truth("ckpt", "k"); !tr.Cached || tr.Filling {
			t.Errorf("at the end: %+v", tr)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := direct(t, large, func(o *Options) { o.Timing = Timing{FillRate: 1_000_000, BackendFirstByte: time.Second} })
		defer s.Close()
		do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange)
		start := time.Now()
		do(t, s.LOTA(), http.MethodGet, "http://ckpt.cwlota.com/k", "")
		if took := time.Since(start); took != time.Second {
			t.Errorf("GET during the fill took %v, want the backend's second", took)
		}
		if h := s.History(Filter{Method: http.MethodGet}); h[0].Filled != FillCoalesced {
			t.Errorf("GET during the fill: %q", h[0].Filled)
		}
	})
}

// Close ends fills that would take for ever.
func TestCloseEndsFills(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := direct(t, large, func(o *Options) { o.Timing = Timing{FillRate: 1} })
		do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange)
		start := time.Now()
		s.Close()
		s.Close()
		if tr := s.Truth("ckpt", "k"); tr.Cached || tr.Filling || time.Since(start) != 0 {
			t.Errorf("after Close: %+v", tr)
		}
	})
}

// A client that leaves ends its own request, not the fill.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := direct(t, large, func(o *Options) { o.Timing, o.Synchronous = Timing{FillRate: 1_000_000}, true })
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodHead, "http://ckpt.cwlota.com/k", nil)
		r.Header.Set("Range", warmingRange)
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // a panic's value is compared as net/http does
					t.Errorf("panic %v, want http.ErrAbortHandler", p)
				}
			}()
			s.LOTA().ServeHTTP(httptest.NewRecorder(), r)
		}()
		if h := s.History(Filter{}); !h[0].Aborted || h[0].Status != 0 || h[0].Duration != time.Second {
			t.Errorf("history = %+v, want one that was aborted after a second", h)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !s.Truth("ckpt", "k").Cached {
			t.Error("the fill ended with its client")
		}
	})
}

func TestTiers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := direct(t, large, func(o *Options) { o.Timing = Timing{} })
		defer s.Close()
		tier := func() string { return s.Truth("ckpt", "k").Tier }
		if got := tier(); got != "" {
			t.Errorf("never seen: tier %q", got)
		}
		do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange)
		for _, step := range []struct {
			pass time.Duration
			want string
		}{{0, "hot"}, {warmAfter, "warm"}, {coldAfter - warmAfter, "cold"}} {
			time.Sleep(step.pass)
			do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", "") // no access
			if got := tier(); got != step.want {
				t.Errorf("after %v more: tier %q, want %q", step.pass, got, step.want)
			}
		}
		for name, access := range map[string]func(){
			"ranged HEAD":                func() { do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange) },
			"ranged HEAD of the primary": func() { do(t, s.Primary(), http.MethodHead, "http://ckpt.cwobject.com/k", warmingRange) },
			"GET":                        func() { do(t, s.LOTA(), http.MethodGet, "http://ckpt.cwlota.com/k", "") },
			"GET of the primary":         func() { do(t, s.Primary(), http.MethodGet, "http://ckpt.cwobject.com/k", "") },
		} {
			time.Sleep(coldAfter)
			if got := tier(); got != "cold" {
				t.Errorf("before a %s: tier %q", name, got)
			}
			access()
			if got := tier(); got != "hot" {
				t.Errorf("after a %s: tier %q", name, got)
			}
		}
	})
}

func TestUnknownBucketStalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := anObject(large)
		s, err := New(Defaults(), Backends{LOTA: h, Primary: h, HasBucket: func(name string) bool { return name == "ckpt" }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		start := time.Now()
		func() {
			defer func() { _ = recover() }()
			do(t, s.LOTA(), http.MethodHead, "http://nobody.cwlota.com/k", warmingRange)
		}()
		if r := s.History(Filter{})[0]; time.Since(start) != time.Minute || r.Status != 0 || !r.Aborted {
			t.Errorf("after %v: %+v; want no answer for a minute", time.Since(start), r)
		}
		if w := do(t, s.LOTA(), http.MethodPut, "http://new.cwlota.com/", ""); w.Code != http.StatusOK {
			t.Errorf("creating a bucket: HTTP %d, want the backend's own", w.Code)
		}
		if w := do(t, s.Primary(), http.MethodHead, "http://nobody.cwobject.com/", ""); w.Code != http.StatusOK {
			t.Errorf("primary: HTTP %d, want the backend's own", w.Code)
		}
	})
}

// How long a bucket that doesn't exist stalls is a switch: so long, or as the
// client's patience lasts.
func TestUnknownBucketStall(t *testing.T) {
	t.Parallel()
	for stall, want := range map[time.Duration]time.Duration{0: 24 * time.Hour, time.Second: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			o := Defaults()
			o.UnknownBucketStall = stall
			h := anObject(large)
			s, err := New(o, Backends{LOTA: h, Primary: h, HasBucket: func(string) bool { return false }})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
			defer cancel()
			start := time.Now()
			func() {
				defer func() { _ = recover() }() // the connection is cut
				r := httptest.NewRequestWithContext(ctx, http.MethodHead, "http://nobody.cwlota.com/k", nil)
				s.LOTA().ServeHTTP(httptest.NewRecorder(), r)
			}()
			if took := time.Since(start); took != want {
				t.Errorf("stall %v: cut after %v, want %v", stall, took, want)
			}
		})
	}
}

// A bucket that doesn't exist may also answer: with the backend's 404.
func TestUnknownBucketAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.UnknownBucketAnswers = true })
	if _, err := head(t, b.lota, "nobody", "k", warmingRange); errorCode(err) != "NotFound" {
		t.Errorf("HEAD: %v, want 404", err)
	}
	_, err := b.lota.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("nobody")})
	if errorCode(err) != "NoSuchBucket" {
		t.Errorf("list: %v, want NoSuchBucket", err)
	}
}

// What a GET says of a bucket that isn't usable yet.
func TestNewBucketBare(t *testing.T) {
	t.Parallel()
	for _, bare := range []bool{false, true} {
		s := direct(t, large, func(o *Options) { o.NewBucketBare = bare })
		defer s.Close()
		do(t, s.Primary(), http.MethodPut, "http://fresh.cwobject.com/", "")
		w := do(t, s.LOTA(), http.MethodGet, "http://fresh.cwlota.com/k", "")
		if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "<Code>InvalidRegion<") == bare || w.Body.Len() == 0 != bare {
			t.Errorf("bare %v: HTTP %d, %q", bare, w.Code, w.Body)
		}
		if r := s.History(Filter{Method: http.MethodGet})[0]; r.Status != http.StatusBadRequest || r.Aborted {
			t.Errorf("bare %v: history has %+v", bare, r)
		}
	}
}

func TestNewBucketSettles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := direct(t, large, nil)
		defer s.Close()
		fast := direct(t, large, func(o *Options) { o.NewBucketDelay = 0 })
		defer fast.Close()
		do(t, fast.LOTA(), http.MethodPut, "http://fresh.cwlota.com/", "")
		if w := do(t, fast.LOTA(), http.MethodHead, "http://fresh.cwlota.com/k", ""); w.Code != http.StatusOK {
			t.Errorf("at once, without a delay: HTTP %d, want 200", w.Code)
		}
		status := func(method, url string) int { return do(t, s.LOTA(), method, "http://fresh.cwlota.com"+url, "").Code }
		if got := status(http.MethodPut, "/"); got != http.StatusOK {
			t.Fatalf("create: HTTP %d", got)
		}
		if got := status(http.MethodHead, "/k"); got != http.StatusBadRequest {
			t.Errorf("at once: HTTP %d, want 400", got)
		}
		time.Sleep(time.Minute + time.Second)
		if got := status(http.MethodHead, "/k"); got != http.StatusOK {
			t.Errorf("after a minute: HTTP %d, want 200", got)
		}
	})
}
