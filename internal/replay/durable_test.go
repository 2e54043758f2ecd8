package replay

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
)

// TestSame: a replay is gone on with by the flags that it was begun with, and by
// no others.
func TestSame(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	begun := Replay{
		Selection: Selection{Since: now.Add(-time.Hour), Runs: []string{"run-7"}, Latest: 2, Named: []Place{{3, now}, {7, now}}},
		Durations: "1h/", Force: true,
	}
	task := task{Asked: begun.Selection, Named: digest(begun.Selection.Named), Durations: begun.Durations, Force: now}
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
		"another message":    {func(r *Replay) { r.Selection.Named = []Place{{3, now}, {8, now}} }, false},
		"of another stream":  {func(r *Replay) { r.Selection.Named = []Place{{3, now}, {7, now.Add(1)}} }, false},
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

// TestGoesOn: whoever is killed leaves the durable, and the next call of that
// name does what the first was asked for, from where it was.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	s, _ := newStream(t, 20)
	call := func(change func(*Replay)) (jetstream.Consumer, task, bool, error) {
		r := &Replay{Stream: s, Lane: consumer.Config{Cluster: "default", Name: "night"}, AckWait: time.Minute}
		change(r)
		begun := false
		cons, got, err := r.durable(t.Context(), []string{"e.>"}, func() (task, error) {
			begun = true
			plan, err := resolve(t.Context(), s, r.Selection)
			return task{Asked: r.Selection, Range: plan.Range}, err
		})
		return cons, got, begun, err
	}
	from5 := func(r *Replay) { r.Selection.FromSeq = 5 }
	cons, first, begun, err := call(from5)
	if err != nil || !begun || first.Range != (Range{5, 20}) || !Owns(cons.CachedInfo().Config) || cons.CachedInfo().Name != "prestage-default-replay-night" {
		t.Fatalf("%+v, begun anew: %t, %v", first, begun, err)
	}
	for range 3 {
		m, err := cons.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	again, second, begun, err := call(from5)
	if err != nil || begun || second.Range != first.Range || again.CachedInfo().AckFloor.Stream != 7 {
		t.Errorf("%+v, begun anew: %t, %v", second, begun, err)
	}
	if _, _, begun, err := call(func(r *Replay) { r.Selection.FromSeq = 6 }); !errors.Is(err, ErrOther) || begun {
		t.Errorf("with other flags, begun anew: %t, %v", begun, err)
	}
	other, third, begun, err := call(func(r *Replay) { r.Selection.FromSeq, r.Lane.Name = 6, "day" })
	if err != nil || !begun || third.Range != (Range{6, 20}) || other.CachedInfo().AckFloor.Stream > 5 {
		t.Errorf("of another name: %+v, begun anew: %t, %v", third, begun, err)
	}
	if _, _, begun, err := call(func(r *Replay) { r.Selection.FromSeq, r.Lane.Name = 21, "empty" }); err != nil || !begun {
		t.Errorf("nothing is in the range: %v", err)
	}
}
