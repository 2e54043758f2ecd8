package main

import (
	"encoding/json"
	"fmt"
	"os"
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
	json    bool
	began   time.Time

	mu   sync.Mutex
	from replay.Range
	file *os.File // of failures, nil before the first
	fail error    // of writing it

	watching sync.WaitGroup
	quit     chan struct{}
}

// line is a line of JSON.
type line struct {
	Type    string `json:"type"` // begin, history_dropped, progress, dry_run or done
	Name    string `json:"name"`
	Cluster string `json:"cluster"`

	First     uint64     `json:"first_seq,omitempty"`
	Last      uint64     `json:"last_seq,omitempty"`
	Resumed   bool       `json:"resumed,omitempty"`
	FirstTime *time.Time `json:"first_time,omitempty"`

	*replay.Progress
	Capped  bool     `json:"capped,omitempty"`
	Letters *int64   `json:"dead_letters,omitempty"`
	Seconds float64  `json:"seconds,omitempty"`
	Left    *float64 `json:"seconds_left,omitempty"`

	MaxTierCost *float64 `json:"max_tier_cost_usd,omitempty"`
	PricesOf    string   `json:"prices_of,omitempty"`
	Estimate    *float64 `json:"estimated_seconds,omitempty"`
	Failures    string   `json:"failures,omitempty"` // file
}

func (o *replayOutput) line(l line) {
	l.Name, l.Cluster = o.cmd.Name, o.cluster
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = json.NewEncoder(o.w.stdout).Encode(l)
}

// plan tells what is about to be done.
func (o *replayOutput) plan(p replay.Plan) {
	o.mu.Lock()
	o.from = p.Range
	o.mu.Unlock()
	switch {
	case o.json:
		o.line(line{Type: "begin", First: p.Range.First, Last: p.Range.Last, Resumed: p.Resumed})
		if d := p.Dropped; d != nil {
			o.line(line{Type: "history_dropped", First: d.FirstSeq, FirstTime: &d.FirstTime})
		}
	default:
		verb := "replay"
		if p.Resumed {
			verb = "going on with replay"
		}
		fmt.Fprintf(o.w.stdout, "%s %s: messages %d to %d\n", verb, o.cmd.Name, p.Range.First, p.Range.Last)
		if d := p.Dropped; d != nil {
			fmt.Fprintf(o.w.stdout, "what came before is gone: the stream begins with message %d of %s; name objects with --from-list\n",
				d.FirstSeq, d.FirstTime.Format(time.RFC3339))
		}
	}
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
				left := o.left(p).Seconds()
				o.line(line{Type: "progress", Progress: &p, Seconds: time.Since(o.began).Seconds(), Left: &left})
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

// share is how much of the range is done, in messages of the stream.
func (o *replayOutput) share(p replay.Progress) (done, total int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	total = int64(o.from.Last) - int64(o.from.First) + 1                //nolint:gosec // no stream has so many
	return min(max(int64(p.At)-int64(o.from.First)+1, 0), total), total //nolint:gosec // likewise
}

// left is a guess from what was done so far, 0 without one.
func (o *replayOutput) left(p replay.Progress) time.Duration {
	done, total := o.share(p)
	if done <= 0 || total <= 0 {
		return 0
	}
	return time.Duration(float64(time.Since(o.began)) / float64(done) * float64(total-done))
}

func (o *replayOutput) text(p replay.Progress, up bool) string {
	if !up {
		return "LOTA cannot be reached, waiting for it"
	}
	done, total := o.share(p)
	left := "?"
	if d := o.left(p); d > 0 || done == total {
		left = d.Round(time.Second).String()
	}
	rate := int64(float64(p.Bytes) / max(time.Since(o.began).Seconds(), 0.001))
	return fmt.Sprintf("%d of %d messages, %d events, %d filled, %s, %s/s, %s left",
		done, total, p.Events, p.Filled, byteText(p.Bytes), byteText(rate), left)
}

// failed writes a line of the file of failures.
func (o *replayOutput) failed(f failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil && o.fail == nil {
		o.file, o.fail = os.OpenFile(o.failuresPath(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	}
	if o.file != nil {
		if err := json.NewEncoder(o.file).Encode(f); err != nil && o.fail == nil {
			o.fail = err
		}
	}
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
func (o *replayOutput) dry(p replay.Progress) error {
	o.stop()
	spent := time.Since(o.began)
	estimate := spent.Seconds()
	if o.cmd.Rate > 0 {
		estimate = max(estimate, float64(p.Filled)/o.cmd.Rate)
	}
	if o.json {
		cost := tierCost(max(p.Bytes-p.ArchivedBytes, 0))
		o.line(line{Type: "dry_run", First: o.from.First, Last: o.from.Last, Progress: &p, Seconds: spent.Seconds(), MaxTierCost: &cost, PricesOf: pricesOf, Estimate: &estimate})
		return nil
	}
	o.summary(p, "would be filled")
	_, err := fmt.Fprintf(o.w.stdout, "%s\nabout %s if LOTA answers as fast as it answered this dry run; fills that it answers when they are done take longer\n",
		tierCostText(max(p.Bytes-p.ArchivedBytes, 0), 0)+archiveText(prestage.Amount{Objects: p.Archived, Bytes: p.ArchivedBytes}), time.Duration(estimate*float64(time.Second)).Round(time.Second))
	return err
}

func (o *replayOutput) summary(p replay.Progress, filled string) {
	fmt.Fprintf(o.w.stdout, "%d events: %d warm, %d skipped, %d dead-lettered\n%d objects: %d %s (%s), %d already warm, %d gone, %d otherwise skipped, %d failed\n",
		p.Events, p.Warm, p.Skipped, p.DeadLetters, p.Objects, p.Filled, filled, byteText(p.Bytes), p.AlreadyWarm, p.Gone, p.OtherSkips, p.Failed)
}

// done prints how a replay ended.
func (o *replayOutput) done(r replay.Result) error {
	o.stop()
	failures := ""
	if o.file != nil {
		failures = o.failuresPath()
	}
	if o.json {
		o.line(line{
			Type: "done", First: o.from.First, Last: o.from.Last, Progress: &r.Progress, Capped: r.Capped, Letters: &r.Letters,
			Seconds: time.Since(o.began).Seconds(), Failures: failures,
		})
		return o.fail
	}
	o.summary(r.Progress, "filled")
	if r.Capped {
		fmt.Fprintf(o.w.stdout, "ended by --max-bytes; replay --name %s with the same flags goes on at the same place within an hour\n", o.cmd.Name)
	}
	if failures != "" {
		fmt.Fprintf(o.w.stdout, "failures: %s; try them again with --retry-failed\n", failures)
	}
	return o.fail
}
