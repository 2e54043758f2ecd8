package prestage

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// The one retry policy of requests to the store: the SDK's retryer is off.
const (
	maxTries   = 4
	firstDelay = 200 * time.Millisecond
	maxElapsed = 10 * time.Second // then the caller knows better what to do
)

// schedule is an exponential back-off that also obeys Retry-After, which
// backoff/v4 knows nothing of.
type schedule struct {
	*backoff.ExponentialBackOff
	tries int
	asked time.Duration // what the server asked for last
}

func newSchedule() *schedule {
	return &schedule{ExponentialBackOff: backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstDelay),
		backoff.WithMaxElapsedTime(maxElapsed),
	)}
}

// NextBackOff takes the larger of both, and stops when that is too long.
func (s *schedule) NextBackOff() time.Duration {
	s.tries++
	d := s.ExponentialBackOff.NextBackOff()
	if d == backoff.Stop || s.tries >= maxTries || s.GetElapsedTime()+s.asked > maxElapsed {
		return backoff.Stop
	}
	return max(d, s.asked)
}

// Reset starts anew.
func (s *schedule) Reset() {
	s.tries, s.asked = 0, 0
	s.ExponentialBackOff.Reset()
}

// retry calls op until it succeeds, fails for good, or has used up its tries.
// Transient and Throttled failures use up tries; an Unreachable endpoint does
// not, since op waits for it. Between tries it waits no longer than start lasts.
func retry[T any](start context.Context, ref object.Ref, op func() (T, error)) (T, error) {
	s := newSchedule()
	v, err := backoff.RetryWithData(func() (T, error) {
		for {
			v, err := op()
			switch {
			case errors.Is(err, outcome.Unreachable):
				s.Reset()
				continue
			case errors.Is(err, outcome.Transient), errors.Is(err, outcome.Throttled):
				s.asked = outcome.As(err).RetryAfter
				return v, err
			case err != nil:
				return v, backoff.Permanent(err)
			}
			return v, nil
		}
	}, backoff.WithContext(s, start))
	if err != nil && start.Err() != nil && !errors.As(err, new(*outcome.Error)) {
		err = ended(start, "retry", ref)
	}
	return v, err
}
