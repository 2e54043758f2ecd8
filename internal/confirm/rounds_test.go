package confirm

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

const ms = time.Millisecond

// script is a Prober that answers by a function and notes when it was asked.
type script struct {
	read func(t Target, n int) (time.Duration, error) // n: how often this place was read before

	mu    sync.Mutex
	start time.Time
	times []time.Duration // of the rounds, since start
	asked []time.Duration
	seen  map[string]int
}

func newScript(read func(t Target, n int) (time.Duration, error)) *script {
	return &script{read: read, start: time.Now(), seen: make(map[string]int)}
}

func (s *script) Probe(_ context.Context, t Target, offset int64) (time.Duration, error) {
	s.mu.Lock()
	place := t.Key + strconv.FormatInt(offset, 10) + time.Since(s.start).Round(time.Second).String()
	n := s.seen[place]
	s.seen[place]++
	if now := time.Since(s.start).Round(100 * ms); len(s.times) == 0 || s.times[len(s.times)-1] != now {
		s.times = append(s.times, now)
	}
	s.mu.Unlock()
	return s.read(t, n)
}

func (s *script) Head(context.Context, Target) (time.Duration, error) { return plainHead, nil }

func (s *script) Ask(context.Context, Target) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Since(s.start).Round(100*ms))
	return nil
}

// always answers alike: the first read of a place, then the second.
func always(first, second time.Duration) func(Target, int) (time.Duration, error) {
	return func(_ Target, n int) (time.Duration, error) {
		if n == 0 {
			return first, nil
		}
		return second, nil
	}
}

// newConfirmer returns one whose endpoint fills 100 MB/s, and which tells hits of
// 2 ms from misses of 20 ms unless it is to learn that yet.
func newConfirmer(t *testing.T, mode Mode, learnt bool) *Confirmer {
	t.Helper()
	c, err := New(Config{
		Mode: mode, Concurrency: 300, Rand: rand.New(rand.NewPCG(1, 2)),
		Tells: func(bool) {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.pace.perByte = 1.0 / 100e6
	if learnt {
		c.reads = *taught(muchTried, 40, 20*ms, 2*ms)
	}
	return c
}

func target(i int, size int64) Target {
	return Target{Ref: object.Ref{Bucket: "ckpt", Key: strconv.Itoa(i)}, ETag: "e", Size: size, Asked: time.Now(), Until: time.Now().Add(15 * time.Minute)}
}

func sampleOf(c *Confirmer, targets ...Target) *Sample {
	s := c.NewSample()
	for _, t := range targets {
		s.Add(t)
	}
	return s
}

// TestRounds: at 1, 2 and 4 times the expected time, here 10.25 s, asking anew
// after each that showed something slow.
func TestRounds(t *testing.T) {
	t.Parallel()
	const first, second, third = 10300 * ms, 20500 * ms, 41 * time.Second
	refused := func(status int, class outcome.Class) func(Target, int) (time.Duration, error) {
		return func(Target, int) (time.Duration, error) {
			return 0, &outcome.Error{Op: "read", Status: status, Class: class}
		}
	}
	for _, tt := range []struct {
		name   string
		learnt bool
		read   func(Target, int) (time.Duration, error)
		want   Standing
		rounds []time.Duration
		asked  []time.Duration
	}{
		{"there", true, always(2*ms, 2*ms), Verified, []time.Duration{first}, nil},
		{"never there", true, always(20*ms, 2*ms), Missing, []time.Duration{first, second, third}, []time.Duration{first, second}},
		{"slow for good", true, always(20*ms, 20*ms), Unknown, []time.Duration{first, second, third}, []time.Duration{first, second}},
		{"nothing is known of misses", false, always(2*ms, 2*ms), Unknown, []time.Duration{first, second, third}, nil},
		{"overwritten", true, refused(http.StatusPreconditionFailed, outcome.Refused), Changed, []time.Duration{first}, nil},
		{"deleted", true, refused(http.StatusNotFound, outcome.Failed), Changed, []time.Duration{first}, nil},
		{"failing reads", true, refused(http.StatusInternalServerError, outcome.Transient), Unknown, []time.Duration{first, second, third}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newConfirmer(t, Probe, tt.learnt)
				p := newScript(tt.read)
				results, enough := c.Confirm(t.Context(), t.Context(), p, sampleOf(c, target(1, 1000*mb)))
				if len(results) != 1 || results[0].Standing != tt.want || !enough {
					t.Errorf("%+v, enough: %v, want standing %d", results, enough, tt.want)
				}
				if diff := cmp.Diff(tt.rounds, p.times); diff != "" {
					t.Errorf("rounds (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.asked, p.asked); diff != "" {
					t.Errorf("asked again (-want +got):\n%s", diff)
				}
				if c.waiting != 0 {
					t.Errorf("%d still wait", c.waiting)
				}
			})
		})
	}
}

// TestFirstOfAll: where proof is asked for, an object that was read before its fill
// is verified although nothing else is known of the endpoint, and the next one
// that fails takes back that the endpoint tells.
func TestFirstOfAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConfirmer(t, Probe, false)
		told := false
		c.tells = func(now bool) { told = now }
		first := target(1, 10*mb)
		if !c.WantsBefore(first.Size) {
			t.Fatal("does not want to learn")
		}
		c.ReadBefore(t.Context(), newScript(always(20*ms, 20*ms)), first)
		p := newScript(always(2*ms, 2*ms))
		if results, _ := c.Confirm(t.Context(), t.Context(), p, sampleOf(c, first)); results[0].Standing != Verified || !told || c.ReadsTell() {
			t.Errorf("%+v, told: %v", results, told)
		}
		if results, _ := c.Confirm(t.Context(), t.Context(), p, sampleOf(c, target(2, 10*mb))); results[0].Standing != Unknown || told {
			t.Errorf("another: %+v, told: %v", results, told)
		}
	})
}

// TestCheapRounds: where reads tell, two places and three reads will do for a small
// object, but not after something spoke against it.
func TestCheapRounds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		doubt bool
		known int // objects
		size  int64
		read  func(Target, int) (time.Duration, error)
		want  Standing
		reads int
	}{
		"small":        {false, muchTried, 10 * mb, always(2*ms, 2*ms), Verified, 3},
		"of 8 strata":  {false, muchTried, 1000 * mb, always(2*ms, 2*ms), Verified, 9},
		"failed once":  {true, muchTried, 10 * mb, always(2*ms, 2*ms), Verified, 6},
		"little seen":  {false, muchTried - 1, 10 * mb, always(2*ms, 2*ms), Verified, 6},
		"never there":  {false, muchTried, 10 * mb, always(20*ms, 2*ms), Missing, 4 + 6 + 6},
		"slow forever": {false, muchTried, 10 * mb, always(20*ms, 20*ms), Unknown, 4 + 6 + 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newConfirmer(t, Auto, true)
				c.reads = *taught(tt.known, 40, 20*ms, 2*ms)
				c.budget.left = maxBudget
				p := newScript(tt.read)
				object := target(1, tt.size)
				object.Doubt = tt.doubt
				results, _ := c.Confirm(t.Context(), t.Context(), p, sampleOf(c, object))
				reads := 0
				for _, n := range p.seen {
					reads += n
				}
				if results[0].Standing != tt.want || reads != tt.reads {
					t.Errorf("%+v after %d reads, want %d", results, reads, tt.reads)
				}
				if left := maxBudget - int(c.budget.left+0.5); left != reads {
					t.Errorf("%d of the budget for %d reads", left, reads)
				}
			})
		})
	}
}

// TestConfirmEnds: with the time-out, and at once when start does.
func TestConfirmEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConfirmer(t, Probe, true)
		p := newScript(always(20*ms, 20*ms))
		tt := target(1, 1000*mb)
		tt.Until = time.Now().Add(10 * time.Second) // before the first round is due
		if results, _ := c.Confirm(t.Context(), t.Context(), p, sampleOf(c, tt)); results[0].Standing != Unknown || !slices.Equal(p.times, []time.Duration{9 * time.Second}) {
			t.Errorf("%+v after rounds at %v, want one at 9 s", results, p.times)
		}

		start, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		began := time.Now()
		results, _ := c.Confirm(t.Context(), start, p, sampleOf(c, target(2, 1000*mb), target(3, 10*mb)))
		if took := time.Since(began); took > time.Second+time.Millisecond || len(results) != 2 || c.waiting != 0 {
			t.Errorf("%+v after %s, %d waiting", results, took, c.waiting)
		}
	})
}

// TestQuiet: none is probed while requests are throttled. Who asks for proof waits
// for the end of that, everybody else does without.
func TestQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		throttle := &outcome.Error{Op: "read", Status: http.StatusServiceUnavailable, Class: outcome.Throttled}
		c := newConfirmer(t, Probe, true)
		c.Request(true)
		p := newScript(always(2*ms, 2*ms))
		results, _ := c.Confirm(t.Context(), t.Context(), p, sampleOf(c, target(1, 10*mb)))
		if diff := cmp.Diff([]time.Duration{quietFor}, p.times); diff != "" || results[0].Standing != Verified {
			t.Errorf("%+v: %s", results, diff)
		}
		c.Request(true)
		late := target(1, 10*mb)
		late.Until = time.Now().Add(quietFor - time.Second)
		if results, _ := c.Confirm(t.Context(), t.Context(), p, sampleOf(c, late)); results[0].Standing != Throttled {
			t.Errorf("no time left: %+v", results)
		}

		c = newConfirmer(t, Auto, true)
		c.budget.left = maxBudget
		p = newScript(func(Target, int) (time.Duration, error) { return 0, throttle })
		c.Confirm(t.Context(), t.Context(), p, sampleOf(c, target(1, 10*mb)))
		if c.WantsBefore(10 * mb) {
			t.Error("wants to read although a probe was throttled")
		}
		rounds := len(p.times)
		if results, enough := c.Confirm(t.Context(), t.Context(), p, sampleOf(c, target(2, 10*mb))); enough || len(results) > 0 || len(p.times) != rounds {
			t.Errorf("%+v, enough: %v", results, enough)
		}
	})
}

// TestBudget: probes are a tenth of the requests, and an event that they do not
// suffice for is left alone.
func TestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConfirmer(t, Auto, true)
		p := newScript(always(2*ms, 2*ms))
		confirmed := func(n int) int {
			s := c.NewSample()
			for i := range n {
				s.Add(target(i, 10*mb))
			}
			results, enough := c.Confirm(t.Context(), t.Context(), p, s)
			if enough != (len(results) >= min(n, minSample)) {
				t.Errorf("%d of %d, enough: %v", len(results), n, enough)
			}
			return len(results)
		}
		each := cost(10*mb, 0, true)
		if got := confirmed(1); got != 0 || c.WantsBefore(10*mb) {
			t.Errorf("%d confirmed without any request", got)
		}
		for range 10*each + 1 {
			c.Request(false)
		}
		if got := confirmed(20); got != 0 {
			t.Errorf("%d of 20 confirmed, with probes for one", got)
		}
		if got := confirmed(1); got != 1 {
			t.Error("not confirmed, with probes for one")
		}
		if left := int(c.budget.left + 0.5); left != each-3 {
			t.Errorf("%d probes left of %d, after one round", left, each)
		}
		c.budget.left = float64(each * 20)
		if got := confirmed(100); got != 20 {
			t.Errorf("%d of 100 confirmed, with probes for 20", got)
		}
		c.budget.left = maxBudget
		if got := confirmed(100); got != MaxSample {
			t.Errorf("%d of 100 confirmed, want %d", got, MaxSample)
		}
	})
}

func TestSample(t *testing.T) {
	t.Parallel()
	c := newConfirmer(t, Probe, false)
	chosen := make(map[string]int)
	const runs, objects = 200, 100
	for range runs {
		s := c.NewSample()
		for i := range objects {
			s.Add(target(i, int64(i+5)*mb))
		}
		got := s.targets()
		if len(got) != MaxSample || s.Of() != objects {
			t.Fatalf("%d of %d", len(got), s.Of())
		}
		for i, tt := range got {
			chosen[tt.Key]++
			if want := strconv.Itoa(objects - 1 - i); i < maxLargest && tt.Key != want {
				t.Errorf("place %d is %s, want %s", i, tt.Key, want)
			}
		}
	}
	for i := range objects - maxLargest { // each with 16 of 84
		if n := chosen[strconv.Itoa(i)]; n < runs*16/84/3 || n > runs*16/84*3 {
			t.Errorf("object %d was chosen %d times", i, n)
		}
	}
	if got := sampleOf(c, target(1, mb), target(2, mb)); len(got.targets()) != 2 || got.Of() != 2 {
		t.Errorf("of two: %v", got.targets())
	}
}

// TestQueueIsBounded: what finds no room is not known.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConfirmer(t, Probe, true)
		c.waiting = maxWaiting - 1
		p := newScript(always(2*ms, 2*ms))
		results, enough := c.Confirm(t.Context(), t.Context(), p, sampleOf(c, target(1, 10*mb), target(2, 20*mb)))
		var got []Standing
		for _, r := range results {
			got = append(got, r.Standing)
		}
		slices.Sort(got)
		if diff := cmp.Diff([]Standing{Unknown, Verified}, got); diff != "" || enough || c.waiting != maxWaiting-1 {
			t.Errorf("enough: %v, waiting %d, %s", enough, c.waiting, diff)
		}
	})
}

// TestWarnsOnce: that fills are known as accepted only, unless proof is asked for
// or the endpoint tells.
func TestWarnsOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode   Mode
		learnt bool
		want   int
	}{{Auto, false, 1}, {Auto, true, 0}, {Probe, false, 0}} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			c := newConfirmer(t, tt.mode, tt.learnt)
			c.log = slog.New(slog.NewTextHandler(&log, nil))
			for range 3 {
				c.Confirm(t.Context(), t.Context(), newScript(always(2*ms, 2*ms)), sampleOf(c, target(1, 10*mb)))
			}
			if got := strings.Count(log.String(), "level=WARN"); got != tt.want {
				t.Errorf("%s, learnt %v: %d warnings, want %d: %s", tt.mode, tt.learnt, got, tt.want, log.String())
			}
		})
	}
}

// TestSynchronousNeedsNoProbe: where answers tell, nothing is read.
func TestSynchronousNeedsNoProbe(t *testing.T) {
	t.Parallel()
	told := false
	c := newConfirmer(t, Auto, false)
	c.tells = func(now bool) { told = now }
	c.budget.left = maxBudget
	if !c.WantsBefore(10 * mb) {
		t.Fatal("does not want to learn")
	}
	r := rand.New(rand.NewPCG(9, 9))
	verdict := outcome.Verdict("")
	for i := range 60 {
		size := []int64{5 * mb, 20 * mb, 100 * mb, 400 * mb}[i%4]
		if c.WantsPlain(size) {
			c.Plain(size, plainHead)
		}
		verdict = c.Filled(size, synchronousAt(1e9)(size, r), false)
	}
	if verdict != outcome.Synchronous || !told || c.WantsBefore(10*mb) {
		t.Errorf("verdict %s, told %v", verdict, told)
	}
	if got := c.Filled(400*mb, atRate(400*mb, 1e9), true); got != outcome.Accepted || !told {
		t.Errorf("of an object that was read before: %s, told %v", got, told)
	}
	if got := c.Filled(400*mb, plainHead, false); got != outcome.Accepted || told {
		t.Errorf("after a fast answer: %s, told %v", got, told)
	}
}
