package replay

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestPresent: a message is the one that is meant by its sequence and its time.
func TestPresent(t *testing.T) {
	t.Parallel()
	s, at := newStream(t, 5, 2)
	got, err := present(t.Context(), s, []Place{
		{1, at[1]}, {2, at[2]}, {3, at[3].Add(-time.Hour)}, {4, time.Time{}}, {5, at[5].Local()}, {9, time.Time{}},
	})
	if diff := cmp.Diff([]uint64{1, 4, 5}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestSorted(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	got := Sorted([]Place{{3, now}, {1, now}, {3, now.Add(-1)}, {3, now}, {1, now}})
	if diff := cmp.Diff([]Place{{1, now}, {3, now.Add(-1)}, {3, now}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
