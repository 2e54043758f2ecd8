package integration_test

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// benchResults is what one run of the benchmarks measured.
type benchResults struct {
	load    string // of the machine, before
	heads   []headResult
	latency latencyResult
	gateway []gatewayResult
}

// render writes the page: ratios first, since they hold on other machines.
func (b benchResults) render(t *testing.T, e effort) string {
	t.Helper()
	p := &strings.Builder{}
	fmt.Fprintf(p, `# Benchmarks

This page is written by its command and measures only this repository beside its limits: what the same work costs with nothing but
`+"`net/http`"+` or `+"`nats.go`"+`, in the same run, on the same machine. Contenders take turns, %d rounds; a figure is median [min … max] over the rounds, a
ratio is taken within each round. Client and server share the machine's processors.

| | |
|---|---|
| command | `+"`go tool task bench`"+` |
| date | %s |
| machine | %s, %d processors, %s |
| other work on it | load average %s when it began |
| Go | %s |

`, e.rounds, time.Now().UTC().Format(time.DateOnly), processor(), runtime.NumCPU(), runtime.GOOS+"/"+runtime.GOARCH, b.load, runtime.Version())
	b.headRatios(p)
	b.latencyRatios(p)
	b.gatewayRatios(p)
	b.headFigures(p)
	b.latencyFigures(p)
	b.gatewayFigures(p)
	return p.String()
}

func cpuOf(s headSample) float64           { return s.cpu }
func perSecondOf(s headSample) float64     { return s.perSecond }
func p50Of(s latencySample) float64        { return s.p50 }
func p99Of(s latencySample) float64        { return s.p99 }
func storedOf(s gatewaySample) float64     { return s.perSecond }
func gatewayP50Of(s gatewaySample) float64 { return s.p50 }
func gatewayP99Of(s gatewaySample) float64 { return s.p99 }
func times(v float64) string               { return strconv.FormatFloat(v, 'f', 2, 64) }
func whole(v float64) string               { return strconv.FormatFloat(math.Round(v), 'f', 0, 64) }
func cell(s spread, f func(float64) string) string {
	return fmt.Sprintf("%s [%s … %s]", f(s.median), f(s.min), f(s.max))
}

func (b benchResults) headRatios(p *strings.Builder) {
	p.WriteString(`## Ranged HEADs: ratios to the limit

The limit repeats one request that was signed once, through the transport that prestage uses. "One HEAD" is what a fill sends: credentials, signature,
request, answer. "A whole event" is the engine with an event of 1,000 objects: plan, ledger (in memory), guard, limiter, fills, records.
The server is a process of its own: one that answers at once and knows nothing, or the emulator, which verifies each signature.

| server | at once | | CPU per HEAD | HEADs per second |
|---|---|---|---|---|
`)
	for _, r := range b.heads {
		for i, name := range r.names {
			fmt.Fprintf(p, "| %s | %d | %s | %s | %s |\n", r.server, r.atOnce, name,
				cell(ratio(r.samples[i], r.samples[0], cpuOf), times), cell(ratio(r.samples[i], r.samples[0], perSecondOf), times))
		}
	}
}

func (b benchResults) latencyRatios(p *strings.Builder) {
	p.WriteString(`
## From publish to HEAD: ratios to the limit

One event of one object at a time, from just before its publish to the arrival of the HEAD. The first contender is a core subscription that sends the
HEAD itself and loses what it misses. The second has JetStream's promise and keeps no record. ` + "`prestage run`" + ` reads its receipt and the ledger before it
asks. nats-server, publisher and HTTP server share one process; each contender has its own. Beside a replay there is one more process, which fills as fast
as it can from a history of its own.

| | p50 | p99 |
|---|---|---|
`)
	r := b.latency
	row := func(name string, i, limit int) {
		fmt.Fprintf(p, "| %s | %s | %s |\n", name,
			cell(ratio(r.samples[i], r.samples[limit], p50Of), times), cell(ratio(r.samples[i], r.samples[limit], p99Of), times))
	}
	for i, name := range r.names {
		row(name, i, 0)
	}
	last := len(r.names) - 1
	row(fmt.Sprintf("%s, to %s", r.names[last], r.names[last-1]), last, last-1)
}

func (b benchResults) headFigures(p *strings.Builder) {
	p.WriteString(`
## Ranged HEADs: figures

CPU is that of the contender's process, user and system, in microseconds.

| server | at once | | CPU per HEAD, µs | HEADs per second |
|---|---|---|---|---|
`)
	for _, r := range b.heads {
		for i, name := range r.names {
			fmt.Fprintf(p, "| %s | %d | %s | %s | %s |\n", r.server, r.atOnce, name,
				cell(absolute(r.samples[i], cpuOf), whole), cell(absolute(r.samples[i], perSecondOf), whole))
		}
	}
}

func (b benchResults) latencyFigures(p *strings.Builder) {
	p.WriteString(`
## From publish to HEAD: figures

| | p50, ms | p99, ms |
|---|---|---|
`)
	r := b.latency
	for i, name := range r.names {
		fmt.Fprintf(p, "| %s | %s | %s |\n", name,
			cell(absolute(r.samples[i], p50Of), times), cell(absolute(r.samples[i], p99Of), times))
	}
}

func (b benchResults) gatewayRatios(p *strings.Builder) {
	p.WriteString(`
## Events over HTTP: ratios to the limit

Events are sent as fast as they are answered, which both contenders do when the stream has acknowledged them. The limit publishes the body as it came
and looks at nothing. The gateway has checked the token, limits and the event, gives it a message id, and logs a line. Each is a process of its own;
nats-server and the senders share another.

| at once | | events per second | p99 |
|---|---|---|---|
`)
	for _, r := range b.gateway {
		for i, name := range r.names {
			fmt.Fprintf(p, "| %d | %s | %s | %s |\n", r.atOnce, name,
				cell(ratio(r.samples[i], r.samples[0], storedOf), times), cell(ratio(r.samples[i], r.samples[0], gatewayP99Of), times))
		}
	}
}

func (b benchResults) gatewayFigures(p *strings.Builder) {
	p.WriteString(`
## Events over HTTP: figures

| at once | | events per second | p50, ms | p99, ms |
|---|---|---|---|---|
`)
	for _, r := range b.gateway {
		for i, name := range r.names {
			fmt.Fprintf(p, "| %d | %s | %s | %s | %s |\n", r.atOnce, name, cell(absolute(r.samples[i], storedOf), whole),
				cell(absolute(r.samples[i], gatewayP50Of), times), cell(absolute(r.samples[i], gatewayP99Of), times))
		}
	}
}

// processor is the processor's name, where the system tells it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// loadAverage is that of the last minute, where the system tells it.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	average, _, found := strings.Cut(string(text), " ")
	if !found {
		return "unknown"
	}
	return average
}
