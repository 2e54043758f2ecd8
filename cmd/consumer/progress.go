package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/prestage/prestage/internal/prestage"
)

// plainEvery is how often a line tells of progress where there is no terminal.
const plainEvery = 5 * time.Second

// progress shows how far a target is: a bar on a terminal, else a line now and
// then, on standard error.
type progress struct {
	w       world
	title   string
	total   int64
	up      func() bool
	began   time.Time
	objects atomic.Int64
	bytes   atomic.Int64

	bars  *mpb.Progress // nil without a terminal
	bar   *mpb.Bar
	quit  chan struct{}
	ended chan struct{}
}

func newProgress(w world, title string, sum prestage.Summary, up func() bool) *progress {
	p := &progress{
		w: w, title: title, total: sum.Objects, up: up, began: time.Now(),
		quit: make(chan struct{}), ended: make(chan struct{}),
	}
	if isTerminal(w.stderr) {
		p.bars = mpb.New(mpb.WithOutput(w.stderr), mpb.WithWidth(32))
		p.bar = p.bars.AddBar(p.total,
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + p.text() })))
	}
	go p.run()
	return p
}

// tell is called for each object that is done.
func (p *progress) tell(r prestage.Result) {
	p.objects.Add(1)
	p.bytes.Add(r.Bytes)
	if p.bar != nil {
		p.bar.Increment()
	}
}

func (p *progress) run() {
	defer close(p.ended)
	tick := time.NewTicker(plainEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
			if p.bar == nil {
				fmt.Fprintf(p.w.stderr, "%s: %s\n", p.title, p.text())
			}
		}
	}
}

// text says objects, bytes, rate and the time left.
func (p *progress) text() string {
	if !p.up() {
		return "LOTA cannot be reached, waiting for it"
	}
	n, spent := p.objects.Load(), time.Since(p.began)
	left := "?"
	if n > 0 && n <= p.total {
		left = (spent * time.Duration(p.total-n) / time.Duration(n)).Round(time.Second).String()
	}
	rate := int64(float64(p.bytes.Load()) / max(spent.Seconds(), 0.001))
	return fmt.Sprintf("%d of %d objects, %s, %s/s, %s left", n, p.total, byteText(p.bytes.Load()), byteText(rate), left)
}

func (p *progress) stop() {
	close(p.quit)
	<-p.ended
	if p.bars != nil {
		p.bar.Abort(false)
		p.bars.Wait()
	}
}

// byteText is n for people.
func byteText(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/(1<<10), 0
	for v >= 1<<10 && unit < len(units)-1 {
		v, unit = v/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[unit])
}
