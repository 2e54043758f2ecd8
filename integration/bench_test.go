package integration_test

import (
	"flag"
	"os"
	"slices"
	"testing"
	"time"
)

// The benchmarks, each beside its limit in the same run. Without -report they
// run for a moment, so that they cannot rot: nothing is asserted on speed.
var (
	benchReport = flag.String("report", "", "run the benchmarks for long and write what they measured to this file")
	benchRounds = flag.Int("rounds", 5, "rounds of the benchmarks, with -report")
)

// effort is how much the benchmarks do.
type effort struct {
	rounds int
	turn   time.Duration // of one contender in one round
	events int           // published in a turn of the latencies
	// history is how many events a replay has before it. One turn must not see
	// its end.
	history int
}

func benchEffort() effort {
	if *benchReport == "" {
		return effort{rounds: 1, turn: 30 * time.Millisecond, events: 5, history: 5}
	}
	return effort{rounds: *benchRounds, turn: time.Second, events: 500, history: 10_000}
}

// TestBenchmarks runs all of them. One round is a turn of each contender, in an
// order that moves on by one with each round.
func TestBenchmarks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: this runs the whole program")
	}
	e := benchEffort()
	b := benchResults{load: loadAverage()}
	for _, against := range headServers {
		for _, atOnce := range against.atOnce {
			b.heads = append(b.heads, benchHeads(t, e, against, atOnce))
		}
	}
	b.latency = benchLatency(t, e)
	for _, atOnce := range []int{1, 16, mostAtOnce} {
		b.gateway = append(b.gateway, benchGateway(t, e, atOnce))
	}
	text := b.render(t, e)
	if *benchReport == "" {
		return
	}
	if err := os.WriteFile(*benchReport, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// contender is what takes turns. The first of a list is the limit.
type contender[S any] struct {
	name string
	turn func(t *testing.T) S
}

// inRounds lets the contenders take turns and returns their samples by round.
func inRounds[S any](t *testing.T, rounds int, contenders []contender[S]) [][]S {
	t.Helper()
	for _, c := range contenders {
		c.turn(t) // connections, caches, the heap
	}
	samples := make([][]S, len(contenders))
	for round := range rounds {
		for i := range contenders {
			at := (round + i) % len(contenders)
			samples[at] = append(samples[at], contenders[at].turn(t))
		}
	}
	return samples
}

// spread is what several rounds measured.
type spread struct{ min, median, max float64 }

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	return spread{min: v[0], median: v[len(v)/2], max: v[len(v)-1]}
}

// absolute is the spread of a figure over the rounds.
func absolute[S any](samples []S, figure func(S) float64) spread {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, figure(s))
	}
	return spreadOf(values)
}

// ratio is the spread of a figure to the limit's of the same round.
func ratio[S any](samples, limit []S, figure func(S) float64) spread {
	values := make([]float64, 0, len(samples))
	for i, s := range samples {
		values = append(values, figure(s)/figure(limit[i]))
	}
	return spreadOf(values)
}
