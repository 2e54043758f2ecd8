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

// fuse is how long something may still take, all its tries included: it burns
// while a request is under way and between tries, and not while one waits for its
// turn, or for an endpoint that is down. A nil one never ends.
type fuse struct{ whole, left time.Duration }

func newFuse(d time.Duration) *fuse { return &fuse{d, d} }

// isShort says that less is left than most of it.
func (f *fuse) isShort() bool { return f.left < f.whole/2 }

func (f *fuse) burn(d time.Duration) {
	if f != nil {
		f.left -= d
	}
}

func (f *fuse) outlasts(d time.Duration) bool { return f == nil || f.left > d }

func (f *fuse) reset() {
	if f != nil {
		f.left = f.whole
	}
}

// schedule is an exponential back-off that also obeys Retry-After, which
// backoff/v4 knows nothing of, and the end of a fuse.
type schedule struct {
	*backoff.ExponentialBackOff
	fuse  *fuse
	tries int
	asked time.Duration // what the server asked for last
}

func newSchedule(f *fuse) *schedule {
	return &schedule{fuse: f, ExponentialBackOff: backoff.NewExponentialBackOff(
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
	if d = max(d, s.asked); !s.fuse.outlasts(d) {
		return backoff.Stop
	}
	s.fuse.burn(d)
	return d
}

// Reset starts anew.
func (s *schedule) Reset() {
	s.tries, s.asked = 0, 0
	s.fuse.reset()
	s.ExponentialBackOff.Reset()
}

// retry calls op until it succeeds, fails for good, or has used up its tries.
// Transient and Throttled failures use up tries; an Unreachable endpoint does
// not, since op waits for it. Between tries it waits no longer than start lasts.
func retry[T any](start context.Context, ref object.Ref, op func() (T, error)) (T, error) {
	return retryWithin(start, ref, nil, op)
}

// retryWithin is retry for as long as f lasts, which op burns.
func retryWithin[T any](start context.Context, ref object.Ref, f *fuse, op func() (T, error)) (T, error) {
	s := newSchedule(f)
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
