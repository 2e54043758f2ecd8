package confirm

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/outcome"
)

var update = flag.Bool("update", false, "run the whole evaluation and write its table into docs/confirming.md")

const (
	wholeFills = 10_000
	smallFills = 400

	maxFalse = 0.001
	page     = "../../docs/confirming.md"
)

// claim is what must be found out of an endpoint.
type claim string

const (
	mustTell    claim = "must"
	mustNotTell claim = "must not"
	mayTell     claim = "may"
)

// setting is a simulated endpoint with what must be found out of it.
type setting struct {
	name        string
	endpoint    endpoint
	reads       claim
	synchronous claim
	beyond      bool // what sampling cannot see: the rate is told, not promised
}

// usual is an endpoint whose hits are ten times as fast as its misses, with
// 20 % of jitter.
func usual(change func(*endpoint)) endpoint {
	e := endpoint{
		head: noise{median: 3 * time.Millisecond, sigma: 0.2},
		hit:  noise{median: 2 * time.Millisecond, sigma: 0.2}, miss: noise{median: 20 * time.Millisecond, sigma: 0.2},
		fillRate: 400e6, fillJitter: 0.3,
		smallest: 5_000_000, largest: 400_000_000,
	}
	if change != nil {
		change(&e)
	}
	return e
}

func threeTimes(e *endpoint) { e.miss.median = 3 * e.hit.median }

func settings() []setting {
	s := func(name string, reads claim, change func(*endpoint)) setting {
		return setting{name: name, endpoint: usual(change), reads: reads, synchronous: mustNotTell}
	}
	unseen := func(name string, change func(*endpoint)) setting {
		out := s(name, mayTell, change)
		out.beyond = true
		return out
	}
	all := []setting{
		s("asynchronous", mustTell, nil),
		s("asynchronous, every HEAD longer for large objects", mustTell, func(e *endpoint) { e.headGrowth = 1e-9 }),
		s("a tenth dropped after the 2xx", mustTell, func(e *endpoint) { e.dropped = 0.1 }),
		s("half dropped, reads fill nothing", mayTell, func(e *endpoint) { e.dropped, e.onGet = 0.5, getNone }),
		unseen("half dropped, reads fill parts of 15 MB", func(e *endpoint) { e.dropped, e.onGet, e.part = 0.5, getPart, 15_000_000 }),
		unseen("half dropped, reads fill parts of 64 MiB", func(e *endpoint) { e.dropped, e.onGet, e.part = 0.5, getPart, 64<<20 }),
		s("half dropped, reads fill their part", mustTell, func(e *endpoint) { e.dropped, e.onGet = 0.5, getPart }),
		s("all dropped", mustTell, func(e *endpoint) { e.dropped = 1 }),
		s("all dropped, reads fill nothing", mayTell, func(e *endpoint) { e.dropped, e.onGet = 1, getNone }),
		s("a fifth cut short", mustTell, func(e *endpoint) { e.cut = 0.2 }),
		s("all cut short, reads fill nothing", mayTell, func(e *endpoint) { e.cut, e.onGet = 1, getNone }),
		s("filled in random order", mustTell, func(e *endpoint) { e.random = true }),
		s("filled in random order, a third cut short", mustTell, func(e *endpoint) { e.random, e.cut = true, 1.0/3 }),
		s("evicted soon after", mustTell, func(e *endpoint) { e.evicted = 0.2 }),
		s("throttled, one request in a thousand", mustTell, func(e *endpoint) { e.throttled = 0.001 }),
		s("a read joins the fill", mustTell, func(e *endpoint) { e.duringFill, e.dropped = join, 0.1 }),
		s("a read awaits the fill", mustTell, func(e *endpoint) { e.duringFill, e.dropped = await, 0.1 }),
		s("slow and uneven fills", mayTell, func(e *endpoint) { e.fillRate, e.fillJitter = 40e6, 1 }),
		s("a third cached before", mustTell, func(e *endpoint) { e.already, e.dropped = 1.0/3, 0.1 }),
		s("all cached before: no miss is seen", mustNotTell, func(e *endpoint) { e.already = 1 }),
		s("3 times, 20 % jitter, a tenth dropped", mustTell, func(e *endpoint) { threeTimes(e); e.dropped = 0.1 }),
		s("3 times, 20 % jitter, all cut short", mustTell, func(e *endpoint) { threeTimes(e); e.cut = 1 }),
		s("3 times, within 20 %, a tenth dropped", mustTell, func(e *endpoint) {
			threeTimes(e)
			e.hit.even, e.miss.even, e.dropped = true, true, 0.1
		}),
		s("10 times, 50 % jitter, a tenth dropped", mayTell, func(e *endpoint) { e.hit.sigma, e.miss.sigma, e.dropped = 0.5, 0.5, 0.1 }),
		s("10 times, 100 % jitter, all cut short", mustNotTell, func(e *endpoint) { e.hit.sigma, e.miss.sigma, e.cut = 1, 1, 1 }),
		s("2 times, 20 % jitter, all cut short", mayTell, func(e *endpoint) { e.miss.median, e.cut = 2*e.hit.median, 1 }),
		s("1.3 times, 20 % jitter", mustNotTell, func(e *endpoint) { e.miss.median = e.hit.median * 13 / 10 }),
		s("hits and misses alike", mustNotTell, func(e *endpoint) { e.miss = e.hit }),
		s("hits and misses alike, all dropped", mustNotTell, func(e *endpoint) { e.miss, e.dropped = e.hit, 1 }),
		s("3 % of misses come fast, all cut short", mayTell, func(e *endpoint) { e.fastMisses, e.cut = 0.03, 1 }),
		s("misses of an object alike, a tenth dropped", mustTell, func(e *endpoint) { e.perObject, e.dropped = 0.3, 0.1 }),
		s("speed swings by a third, a tenth dropped", mustTell, func(e *endpoint) { e.tide, e.dropped = 0.33, 0.1 }),
		s("all slow until a fill was asked for, a tenth dropped", mustTell, func(e *endpoint) { e.busy, e.dropped = 3, 0.1 }),
		s("all slow until a fill was asked for, hits and misses alike, all dropped", mustNotTell, func(e *endpoint) {
			e.miss, e.busy, e.dropped = e.hit, 10, 1
		}),
		s("the client starves, a tenth dropped", mayTell, func(e *endpoint) { e.starved, e.dropped = 0.3, 0.1 }),
		s("the client starves, hits and misses alike, all dropped, reads fill nothing", mustNotTell, func(e *endpoint) {
			e.miss, e.starved, e.dropped, e.onGet = e.hit, 0.3, 1, getNone
		}),
	}
	sync := func(name string, known claim, change func(*endpoint)) setting {
		e := usual(change)
		e.synchronous = true
		return setting{name: name, endpoint: e, reads: mayTell, synchronous: known}
	}
	all = append(all,
		sync("synchronous", mustTell, func(e *endpoint) { e.fillJitter = 0.1 }),
		sync("synchronous, hits and misses alike", mustTell, func(e *endpoint) { e.fillJitter, e.miss = 0.1, e.hit }),
		sync("synchronous, 5 to 28 MB", mustTell, func(e *endpoint) { e.fillJitter, e.largest = 0.1, 28_000_000 }),
		sync("synchronous, one size only", mustNotTell, func(e *endpoint) { e.fillJitter, e.smallest, e.largest = 0.1, 100e6, 101e6 }),
		sync("synchronous, one fill in a hundred dropped", mayTell, func(e *endpoint) { e.fillJitter, e.dropped = 0.1, 0.01 }),
	)
	cut := sync("synchronous, a tenth cut short", mayTell, func(e *endpoint) { e.fillJitter, e.cut = 0.1, 0.1 })
	cut.beyond = true
	return append(all, cut, unseen("objects of 2 GB in random order, a third cut short", func(e *endpoint) {
		e.smallest, e.largest, e.random, e.cut = 2e9, 2.1e9, true, 1.0/3
	}))
}

// tallied is what an evaluation found.
type tallied struct {
	Fills               int
	Told                int // fills during which the endpoint was claimed to tell
	Verified, FalseV    int
	Synchronous, FalseS int
	Reads, Sync         bool // at the end
	Unconfirmed         int
	Probes, Requests    int
	While429            int
	Warnings            int
}

// evaluate fills n objects, one after the other in an event of its own, as a
// warmer does.
func evaluate(t *testing.T, mode Mode, e endpoint, n int, seed uint64) (out tallied) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		told := false
		s := newSim(e, seed)
		c, err := New(Config{
			Mode: mode, Concurrency: 300, Rand: rand.New(rand.NewPCG(seed, 1)),
			Tells: func(now bool) { told = now }, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.confirmer = c
		for i := range n {
			time.Sleep(500 * time.Millisecond) // of the bubble's clock
			o := s.object(i)
			verdict := s.event(t, c, o)
			out.Fills++
			if told {
				out.Told++
			}
			switch verdict {
			case outcome.Verified:
				out.Verified++
				if !o.truth() {
					out.FalseV++
				}
			case outcome.Synchronous:
				out.Synchronous++
				if !o.complete(time.Now()) {
					out.FalseS++
				}
			case outcome.Accepted:
			default:
				out.Unconfirmed++
			}
			s.mu.Lock()
			delete(s.objects, o.target.Key)
			s.mu.Unlock()
		}
		out.Reads, out.Sync = c.reads.Tells(), c.synchrony.Known()
		out.Probes, out.Requests, out.While429 = s.probes, s.requests, s.while429
		out.Warnings = strings.Count(log.String(), "level=WARN")
	})
	return out
}

// Ask sends the ranged HEAD.
func (s *sim) Ask(_ context.Context, t Target) error {
	s.mu.Lock()
	o := s.objects[t.Key]
	s.asks++
	n := s.asks
	s.mu.Unlock()
	_, err := s.headRequest(o, 1<<32+n, true)
	s.confirmer.Request(err != nil)
	return err
}

// Head sends a plain HEAD.
func (s *sim) Head(_ context.Context, t Target) (time.Duration, error) {
	s.mu.Lock()
	o := s.objects[t.Key]
	s.asks++
	n := s.asks
	s.mu.Unlock()
	d, err := s.headRequest(o, 1<<32+n, false)
	s.confirmer.Request(err != nil)
	return d, err
}

// event has one object filled, in up to three attempts.
func (s *sim) event(t *testing.T, c *Confirmer, o *simObject) outcome.Verdict {
	t.Helper()
	n := uint64(0)
	head := func(ranged bool) time.Duration {
		for {
			n++
			d, err := s.headRequest(o, n, ranged)
			c.Request(err != nil)
			if err == nil {
				return d
			}
			time.Sleep(time.Second) // of the bubble's clock
		}
	}
	for attempt := range 3 {
		s.setBusy(true)
		target := o.target
		if c.WantsPlain(target.Size) {
			c.Plain(target.Size, head(false))
		}
		if attempt == 0 && c.WantsBefore(target.Size) {
			c.ReadBefore(t.Context(), s, target)
			target.Read = true
		}
		target.Doubt = attempt > 0
		verdict := c.Filled(target.Size, head(true), target.Read)
		s.setBusy(false)
		if verdict == outcome.Synchronous && !c.Strict() {
			return verdict
		}
		target.Asked, target.Until = time.Now(), time.Now().Add(15*time.Minute)
		sample := c.NewSample()
		sample.Add(target)
		results, enough := c.Confirm(t.Context(), t.Context(), s, sample)
		standing := Unknown
		if enough && len(results) > 0 {
			standing = results[0].Standing
		}
		switch {
		case standing == Verified:
			return outcome.Verified
		case !c.Strict() && standing != Missing:
			return outcome.Accepted
		}
		time.Sleep(time.Second) // of the bubble's clock
	}
	return ""
}

// hold checks what was found against what must be.
func (s setting) hold(t *testing.T, mode Mode, got tallied) {
	t.Helper()
	check := func(ok bool, format string, args ...any) {
		if !ok {
			t.Errorf("%s: %s: %s: %+v", s.name, mode, fmt.Sprintf(format, args...), got)
		}
	}
	if !s.beyond {
		check(float64(got.FalseV) <= max(maxFalse*float64(got.Fills), 1), "false verified") // of few, one may be chance
	}
	check(s.beyond || got.FalseS <= int(maxFalse*float64(got.Fills)), "false synchronous")
	check(s.reads != mustTell || got.Reads || (mode == Auto && got.Fills < wholeFills), "reads must tell")
	own := 0 // verified by an object's own misses
	if mode == Probe {
		own = muchTried / 2
	}
	check(s.reads != mustNotTell || (!got.Reads && got.Verified <= got.Fills/200+own), "reads must not tell")
	if mode == Auto {
		check(s.synchronous != mustTell || (got.Sync && got.Synchronous > got.Fills/2), "must be synchronous")
		check(10*got.Probes <= got.Probes+got.Requests, "more than a tenth are probes")
		check(got.Warnings <= 1, "warned more than once")
	}
	check(s.synchronous != mustNotTell || (!got.Sync && got.Synchronous == 0), "must not be synchronous")
	check(got.While429 == 0, "probed while throttled")
}

// row is the table's.
func (s setting) row(probe, auto tallied) string {
	tells := func(yes bool) string {
		if yes {
			return "yes"
		}
		return "–"
	}
	return fmt.Sprintf("| %s | %s | %d | %d | %d | %s | %d | %d | %d | %d |\n", s.name,
		tells(probe.Reads), probe.Verified, probe.FalseV, probe.Unconfirmed,
		tells(auto.Sync), auto.Synchronous, auto.FalseS, auto.Verified, auto.FalseV)
}

const (
	tableHead = "| endpoint | reads tell | verified | of them wrong | unconfirmed | answers tell | synchronous | of them wrong | verified | of them wrong |\n" +
		"|---|---|---|---|---|---|---|---|---|---|\n"
	begin = "<!-- table:begin -->\n"
	end   = "<!-- table:end -->"
)

// TestEvaluation runs every setting; with -update in full, into the page.
func TestEvaluation(t *testing.T) {
	t.Parallel()
	fills := smallFills
	if *update {
		fills = wholeFills
	}
	all := settings()
	rows := make([]string, len(all))
	t.Run("settings", func(t *testing.T) { // returns when its parallel tests have ended
		for i, s := range all {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				probe := evaluate(t, Probe, s.endpoint, fills, uint64(i)+1)
				s.hold(t, Probe, probe)
				auto := evaluate(t, Auto, s.endpoint, 10*fills, uint64(i)+1001)
				s.hold(t, Auto, auto)
				rows[i] = s.row(probe, auto)
				t.Logf("probe %+v\nauto  %+v", probe, auto)
			})
		}
	})
	if *update && !t.Failed() {
		writeTable(t, tableHead+strings.Join(rows, ""))
	}
}

// TestTable: the page has a row for each setting, and no other.
func TestTable(t *testing.T) {
	t.Parallel()
	var want, got []string
	for _, s := range settings() {
		want = append(want, s.name)
	}
	_, table, _ := cutTable(t)
	for line := range strings.Lines(strings.TrimPrefix(table, tableHead)) {
		got = append(got, strings.TrimSpace(strings.Split(line, "|")[1]))
	}
	if diff := cmp.Diff(want, got); diff != "" && !*update {
		t.Errorf("settings (-evaluated +in %s):\n%s\nrun: go tool task confirm:table", page, diff)
	}
}

func cutTable(t *testing.T) (before, table, after string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table", page)
	}
	return before, table, after
}

func writeTable(t *testing.T, table string) {
	t.Helper()
	before, _, after := cutTable(t)
	if err := os.WriteFile(page, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
