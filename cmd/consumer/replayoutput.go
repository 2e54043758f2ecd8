package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/replay"
)

// replayOutput tells of a replay: a bar and a summary for people, lines of JSON
// for programs.
type replayOutput struct {
	w       world
	cmd     replayCmd
	cluster string
	cache   int64 // PRESTAGE_CACHE_BYTES
	json    bool
	began   time.Time

	mu   sync.Mutex
	from replay.Range
	list int64    // entries of the list, 0 when there is none or nobody knows
	file *os.File // of failures, nil before the first
	fail error    // of writing it; what failed is then told by letters alone

	watching sync.WaitGroup
	quit     chan struct{}
}

// line is a line of JSON.
type line struct {
	Type    string `json:"type"` // begin, history_dropped, history_gaps, history_lost, progress, dry_run, interrupted or done
	Name    string `json:"name"`
	Cluster string `json:"cluster"`

	First     uint64     `json:"first_seq,omitempty"`
	Last      uint64     `json:"last_seq,omitempty"`
	Resumed   bool       `json:"resumed,omitempty"`
	FirstTime *time.Time `json:"first_time,omitempty"`
	Messages  int        `json:"messages,omitempty"` // that are missing

	*replay.Progress
	Capped  bool     `json:"capped,omitempty"`
	Letters *int64   `json:"dead_letters,omitempty"`
	Seconds float64  `json:"seconds,omitempty"`
	Left    *float64 `json:"seconds_left,omitempty"`

	TooLarge    bool     `json:"too_large,omitempty"` // than PRESTAGE_CACHE_BYTES
	MaxTierCost *float64 `json:"max_tier_cost_usd,omitempty"`
	PricesOf    string   `json:"prices_of,omitempty"`
	Estimate    *float64 `json:"estimated_seconds,omitempty"`
	Failures    string   `json:"failures,omitempty"` // file
}

func (o *replayOutput) line(l line) {
	l.Name, l.Cluster = o.cmd.Name, o.cluster
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = printJSON(o.w.stdout, l)
}

// plan tells what is about to be done.
func (o *replayOutput) plan(p replay.Plan) {
	o.mu.Lock()
	o.from = p.Range
	o.mu.Unlock()
	if o.json {
		o.planLines(p)
		return
	}
	say := func(format string, args ...any) { fmt.Fprintf(o.w.stdout, format+"\n", args...) }
	verb := "replay"
	if p.Resumed {
		verb = "going on with replay"
	}
	if p.Range.First > p.Range.Last {
		say("%s %s: the stream has no message of what was asked for", verb, o.cmd.Name)
	} else {
		say("%s %s: messages %d to %d", verb, o.cmd.Name, p.Range.First, p.Range.Last)
	}
	if d := p.Dropped; d != nil {
		begins := fmt.Sprintf("begins with message %d of %s", d.FirstSeq, d.FirstTime.Format(time.RFC3339))
		if d.FirstTime.IsZero() {
			begins = fmt.Sprintf("is empty, its next message is %d", d.FirstSeq)
		}
		say("what came before is gone: the stream %s; name objects with --from-list", begins)
	}
	if p.Gaps > 0 {
		say("%d messages after the stream's first are gone, too: deleted, or dropped by a limit of their subject", p.Gaps)
	}
	if p.Lost > 0 {
		say("%d of the events named are not in the stream: dropped, or the stream was made anew", p.Lost)
	}
}

func (o *replayOutput) planLines(p replay.Plan) {
	o.line(line{Type: "begin", First: p.Range.First, Last: p.Range.Last, Resumed: p.Resumed})
	if d := p.Dropped; d != nil {
		l := line{Type: "history_dropped", First: d.FirstSeq}
		if !d.FirstTime.IsZero() {
			l.FirstTime = &d.FirstTime
		}
		o.line(l)
	}
	if p.Gaps > 0 {
		o.line(line{Type: "history_gaps", Messages: p.Gaps})
	}
	if p.Lost > 0 {
		o.line(line{Type: "history_lost", Messages: p.Lost})
	}
}

// entries says how many a list has.
func (o *replayOutput) entries(n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = n
}

// watch shows progress until close.
func (o *replayOutput) watch(now func() replay.Progress, up func() bool) {
	o.began, o.quit = time.Now(), make(chan struct{})
	var bars *mpb.Progress
	var bar *mpb.Bar
	if !o.json && isTerminal(o.w.stderr) {
		bars = mpb.New(mpb.WithOutput(o.w.stderr), mpb.WithWidth(32))
		bar = bars.AddBar(0, mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + o.text(now(), up()) })))
	}
	o.watching.Go(func() {
		every := plainEvery
		if bar != nil {
			every = plainEvery / 20
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for ended := false; !ended; {
			select {
			case <-o.quit:
				ended = true
			case <-tick.C:
			}
			p := now()
			switch {
			case bar != nil:
				done, total := o.share(p)
				bar.SetTotal(total, false)
				bar.SetCurrent(done)
			case ended:
			case o.json:
				l := line{Type: "progress", Progress: &p, Seconds: time.Since(o.began).Seconds()}
				if d, known := o.left(p); known {
					left := d.Seconds()
					l.Left = &left
				}
				o.line(l)
			default:
				fmt.Fprintf(o.w.stderr, "replay %s: %s\n", o.cmd.Name, o.text(p, up()))
			}
		}
		if bar != nil {
			bar.Abort(false)
			bars.Wait()
		}
	})
}

// share is how much is done, in messages of the stream's range or in entries of
// the list. Total is 0 when nobody knows.
func (o *replayOutput) share(p replay.Progress) (done, total int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.from.First == 0 {
		return p.Listed, o.list
	}
	total = int64(o.from.Last) - int64(o.from.First) + 1                //nolint:gosec // no stream has so many
	return min(max(int64(p.At)-int64(o.from.First)+1, 0), total), total //nolint:gosec // likewise
}

// left is a guess from what was done so far.
func (o *replayOutput) left(p replay.Progress) (d time.Duration, known bool) {
	done, total := o.share(p)
	if done <= 0 || total <= 0 {
		return 0, false
	}
	return time.Duration(float64(time.Since(o.began)) / float64(done) * float64(total-done)), true
}

func (o *replayOutput) text(p replay.Progress, up bool) string {
	if !up {
		return "LOTA cannot be reached, waiting for it"
	}
	done, total := o.share(p)
	of, left := "?", "?"
	if total > 0 {
		of = fmt.Sprint(total)
	}
	if d, known := o.left(p); known {
		left = d.Round(time.Second).String()
	}
	what := fmt.Sprintf("%d of %s messages, %d events", done, of, p.Events)
	if p.Listed > 0 || o.cmd.FromList != "" {
		what = fmt.Sprintf("%d of %s entries", done, of)
	}
	rate := int64(float64(p.Bytes) / max(time.Since(o.began).Seconds(), 0.001))
	return fmt.Sprintf("%s, %d filled, %s, %s/s, %s left",
		what, p.Filled, byteText(p.Bytes), byteText(rate), left)
}

// failed writes a line of the file of failures.
func (o *replayOutput) failed(f failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil && o.fail == nil {
		o.file, o.fail = os.OpenFile(o.failuresPath(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if o.fail != nil {
			fmt.Fprintf(o.w.stderr, "prestage: failures cannot be written: %s\n", visible(o.fail.Error()))
		}
	}
	if o.file != nil {
		if err := json.NewEncoder(o.file).Encode(f); err != nil && o.fail == nil {
			o.fail = err
		}
	}
}

// partly is the error of a replay of which some failed, nil when nothing did.
func (o *replayOutput) partly(bad ...string) error {
	if o.fail != nil {
		bad = append(bad, fmt.Sprintf("not all of them are in %s: %v", o.failuresPath(), o.fail))
	}
	if len(bad) == 0 {
		return nil
	}
	return &exitError{exitPartly, fmt.Errorf("replay %s: %s", o.cmd.Name, strings.Join(bad, "; "))}
}

func (o *replayOutput) failuresPath() string {
	if o.cmd.Failures != "" {
		return o.cmd.Failures
	}
	return "prestage-replay-" + o.cmd.Name + ".failed.jsonl"
}

// stop ends the progress.
func (o *replayOutput) stop() {
	if o.quit != nil {
		close(o.quit)
		o.watching.Wait()
		o.quit = nil
	}
}

func (o *replayOutput) close() {
	o.stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		_ = o.file.Close()
		o.file = nil
	}
}

// dry prints what a dry run found.
func (o *replayOutput) dry(p replay.Progress) {
	o.stop()
	spent := time.Since(o.began)
	estimate := spent.Seconds()
	if o.cmd.Rate > 0 {
		estimate = max(estimate, float64(p.Filled)/o.cmd.Rate)
	}
	tooLarge := o.cache > 0 && p.Bytes > o.cache
	if o.json {
		cost := tierCost(max(p.Bytes-p.ArchivedBytes, 0))
		o.line(line{Type: "dry_run", First: o.from.First, Last: o.from.Last, Progress: &p, Seconds: spent.Seconds(), TooLarge: tooLarge, MaxTierCost: &cost, PricesOf: pricesOf, Estimate: &estimate})
		return
	}
	o.summary(p, "would be filled")
	if tooLarge {
		fmt.Fprintf(o.w.stdout, "that is more than the cache, which holds %s (PRESTAGE_CACHE_BYTES): its end would drive out its beginning; choose less, as with --latest\n", byteText(o.cache))
	}
	fmt.Fprintf(o.w.stdout, "%s\nabout %s if LOTA answers as fast as it answered this dry run; fills that it answers when they are done take longer\n",
		tierCostText(max(p.Bytes-p.ArchivedBytes, 0), 0)+archiveText(prestage.Amount{Objects: p.Archived, Bytes: p.ArchivedBytes}), time.Duration(estimate*float64(time.Second)).Round(time.Second))
}

func (o *replayOutput) summary(p replay.Progress, filled string) {
	fmt.Fprintf(o.w.stdout, "%d events: %d warm, %d skipped, %d dead-lettered\n%d objects: %d %s (%s), %d already warm, %d gone, %d otherwise skipped, %d failed\n",
		p.Events, p.Warm, p.Skipped, p.DeadLetters, p.Objects, p.Filled, filled, byteText(p.Bytes), p.AlreadyWarm, p.Gone, p.OtherSkips, p.Failed)
}

// ended prints how a replay ended: done, or interrupted.
func (o *replayOutput) ended(how string, r replay.Result) {
	o.stop()
	failures := ""
	if o.file != nil {
		failures = o.failuresPath()
	}
	if o.json {
		o.line(line{
			Type: how, First: o.from.First, Last: o.from.Last, Progress: &r.Progress, Capped: r.Capped, Letters: &r.Letters,
			Seconds: time.Since(o.began).Seconds(), Failures: failures,
		})
		return
	}
	o.summary(r.Progress, "filled")
	if r.Capped {
		fmt.Fprintf(o.w.stdout, "ended by --max-bytes; replay --name %s with the same flags goes on at the same place within a day\n", o.cmd.Name)
	}
	if failures != "" {
		fmt.Fprintf(o.w.stdout, "failures: %s; try them again with --retry-failed\n", failures)
	}
}
