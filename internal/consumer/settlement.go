package consumer

import (
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// Action is what the server is told of a message.
type Action int

// The actions.
const (
	Ack     Action = iota + 1 // done
	Reject                    // term: dead-lettered
	Retry                     // nak with delay
	Release                   // nak at once: shutdown, another replica may have it
	Abandon                   // say nothing: the consumer it came from is gone
)

// Settlement is an Action with its parameters.
type Settlement struct {
	Action Action
	Delay  time.Duration  // of Retry
	Reason outcome.Reason // of Reject
}

// Policy is when to give up.
type Policy struct {
	MaxAttempts int
	GiveUpAfter time.Duration
}

// decision is what follows from one attempt: either a final outcome, or that
// the event waits.
type decision struct {
	final   Outcome // "" while it is not
	reason  outcome.Reason
	problem *prestage.Problem // the one that decided, nil when none did

	release      bool // interrupted: give the message back, count nothing
	attempts     int
	refusedSince time.Time // a bucket refuses us, zero: none does
	busySince    time.Time // the store lacks capacity: throttled, or failing
	busy         map[string]time.Time
	alone        bool          // it did for too long, and for these objects only
	delay        time.Duration // until the next attempt, before jitter
}

// The contract's schedule of attempts: 8 of them span about half an hour.
var schedule = []time.Duration{time.Second, 5 * time.Second, 25 * time.Second, 2 * time.Minute, 10 * time.Minute}

// backOff is the wait after the n-th attempt.
func backOff(n int) time.Duration { return schedule[min(max(n, 1), len(schedule))-1] }

// Waiting costs no attempt; it starts short and doubles the time waited so far.
const (
	minBucketWait   = 15 * time.Second
	maxBucketWait   = 5 * time.Minute
	minCapacityWait = 2 * time.Second
	maxCapacityWait = time.Minute
)

// decide says what becomes of an event after an attempt. It is pure: held is
// the receipt before the attempt (zero when there was none).
func decide(held Receipt, report prestage.Report, p Policy, now time.Time) decision {
	d := decision{attempts: held.Attempts}
	refused, busy := waits(report.Problems)
	if refused || (busy && !held.FirstRefusal.IsZero()) { // a busy store does not say that the refusal is over
		d.refusedSince = firstOf(held.FirstRefusal, now)
	}
	if busy {
		d.busySince = firstOf(held.BusySince, now)
		d.busy, d.alone = lonely(held.Busy, report, p.GiveUpAfter, now)
	}
	counted := len(report.Problems) == 0
	for i := range report.Problems {
		switch report.Problems[i].Class {
		case outcome.Interrupted:
			d.release = true
		case outcome.Failed, outcome.Permanent:
			counted = true
		}
	}
	if d.release {
		return d
	}
	if counted {
		d.attempts++
	}

	// Whatever can still succeed keeps the event alive; the worst reason
	// decides only when nothing can.
	open := false
	for i := range report.Problems {
		pr := &report.Problems[i]
		reason, final, delay := judge(pr, d, p, now)
		if !final {
			open = true
			d.delay = max(d.delay, delay, pr.RetryAfter)
			continue
		}
		if d.problem == nil || outcome.Worse(reason, d.reason) {
			d.problem, d.reason = pr, reason
		}
	}
	switch {
	case open:
		d.problem, d.reason = worstOpen(report.Problems), ""
	case d.problem != nil:
		d.final = DeadLettered
	case report.Objects.Filled+report.Objects.AlreadyWarm+report.Skips[outcome.DryRun] > 0:
		d.final = Warm
	default:
		d.final, d.reason = Skipped, MostSkips(report.Skips)
	}
	return d
}

// judge says whether one problem is final, with which reason, and if not, how
// long to wait.
func judge(pr *prestage.Problem, d decision, p Policy, now time.Time) (reason outcome.Reason, final bool, delay time.Duration) {
	switch pr.Class {
	case outcome.Permanent:
		return pr.Reason, true, 0
	case outcome.Refused:
		waited := now.Sub(d.refusedSince)
		if waited >= p.GiveUpAfter {
			return pr.Reason, true, 0
		}
		return "", false, min(clamp(waited, minBucketWait, maxBucketWait), p.GiveUpAfter-waited)
	case outcome.Throttled, outcome.Transient:
		if d.alone {
			return outcome.FillFailed, true, 0
		}
		return "", false, clamp(now.Sub(d.busySince), minCapacityWait, maxCapacityWait)
	case outcome.Unreachable:
		return "", false, minCapacityWait
	default: // Failed
		if d.attempts >= p.MaxAttempts {
			return pr.Reason, true, 0
		}
		return "", false, backOff(d.attempts)
	}
}

// waits says what keeps the event from succeeding that is not its own fault: a
// bucket that refuses us, or a lack of capacity. An endpoint that cannot be
// reached at all says nothing of either.
func waits(problems []prestage.Problem) (refused, busy bool) {
	for i := range problems {
		switch problems[i].Class {
		case outcome.Refused:
			refused = true
		case outcome.Throttled, outcome.Transient:
			busy = true
		}
	}
	return refused, busy
}

// lonely says since when each of the busy objects is, held being what was known
// before, and whether every one of them has been so for patience while its
// bucket served others. Where there are more than the report can name, the
// store lacks capacity and not an object its luck.
func lonely(held map[string]time.Time, report prestage.Report, patience time.Duration, now time.Time) (since map[string]time.Time, alone bool) {
	since = make(map[string]time.Time, len(report.Busy))
	alone = len(report.Busy) > 0
	for _, b := range report.Busy {
		key := busyKey(b.Ref)
		since[key] = firstOf(held[key], now)
		alone = alone && now.Sub(since[key]) >= patience && b.BucketServedAt.After(since[key])
	}
	busy := 0
	for i := range report.Problems {
		if c := report.Problems[i].Class; c == outcome.Throttled || c == outcome.Transient {
			busy += report.Problems[i].Count
		}
	}
	return since, alone && busy == len(report.Busy)
}

// busyKey stands for an object in a receipt, where a key has no bounds that we
// could rely on and need not be text.
func busyKey(ref object.Ref) string { return Hash(ref.String())[:32] }

// firstOf is earlier, or now where that is not known or, by a clock ahead of ours,
// still to come.
func firstOf(earlier, now time.Time) time.Time {
	if earlier.IsZero() || earlier.After(now) {
		return now
	}
	return earlier
}

// worstOpen is the problem that a pending receipt tells of.
func worstOpen(problems []prestage.Problem) *prestage.Problem {
	worst := &problems[0]
	for i := range problems[1:] {
		if pr := &problems[i+1]; outcome.Worse(pr.Reason, worst.Reason) {
			worst = pr
		}
	}
	return worst
}

// MostSkips is the reason of most skipped objects; of equals, the first of the
// vocabulary.
func MostSkips(skips map[outcome.Reason]int) outcome.Reason {
	best := outcome.NotActionable
	n := 0
	for _, r := range outcome.SkipReasons() {
		if skips[r] > n {
			best, n = r, skips[r]
		}
	}
	return best
}

func clamp(d, low, high time.Duration) time.Duration { return min(max(d, low), high) }
