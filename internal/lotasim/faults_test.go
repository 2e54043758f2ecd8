package lotasim

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (b *bundle) rule(t *testing.T, r Rule) int {
	t.Helper()
	id, err := b.sim.AddRule(r)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRulesMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		match Match
		want  []bool // of the requests below
	}{
		{"all", Match{}, []bool{true, true, true, true}},
		{"listener", Match{Listener: ListenerPrimary}, []bool{false, false, false, true}},
		{"method", Match{Method: http.MethodHead}, []bool{true, true, false, true}},
		{"bucket", Match{Bucket: "ck*"}, []bool{true, true, false, true}},
		{"key", Match{Key: "*/a?.pt"}, []bool{true, false, false, false}},
		{"part of a key", Match{Key: "*step*"}, []bool{true, true, false, false}},
		{"ranged", Match{Ranged: true}, []bool{true, false, true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := direct(t, large, func(o *Options) { o.Timing = Timing{} })
			defer s.Close()
			if _, err := s.AddRule(Rule{Match: tt.match, Do: AnswerStatus, Status: http.StatusServiceUnavailable, RetryAfter: "7"}); err != nil {
				t.Fatal(err)
			}
			var got []bool
			for _, r := range []struct{ method, url, byteRange string }{
				{http.MethodHead, "http://ckpt.cwlota.com/run/step-1/a1.pt", warmingRange},
				{http.MethodHead, "http://ckpt.cwlota.com/run/step-1/b.pt", ""},
				{http.MethodGet, "http://models.cwlota.com/m", "bytes=0-9"},
				{http.MethodHead, "http://ckpt.cwobject.com/m", ""},
			} {
				h := s.LOTA()
				if strings.Contains(r.url, "cwobject") {
					h = s.Primary()
				}
				w := do(t, h, r.method, r.url, r.byteRange)
				got = append(got, w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "7")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("applied (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRuleCount(t *testing.T) {
	t.Parallel()
	s := direct(t, large, func(o *Options) { o.Timing = Timing{} })
	defer s.Close()
	if _, err := s.AddRule(Rule{Do: AnswerStatus, Status: 503, Count: 2}); err != nil {
		t.Fatal(err)
	}
	var got []int
	for range 4 {
		got = append(got, do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange).Code)
	}
	if diff := cmp.Diff([]int{503, 503, 206, 206}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if n := s.Truth("ckpt", "k").RangedHeads; n != 2 {
		t.Errorf("%d ranged HEADs reached the cache, want 2", n)
	}
	if n := s.Counters(); n.ProxyErrors != 2 || n.Requests != 4 || n.RangeRequests != 4 {
		t.Errorf("counters = %+v", n)
	}
}

func TestRuleProbability(t *testing.T) {
	t.Parallel()
	hits := func(seed uint64) (out []int) {
		s := direct(t, large, func(o *Options) { o.Timing, o.Seed = Timing{}, seed })
		defer s.Close()
		if _, err := s.AddRule(Rule{Do: AnswerStatus, Status: 500, Probability: 0.3}); err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			if do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", "").Code == http.StatusInternalServerError {
				out = append(out, i)
			}
		}
		return out
	}
	first := hits(5)
	if len(first) < 30 || len(first) > 90 {
		t.Errorf("%d of 200, want about 60", len(first))
	}
	if diff := cmp.Diff(first, hits(5)); diff != "" {
		t.Errorf("the same seed gave another run:\n%s", diff)
	}
	if cmp.Equal(first, hits(6)) {
		t.Error("another seed gave the same run")
	}
}

func TestRuleReset(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.Put("ckpt", "k", large)
	b.rule(t, Rule{Do: Reset})
	_, err := head(t, b.lota, "ckpt", "k", warmingRange)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error = %v, want a reset", err)
	}
	for _, r := range b.ended(t, 1) {
		if !r.Aborted || r.Status != 0 {
			t.Errorf("history has %+v, want it aborted", r)
		}
	}
}

func TestRuleStall(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.Put("ckpt", "k", large)
	b.rule(t, Rule{Do: Stall})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+b.server.LOTAAddr()+"/k", nil)
		if err != nil {
			failed <- err
			return
		}
		r.Host = "ckpt.cwlota.com"
		tr := &http.Transport{}
		defer tr.CloseIdleConnections()
		resp, err := tr.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	waitFor(t, func() bool { return b.sim.Count(Filter{}) == 1 })
	if r := b.sim.History(Filter{})[0]; r.Done {
		t.Errorf("history has %+v, want it under way", r)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	waitFor(t, func() bool { r := b.sim.History(Filter{})[0]; return r.Done && r.Aborted })
}

func TestRuleTimes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		rule   Rule
		want   time.Duration
		status int // 0: no answer
	}{
		{"latency", Rule{Do: Latency, For: 2 * time.Second}, 2 * time.Second, 206},
		{"stall", Rule{Do: Stall, For: 3 * time.Second}, 3 * time.Second, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := direct(t, large, func(o *Options) { o.Timing = Timing{} })
				defer s.Close()
				if _, err := s.AddRule(tt.rule); err != nil {
					t.Fatal(err)
				}
				func() {
					defer func() { _ = recover() }()
					do(t, s.LOTA(), http.MethodHead, "http://ckpt.cwlota.com/k", warmingRange)
				}()
				if r := s.History(Filter{})[0]; r.Duration != tt.want || r.Status != tt.status {
					t.Errorf("HTTP %d after %v, want %d after %v", r.Status, r.Duration, tt.status, tt.want)
				}
			})
		})
	}
}

func TestRuleSlowHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.PutBytes("ckpt", "k", []byte("the body comes whole"))
	b.rule(t, Rule{Do: SlowHeaders, For: 100 * time.Millisecond})
	start := time.Now()
	out, err := head(t, b.lota, "ckpt", "k", "")
	if err != nil || *out.ContentLength != 20 {
		t.Fatalf("HEAD: %+v, %v", out, err)
	}
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("the header took %v", took)
	}
	body := get(t, b.lota, "ckpt", "k", "")
	if string(body) != "the body comes whole" {
		t.Errorf("body %q", body)
	}
}

func TestRuleDropFill(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.Put("ckpt", "k", large)
	b.rule(t, Rule{Do: DropFill, Count: 1})
	for i, want := range []Filled{FillDropped, FillStarted} {
		b.warm(t, "k")
		if r := b.ended(t, i+1)[i]; r.Filled != want || b.sim.Truth("ckpt", "k").Cached != (i == 1) {
			t.Errorf("HEAD %d: %+v, want %q", i+1, r, want)
		}
	}
	if n := b.sim.Counters().CacheErrors; n != 1 {
		t.Errorf("%d cache errors, want 1", n)
	}
}

// Hold lets a test decide that a comes after b.
func TestHold(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.Put("ckpt", "a", large)
	b.cat.Put("ckpt", "b", large)
	hold, err := b.sim.Hold(Match{Key: "a"})
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := head(t, b.lota, "ckpt", "a", warmingRange)
		answered <- err
	}()
	if err := hold.Arrived(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.warm(t, "b")
	if b.sim.Truth("ckpt", "a").RangedHeads != 0 {
		t.Error("a got through")
	}
	hold.Release()
	if err := <-answered; err != nil {
		t.Errorf("a after its release: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := hold.Arrived(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a second arrival: %v, want that the context ended", err)
	}
}

func TestWrongRules(t *testing.T) {
	t.Parallel()
	s := direct(t, large, nil)
	defer s.Close()
	for _, r := range []Rule{
		{},
		{Do: "explode"},
		{Do: AnswerStatus},
		{Do: AnswerStatus, Status: 200},
		{Do: Latency},
		{Do: SlowHeaders},
		{Do: Reset, Probability: 1.1},
		{Do: Reset, Count: -1},
		{Do: Stall, For: -time.Second},
		{Do: Reset, Match: Match{Listener: "admin"}},
	} {
		if id, err := s.AddRule(r); err == nil {
			t.Errorf("AddRule(%+v) = %d, want an error", r, id)
		}
	}
	for range maxRules {
		if _, err := s.AddRule(Rule{Do: Reset}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AddRule(Rule{Do: Reset}); err == nil {
		t.Error("rules are not bounded")
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true},
		{"", "", true},
		{"", "a", false},
		{"a*b*c", "a/x/b//c", true},
		{"a*b*c", "a/x/c", false},
		{"?", "", false},
		{"*ab", "aab", true},
		{"[a]", "a", false},
		{"**", "x", true},
	} {
		if got := glob(tt.pattern, tt.s); got != tt.want {
			t.Errorf("glob(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}
