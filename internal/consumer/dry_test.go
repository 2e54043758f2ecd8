package consumer

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// TestDryRun: every event ends as skipped, its receipt says what else it would
// have been, and nobody hears of it who listens for the live lanes.
func TestDryRun(t *testing.T) {
	t.Parallel()
	skips := func(reason outcome.Reason) prestage.Report {
		return prestage.Report{Objects: prestage.Counts{Total: 1, Skipped: 1}, Skips: map[outcome.Reason]int{reason: 1}}
	}
	for name, tt := range map[string]struct {
		body   string
		report prestage.Report
		would  string
	}{
		"to be filled":  {oneObject, skips(outcome.DryRun), "warm"},
		"already warm":  {oneObject, prestage.Report{Objects: prestage.Counts{Total: 1, AlreadyWarm: 1}, Verdict: outcome.Accepted}, "warm"},
		"too small":     {oneObject, skips(outcome.TooSmall), "skipped: too_small"},
		"malformed":     {"{broken", prestage.Report{}, "dead_lettered: malformed"},
		"not permitted": {oneObject, failing(outcome.Permanent, outcome.BucketNotAllowed), "dead_lettered: bucket_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{warm: reporting(tt.report)})
			r.lane.cfg.DryRun, r.lane.cfg.Name = true, "dry"
			r.publish(t, tt.body)
			d, s := r.process(t)
			got := r.only(t)
			if s.Action != Ack || got.Outcome != Skipped || got.Reason != outcome.DryRun || got.Would != tt.would {
				t.Errorf("%+v, receipt %+v", s, got)
			}
			if got.Verdict != "" || !got.WarmAt.IsZero() || got.EventToWarmSeconds != 0 {
				t.Errorf("claims to be warm: %+v", got)
			}
			keys, err := r.receipts.Keys(t.Context())
			if err != nil || len(keys) != 1 || !strings.HasSuffix(keys[0], ".EVENTS.1.dry") {
				t.Errorf("keys %v, %v", keys, err)
			}
			if l, n := count(t, r.letters), count(t, r.results); l != 0 || n != 0 {
				t.Errorf("%d letters, %d results", l, n)
			}
			if again := r.lane.process(t.Context(), t.Context(), d); again != s {
				t.Errorf("redelivered: %+v", again)
			}
		})
	}
}

// TestNamed: what is done under a name leaves the live lanes' receipts, letters
// and results alone.
func TestNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{warm: reporting(failing(outcome.Permanent, outcome.BucketNotAllowed))})
	r.publish(t, oneObject)
	d, _ := r.process(t)
	cfg := r.lane.cfg
	cfg.Name = "night"
	if s := NewLane("replay", r.lane.kind, cfg).process(t.Context(), t.Context(), d); s.Action != Reject {
		t.Errorf("%+v", s)
	}
	var got []string
	for _, s := range []jetstream.Stream{r.letters, r.results} {
		info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, slices.Sorted(maps.Keys(info.State.Subjects))...)
	}
	want := []string{
		"prestage.dlq.c1.EVENTS.1", "prestage.dlq.c1.EVENTS.1.night",
		"prestage.failed.c1.EVENTS.1", "prestage.failed.c1.EVENTS.1.night",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	keys, err := r.receipts.Keys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Errorf("receipts %v, %v", keys, err)
	}
}
