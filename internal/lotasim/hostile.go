package lotasim

import (
	"net/http"
	"slices"
	"time"
)

// Hostile is o on a bad day: what a client has to get through that retries and
// relies on no more than the documentation promises. Each rate is that of one
// request to the LOTA listener, of every method; Seed makes a run repeatable.
//
//   - 503 SlowDown 4 %, with Retry-After: 1 another 1 %
//   - 429 TooManyRequests 2 %, with Retry-After: 1 another 1 %
//   - 500, 502 and 504, 1 % each
//   - a connection cut with a TCP RST before the backend hears of the request 2 %
//   - 100 ms of latency 5 %
//   - an answer whose header takes 200 ms to arrive, byte by byte 2 %
//   - a fill that never happens, after an answer like any other 5 %
//
// A ranged HEAD answers 200 in place of 206, and the cache has no more than two
// nodes of 256 MiB. About 12 % of requests thus fail and are worth another try.
// The rules come after those of o.
func (o Options) Hostile() Options {
	o.RangedStatus = http.StatusOK
	o.DropProbability = max(o.DropProbability, 0.05)
	o.Nodes, o.NodeBytes = min(o.Nodes, 2), min(o.NodeBytes, 256<<20)
	o.Faults = append(slices.Clone(o.Faults), hostileRules()...)
	return o
}

func hostileRules() []Rule {
	rules := []Rule{
		{Do: Latency, For: 100 * time.Millisecond, Probability: 0.05},
		{Do: SlowHeaders, For: 200 * time.Millisecond, Probability: 0.02},
		{Do: Reset, Probability: 0.02},
		{Do: AnswerStatus, Status: http.StatusServiceUnavailable, Probability: 0.04},
		{Do: AnswerStatus, Status: http.StatusServiceUnavailable, RetryAfter: "1", Probability: 0.01},
		{Do: AnswerStatus, Status: http.StatusTooManyRequests, Probability: 0.02},
		{Do: AnswerStatus, Status: http.StatusTooManyRequests, RetryAfter: "1", Probability: 0.01},
		{Do: AnswerStatus, Status: http.StatusInternalServerError, Probability: 0.01},
		{Do: AnswerStatus, Status: http.StatusBadGateway, Probability: 0.01},
		{Do: AnswerStatus, Status: http.StatusGatewayTimeout, Probability: 0.01},
	}
	for i := range rules {
		rules[i].Listener = ListenerLOTA
	}
	return rules
}
