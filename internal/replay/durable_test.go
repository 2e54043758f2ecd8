package replay

import (
	"encoding/json"
	"testing"
	"time"
)

// TestSame: a replay is gone on with by the flags that it was begun with, and by
// no others.
func TestSame(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	begun := Replay{
		Selection: Selection{Since: now.Add(-time.Hour), Runs: []string{"run-7"}, Latest: 2, Seqs: []uint64{3, 7}},
		Durations: "1h/", Force: true,
	}
	task := task{Asked: begun.Selection, Seqs: digest(begun.Selection.Seqs), Durations: begun.Durations, Force: now}
	data, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*Replay)
		want   bool
	}{
		"nothing":            {func(*Replay) {}, true},
		"an hour, later":     {func(r *Replay) { r.Selection.Since = now }, true},
		"another duration":   {func(r *Replay) { r.Durations = "2h/" }, false},
		"another run":        {func(r *Replay) { r.Selection.Runs = []string{"run-8"} }, false},
		"another number":     {func(r *Replay) { r.Selection.Latest = 3 }, false},
		"another end":        {func(r *Replay) { r.Selection.ToSeq = 3 }, false},
		"without force":      {func(r *Replay) { r.Force = false }, false},
		"another sequence":   {func(r *Replay) { r.Selection.Seqs = []uint64{3, 8} }, false},
		"another rate":       {func(r *Replay) { r.Rate = 3 }, true},
		"a time, not an age": {func(r *Replay) { r.Durations, r.Selection.Since = "", now }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stored := task
			stored.Asked = Selection{}
			if err := json.Unmarshal(data, &stored); err != nil {
				t.Fatal(err)
			}
			r := Replay{Selection: begun.Selection, Durations: begun.Durations, Force: begun.Force}
			tt.change(&r)
			if got := r.same(stored); got != tt.want {
				t.Errorf("the same: %t", got)
			}
		})
	}
}
