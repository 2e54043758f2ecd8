package replay

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/natstest"
)

// newStream holds n messages on two subjects in turn; those in gone are deleted.
func newStream(t *testing.T, n int, gone ...uint64) (jetstream.Stream, []time.Time) {
	t.Helper()
	js := natstest.Start(t).JetStream(t)
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"e.>"}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	times := []time.Time{{}}
	for i := 1; i <= n; i++ {
		if _, err := js.Publish(t.Context(), fmt.Sprintf("e.%d", i%2), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		m, err := s.GetMsg(t.Context(), uint64(i)) //nolint:gosec // small
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, m.Time)
	}
	for _, seq := range gone {
		if err := s.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	return s, times
}

// TestSinceMangled: messages whose headers nobody can read are in nobody's way.
func TestSinceMangled(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Conn(t), srv.JetStream(t)
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"e.>"}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	times := map[uint64]time.Time{}
	for seq := uint64(1); seq <= 12; seq++ {
		if seq%4 != 1 {
			natstest.PublishMangled(t, nc, "e.a")
			continue
		}
		if _, err := js.Publish(t.Context(), "e.a", []byte("x")); err != nil {
			t.Fatal(err)
		}
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		times[seq] = m.Time
	}
	for seq, at := range times {
		// Those right before it may have been stored then, too.
		if plan, err := resolve(t.Context(), s, Selection{Since: at}); err != nil || plan.Range.First > seq || plan.Range.First+3 < seq {
			t.Errorf("since %d: %+v, %v", seq, plan.Range, err)
		}
	}
	if plan, err := resolve(t.Context(), s, Selection{Since: times[9].Add(time.Hour)}); err != nil || plan.Range.Last != 12 || plan.Range.First < 10 {
		t.Errorf("since later: %+v, %v", plan.Range, err)
	}
}

// TestResolve: an end may as well be a deleted message beside the one meant.
func TestResolve(t *testing.T) {
	t.Parallel()
	s, at := newStream(t, 20, 1, 2, 7, 8, 20)
	for name, tt := range map[string]struct {
		Selection
		want    Range
		dropped bool
	}{
		"all":                   {Selection{}, Range{3, 20}, true},
		"sequences":             {Selection{FromSeq: 5, ToSeq: 9}, Range{5, 9}, false},
		"sequences beyond":      {Selection{FromSeq: 2, ToSeq: 99}, Range{3, 20}, true},
		"the first that it has": {Selection{FromSeq: 3}, Range{3, 20}, false},
		"since a message":       {Selection{Since: at[5]}, Range{5, 20}, false},
		"since after one":       {Selection{Since: at[5].Add(1)}, Range{6, 20}, false},
		"since a deleted one":   {Selection{Since: at[7]}, Range{7, 20}, false},
		"since long ago":        {Selection{Since: at[1].Add(-time.Hour)}, Range{3, 20}, true},
		"since the future":      {Selection{Since: time.Now().Add(time.Hour)}, Range{20, 20}, false},
		"until a message":       {Selection{FromSeq: 4, Until: at[6]}, Range{4, 6}, false},
		"until before one":      {Selection{FromSeq: 4, Until: at[6].Add(-1)}, Range{4, 5}, false},
		"until long ago":        {Selection{FromSeq: 4, Until: at[1].Add(-time.Hour)}, Range{4, 3}, false},
		"until the future":      {Selection{FromSeq: 4, Until: time.Now().Add(time.Hour)}, Range{4, 19}, false},
		"a time to a sequence":  {Selection{Since: at[4], ToSeq: 6}, Range{4, 6}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, err := resolve(t.Context(), s, tt.Selection)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, plan.Range); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if plan.Gaps != 3 {
				t.Errorf("%d messages are gone, want 3", plan.Gaps)
			}
			dropped := plan.Dropped
			if (dropped != nil) != tt.dropped || (dropped != nil && (dropped.FirstSeq != 3 || !dropped.FirstTime.Equal(at[3]))) {
				t.Errorf("dropped: %+v, want %t", dropped, tt.dropped)
			}
		})
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	s, _ := newStream(t, 600, 3, 599, 600)
	for name, tt := range map[string]struct {
		Range
		subjects []string
		want     int
	}{
		"all":               {Range{1, 600}, []string{"e.>"}, 597},
		"more than a batch": {Range{1, 590}, []string{"e.>"}, 589},
		"one subject":       {Range{1, 600}, []string{"e.1"}, 298},
		"both":              {Range{1, 10}, []string{"e.0", "e.1"}, 9},
		"none left":         {Range{599, 600}, []string{"e.>"}, 0},
		"empty":             {Range{601, 600}, []string{"e.>"}, 0},
		"nobody's subject":  {Range{1, 600}, []string{"e.2"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, last := 0, uint64(0)
			err := each(t.Context(), s, tt.Range, tt.subjects, func(m events.Message) error {
				if m.Seq <= last || m.Seq < tt.First || m.Seq > tt.Last || string(m.Data) != fmt.Sprint(m.Seq) {
					t.Errorf("message %d after %d: %s", m.Seq, last, m.Data)
				}
				last = m.Seq
				got++
				return nil
			})
			if err != nil || got != tt.want {
				t.Errorf("%d messages, want %d; %v", got, tt.want, err)
			}
		})
	}
}

// TestResolveOfNothing: a stream that had messages, and has none.
func TestResolveOfNothing(t *testing.T) {
	t.Parallel()
	s, at := newStream(t, 3)
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		Selection
		dropped bool
	}{
		"all":              {Selection{}, true},
		"since a message":  {Selection{Since: at[2]}, true},
		"since the last":   {Selection{Since: at[3].Add(1)}, false},
		"what comes":       {Selection{FromSeq: 4}, false},
		"and what was":     {Selection{FromSeq: 3}, true},
		"until a message":  {Selection{Until: at[2]}, true},
		"since the future": {Selection{Since: time.Now().Add(time.Hour)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, err := resolve(t.Context(), s, tt.Selection)
			if err != nil || plan.Range.First <= plan.Range.Last {
				t.Errorf("%+v, %v", plan, err)
			}
			if (plan.Dropped != nil) != tt.dropped || (plan.Dropped != nil && (plan.Dropped.FirstSeq != 4 || plan.Dropped.FirstTime.Year() > 1)) {
				t.Errorf("dropped: %+v, want %t", plan.Dropped, tt.dropped)
			}
		})
	}
}
