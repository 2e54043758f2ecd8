package prestage

import (
	"math"
	"time"

	"github.com/prestage/prestage/internal/outcome"
)

const (
	shortageHalf   = 10 * time.Second // half of what was seen counts no more after that
	shortageLeast  = 5                // requests turned away, to tell,
	shortageOthers = 3                // and served elsewhere
	// A bucket is short alone where it is turned away so many times as often as those
	// are that fare better, and more often than that by this share.
	shortageTimes = 3
	shortageMore  = .25

	shortageLook = 100 * time.Millisecond // how often those who wait in it look again
)

// shortage is what of a bucket's requests the store had no capacity for of late.
// Where it serves other buckets meanwhile, the bucket gets a limit of its own,
// and says nothing of the limit of all.
type shortage struct {
	served, refused float64
	at              time.Time
	limit           *governor // nil while the bucket is like all others
}

// age lets what was seen fade.
func (s *shortage) age(now time.Time) {
	fade := math.Exp2(-float64(now.Sub(s.at)) / float64(shortageHalf))
	s.served, s.refused, s.at = s.served*fade, s.refused*fade, now
}

func (s *shortage) share() float64 { return s.refused / max(s.served+s.refused, 1) }

// weigh notes whether the store had the capacity for a request that was sent at
// the time sent. It says that the bucket lacks it alone.
func (v *visit) weigh(err error, sent time.Time) (alone bool) {
	w, b := v.watch, v.bucket
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	b.short.age(now)
	if !congested(err) {
		if err == nil || outcome.As(err).Status != 0 {
			b.short.fits(now, now.Sub(sent))
		}
		return false
	}
	b.short.refused++
	if b.short.limit == nil && w.isShortAlone(b, now) {
		b.short.limit = newGovernor(w.limiter.Ceiling(), now)
		w.limiter.forgive()
	}
	if b.short.limit != nil {
		b.short.limit.advance(now, b.changed != nil)
		b.short.limit.refuse(sent, b.inside)
	}
	return b.short.limit != nil
}

// fits notes a request that was answered after d. In the end the bucket is like
// all others again.
func (s *shortage) fits(now time.Time, d time.Duration) {
	s.served++
	switch {
	case s.limit == nil:
	case s.refused < 1:
		s.limit = nil
	default:
		s.limit.advance(now, true)
		s.limit.filled(d)
	}
}

// isShortAlone says that the store serves other buckets, and b hardly.
func (w *bucketWatch) isShortAlone(b *bucketState, now time.Time) bool {
	if b.short.refused < shortageLeast {
		return false
	}
	var others shortage
	for _, o := range w.buckets {
		if o != b && o.short.limit == nil && o.short.share() <= b.short.share() {
			o.short.age(now)
			others.served += o.short.served
			others.refused += o.short.refused
		}
	}
	return others.served >= shortageOthers && b.short.share() > shortageTimes*others.share()+shortageMore
}

// isFull says that no more requests may be sent to a bucket that is short alone,
// for now.
func (b *bucketState) isFull(now time.Time) bool {
	if b.short.limit == nil {
		return false
	}
	b.short.limit.advance(now, true)
	return b.short.limit.room(b.inside) <= 0
}
