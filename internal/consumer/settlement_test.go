package consumer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	policy := Policy{MaxAttempts: 8, GiveUpAfter: 24 * time.Hour}
	problem := func(c outcome.Class, r outcome.Reason) prestage.Problem {
		return prestage.Problem{Class: c, Reason: r, Count: 1}
	}
	failed := problem(outcome.Failed, outcome.FillFailed)
	missing := problem(outcome.Failed, outcome.NotFound)
	refused := problem(outcome.Refused, outcome.Forbidden)
	badRequest := problem(outcome.Refused, outcome.BadRequest)
	throttled := problem(outcome.Throttled, outcome.FillFailed)
	transient := problem(outcome.Transient, outcome.FillFailed)
	type problems = []prestage.Problem
	day := now.Add(-24 * time.Hour)
	a, b := object.Ref{Bucket: "ckpt", Key: "a"}, object.Ref{Bucket: "ckpt", Key: "b"}
	// since is what a receipt says of a, and of b where a second time is given.
	since := func(times ...time.Time) map[string]time.Time {
		m := make(map[string]time.Time)
		for i, at := range times {
			m[busyKey([]object.Ref{a, b}[i])] = at
		}
		return m
	}
	// busy is a report of busy objects in a bucket that served others at served.
	busy := func(c outcome.Class, served time.Time, refs ...object.Ref) prestage.Report {
		r := prestage.Report{Problems: problems{{Class: c, Reason: outcome.FillFailed, Count: len(refs)}}}
		for _, ref := range refs {
			r.Busy = append(r.Busy, prestage.Busy{Ref: ref, BucketServedAt: served})
		}
		return r
	}
	many := busy(outcome.Throttled, now.Add(-time.Minute), a)
	many.Problems[0].Count = 2
	mixed := busy(outcome.Throttled, now.Add(-time.Minute), a, b)
	mixed.Problems = problems{{Class: outcome.Throttled, Reason: outcome.FillFailed, Count: 1}, {Class: outcome.Transient, Reason: outcome.FillFailed, Count: 1}}

	// what decide says, without the problem it points to
	type want struct {
		Final    Outcome
		Reason   outcome.Reason
		Release  bool
		Attempts int
		Refused  time.Time // since
		Busy     time.Time // since
		Objects  map[string]time.Time
		Delay    time.Duration
	}
	tests := map[string]struct {
		held   Receipt
		report prestage.Report
		want   want
	}{
		"filled": {
			report: prestage.Report{Objects: prestage.Counts{Total: 1, Filled: 1}},
			want:   want{Final: Warm, Attempts: 1},
		},
		"all already warm is warm": {
			report: prestage.Report{Objects: prestage.Counts{Total: 2, AlreadyWarm: 2}},
			want:   want{Final: Warm, Attempts: 1},
		},
		"one warm, the others too small": {
			report: prestage.Report{Objects: prestage.Counts{Total: 3, AlreadyWarm: 1, Skipped: 2}, Skips: map[outcome.Reason]int{outcome.TooSmall: 2}},
			want:   want{Final: Warm, Attempts: 1},
		},
		"all skipped names the reason of most": {
			report: prestage.Report{Objects: prestage.Counts{Total: 3, Skipped: 3}, Skips: map[outcome.Reason]int{outcome.TooSmall: 1, outcome.Gone: 2}},
			want:   want{Final: Skipped, Reason: outcome.Gone, Attempts: 1},
		},
		"nothing at all is not actionable": {
			want: want{Final: Skipped, Reason: outcome.NotActionable, Attempts: 1},
		},
		"after failed attempts the good one counts too": {
			held:   Receipt{Attempts: 3},
			report: prestage.Report{Objects: prestage.Counts{Total: 1, Filled: 1}},
			want:   want{Final: Warm, Attempts: 4},
		},

		"first own failure": {report: prestage.Report{Problems: problems{failed}}, want: want{Attempts: 1, Delay: time.Second}},
		"second":            {held: Receipt{Attempts: 1}, report: prestage.Report{Problems: problems{failed}}, want: want{Attempts: 2, Delay: 5 * time.Second}},
		"third":             {held: Receipt{Attempts: 2}, report: prestage.Report{Problems: problems{failed}}, want: want{Attempts: 3, Delay: 25 * time.Second}},
		"fourth":            {held: Receipt{Attempts: 3}, report: prestage.Report{Problems: problems{failed}}, want: want{Attempts: 4, Delay: 2 * time.Minute}},
		"fifth":             {held: Receipt{Attempts: 4}, report: prestage.Report{Problems: problems{failed}}, want: want{Attempts: 5, Delay: 10 * time.Minute}},
		"seventh":           {held: Receipt{Attempts: 6}, report: prestage.Report{Problems: problems{failed}}, want: want{Attempts: 7, Delay: 10 * time.Minute}},
		"eighth is the last": {
			held: Receipt{Attempts: 7}, report: prestage.Report{Problems: problems{missing}},
			want: want{Final: DeadLettered, Reason: outcome.NotFound, Attempts: 8},
		},
		"dead-lettered although others are warm": {
			held:   Receipt{Attempts: 7},
			report: prestage.Report{Objects: prestage.Counts{Total: 2, Filled: 1, Failed: 1}, Problems: problems{failed}},
			want:   want{Final: DeadLettered, Reason: outcome.FillFailed, Attempts: 8},
		},
		"the worst reason decides": {
			held: Receipt{Attempts: 7}, report: prestage.Report{Problems: problems{failed, missing}},
			want: want{Final: DeadLettered, Reason: outcome.NotFound, Attempts: 8},
		},

		"permanent is final at once": {
			report: prestage.Report{Problems: problems{problem(outcome.Permanent, outcome.BucketNotAllowed)}},
			want:   want{Final: DeadLettered, Reason: outcome.BucketNotAllowed, Attempts: 1},
		},
		"permanent, but another object can still be filled": {
			report: prestage.Report{Problems: problems{problem(outcome.Permanent, outcome.Malformed), failed}},
			want:   want{Attempts: 1, Delay: time.Second},
		},

		"interrupted counts nothing": {
			held: Receipt{Attempts: 2}, report: prestage.Report{Problems: problems{failed, problem(outcome.Interrupted, "")}},
			want: want{Release: true, Attempts: 2},
		},

		"refused: first time": {
			report: prestage.Report{Problems: problems{refused}},
			want:   want{Refused: now, Delay: 15 * time.Second},
		},
		"refused for a minute": {
			held:   Receipt{FirstRefusal: now.Add(-time.Minute)},
			report: prestage.Report{Problems: problems{badRequest}},
			want:   want{Refused: now.Add(-time.Minute), Delay: time.Minute},
		},
		"refused first by a clock ahead of ours": {
			held:   Receipt{FirstRefusal: now.Add(time.Hour)},
			report: prestage.Report{Problems: problems{badRequest}},
			want:   want{Refused: now, Delay: 15 * time.Second},
		},
		"refused for an hour": {
			held:   Receipt{FirstRefusal: now.Add(-time.Hour)},
			report: prestage.Report{Problems: problems{refused}},
			want:   want{Refused: now.Add(-time.Hour), Delay: 5 * time.Minute},
		},
		"refused: the last wait ends when the patience does": {
			held:   Receipt{FirstRefusal: now.Add(-24*time.Hour + time.Second)},
			report: prestage.Report{Problems: problems{refused}},
			want:   want{Refused: now.Add(-24*time.Hour + time.Second), Delay: time.Second},
		},
		"refused for too long": {
			held:   Receipt{FirstRefusal: now.Add(-24 * time.Hour)},
			report: prestage.Report{Problems: problems{refused}},
			want:   want{Final: DeadLettered, Reason: outcome.Forbidden, Refused: now.Add(-24 * time.Hour)},
		},
		"refusals start anew after a time of overload": {
			held:   Receipt{BusySince: now.Add(-48 * time.Hour)},
			report: prestage.Report{Problems: problems{refused}},
			want:   want{Refused: now, Delay: 15 * time.Second},
		},
		"throttling in between does not end a refusal": {
			held:   Receipt{FirstRefusal: now.Add(-time.Hour), BusySince: now.Add(-time.Minute)},
			report: prestage.Report{Problems: problems{throttled}},
			want:   want{Refused: now.Add(-time.Hour), Busy: now.Add(-time.Minute), Delay: time.Minute},
		},
		"another answer does": {
			held:   Receipt{FirstRefusal: now.Add(-time.Hour)},
			report: prestage.Report{Problems: problems{missing}},
			want:   want{Attempts: 1, Delay: time.Second},
		},
		"an own failure beside a refusal counts, and sets no shorter wait": {
			report: prestage.Report{Problems: problems{failed, refused}},
			want:   want{Attempts: 1, Refused: now, Delay: 15 * time.Second},
		},

		"throttled": {
			report: prestage.Report{Problems: problems{throttled}},
			want:   want{Busy: now, Delay: 2 * time.Second},
		},
		"throttled: what the server asks for": {
			report: prestage.Report{Problems: problems{{Class: outcome.Throttled, Reason: outcome.FillFailed, RetryAfter: 40 * time.Second}}},
			want:   want{Busy: now, Delay: 40 * time.Second},
		},
		"throttled for days like everybody": {
			held: Receipt{BusySince: now.Add(-72 * time.Hour), Busy: since(now.Add(-72 * time.Hour))}, report: busy(outcome.Throttled, time.Time{}, a),
			want: want{Busy: now.Add(-72 * time.Hour), Objects: since(now.Add(-72 * time.Hour)), Delay: time.Minute},
		},
		"throttled alone: first time": {
			report: busy(outcome.Throttled, now.Add(-time.Minute), a),
			want:   want{Busy: now, Objects: since(now), Delay: 2 * time.Second},
		},
		"throttled alone for a day": {
			held: Receipt{BusySince: day, Busy: since(day)}, report: busy(outcome.Throttled, now.Add(-time.Minute), a),
			want: want{Final: DeadLettered, Reason: outcome.FillFailed, Busy: day, Objects: since(day)},
		},
		"throttled for a day, others were served before it only": {
			held: Receipt{BusySince: day, Busy: since(day)}, report: busy(outcome.Throttled, day, a),
			want: want{Busy: day, Objects: since(day), Delay: time.Minute},
		},
		"the event waits for a day, each object less": {
			held: Receipt{BusySince: day, Busy: since(day)}, report: busy(outcome.Throttled, now.Add(-time.Minute), b),
			want: want{Busy: day, Objects: map[string]time.Time{busyKey(b): now}, Delay: time.Minute},
		},
		"one for a day, another less": {
			held: Receipt{BusySince: day, Busy: since(day, now.Add(-time.Hour))}, report: busy(outcome.Throttled, now.Add(-time.Minute), a, b),
			want: want{Busy: day, Objects: since(day, now.Add(-time.Hour)), Delay: time.Minute},
		},
		"both for a day, throttled and failing": {
			held: Receipt{BusySince: day, Busy: since(day, day)}, report: mixed,
			want: want{Final: DeadLettered, Reason: outcome.FillFailed, Busy: day, Objects: since(day, day)},
		},
		"more objects than can be named are not alone": {
			held: Receipt{BusySince: day, Busy: since(day)}, report: many,
			want: want{Busy: day, Objects: since(day), Delay: time.Minute},
		},
		"a failing store burns no attempt": {
			held: Receipt{Attempts: 7}, report: prestage.Report{Problems: problems{transient}},
			want: want{Attempts: 7, Busy: now, Delay: 2 * time.Second},
		},
		"an unreachable endpoint burns no attempt": {
			held: Receipt{Attempts: 7}, report: prestage.Report{Problems: problems{problem(outcome.Unreachable, "")}},
			want: want{Attempts: 7, Delay: 2 * time.Second},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := decide(tt.held, tt.report, policy, now)
			got := want{d.final, d.reason, d.release, d.attempts, d.refusedSince, d.busySince, d.busy, d.delay}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestScheduleSpansHalfAnHour(t *testing.T) {
	t.Parallel()
	var held Receipt
	var total time.Duration
	for held.Attempts < 8 {
		d := decide(held, prestage.Report{Problems: []prestage.Problem{{Class: outcome.Failed, Reason: outcome.NotFound}}},
			Policy{MaxAttempts: 8, GiveUpAfter: time.Hour}, time.Now())
		held.Attempts = d.attempts
		total += d.delay
	}
	if total < 30*time.Minute || total > 35*time.Minute {
		t.Errorf("8 attempts span %s", total)
	}
}

func TestMostSkips(t *testing.T) {
	t.Parallel()
	all := outcome.SkipReasons()
	first, last := all[0], all[len(all)-1]
	for name, tt := range map[string]struct {
		skips map[outcome.Reason]int
		want  outcome.Reason
	}{
		"none":     {nil, outcome.NotActionable},
		"one":      {map[outcome.Reason]int{last: 1}, last},
		"the most": {map[outcome.Reason]int{first: 3, last: 2}, first},
		"the last": {map[outcome.Reason]int{first: 2, last: 3}, last},
		"as many":  {map[outcome.Reason]int{first: 2, last: 2}, first},
	} {
		if got := MostSkips(tt.skips); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
