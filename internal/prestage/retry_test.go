package prestage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prestage/prestage/internal/outcome"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	asks := func(d time.Duration) error {
		return &outcome.Error{Class: outcome.Throttled, Status: 429, RetryAfter: d, Err: errors.New("slow down")}
	}
	transient := failure(outcome.Transient, ckpt("k"))
	for name, tt := range map[string]struct {
		errs     []error // one a try; then success
		startFor time.Duration
		tries    int
		want     outcome.Class // 0: success
		min, max time.Duration
	}{
		"at once":               {tries: 1},
		"second try":            {errs: []error{transient}, tries: 2, min: 100 * time.Millisecond, max: 300 * time.Millisecond},
		"four tries":            {errs: []error{transient, transient, transient, transient}, tries: 4, want: outcome.Transient, min: 475 * time.Millisecond, max: 1425 * time.Millisecond},
		"Retry-After":           {errs: []error{asks(3 * time.Second)}, tries: 2, min: 3 * time.Second, max: 3 * time.Second},
		"Retry-After forgotten": {errs: []error{asks(3 * time.Second), transient}, tries: 3, min: 3100 * time.Millisecond, max: 3450 * time.Millisecond},
		"Retry-After too long":  {errs: []error{asks(11 * time.Second)}, tries: 1, want: outcome.Throttled},
		"Retry-After adds up":   {errs: []error{asks(6 * time.Second), asks(6 * time.Second)}, tries: 2, want: outcome.Throttled, min: 6 * time.Second, max: 6 * time.Second},
		"not found":             {errs: []error{failure(outcome.Failed, ckpt("k"))}, tries: 1, want: outcome.Failed},
		"refused":               {errs: []error{failure(outcome.Refused, ckpt("k"))}, tries: 1, want: outcome.Refused},
		"interrupted":           {errs: []error{failure(outcome.Interrupted, ckpt("k"))}, tries: 1, want: outcome.Interrupted},
		"unreachable is free": {
			errs:  []error{transient, transient, transient, failure(outcome.Unreachable, ckpt("k")), transient, transient, transient},
			tries: 8, min: 950 * time.Millisecond, max: 2850 * time.Millisecond,
		},
		"start ends": {errs: []error{asks(5 * time.Second)}, startFor: time.Second, tries: 1, want: outcome.Interrupted, min: time.Second, max: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start, tries, began := t.Context(), 0, time.Now()
				if tt.startFor > 0 {
					var cancel context.CancelFunc
					start, cancel = context.WithTimeout(start, tt.startFor)
					defer cancel()
				}
				v, err := retry(start, ckpt("k"), func() (int, error) {
					if tries++; tries <= len(tt.errs) {
						return 0, tt.errs[tries-1]
					}
					return 42, nil
				})
				if tries != tt.tries {
					t.Errorf("%d tries, want %d", tries, tt.tries)
				}
				if tt.want == 0 && (err != nil || v != 42) || tt.want != 0 && !errors.Is(err, tt.want) {
					t.Errorf("%d, %v", v, err)
				}
				if took := time.Since(began); took < tt.min || took > tt.max {
					t.Errorf("took %v, want %v to %v", took, tt.min, tt.max)
				}
			})
		})
	}
}
