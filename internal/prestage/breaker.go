package prestage

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Refusing is a bucket whose breaker is open.
type Refusing struct {
	Bucket string
	Reason outcome.Reason // what the events' letters would say
	Why    error          // the refusal that opened it, or that of the latest trial
	Since  time.Time
	Trial  time.Time // when one request is let through
}

// refusalOf is the refusal as that of a request for ref.
func (b *bucketState) refusalOf(ref object.Ref) *outcome.Error {
	e := *b.refusal
	e.Ref = ref
	return &e
}

// askWhole opens the breaker for why when the bucket as a whole refuses us, and
// has served nothing yet.
func (w *bucketWatch) askWhole(b *bucketState, why *outcome.Error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	if !w.refuses(ctx, b.name) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.refusal == nil && !b.served {
		b.refuse(why)
		b.wake()
	}
}

// refuse opens the breaker, or keeps it open.
func (b *bucketState) refuse(why *outcome.Error) {
	now := time.Now()
	if b.refusal == nil {
		b.since = now
	}
	b.refusal = why
	b.until = now.Add(b.pause())
}

// pause is the time between trials. A silent host holds a trial for ten seconds.
func (b *bucketState) pause() time.Duration {
	if errors.As(b.refusal, new(deadHostError)) {
		return deadFor
	}
	return refusedFor
}

// refusing lists the open breakers by bucket.
func (w *bucketWatch) refusing() []Refusing {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Refusing
	for name, b := range w.buckets {
		if b.refusal != nil {
			out = append(out, Refusing{Bucket: name, Reason: b.refusal.Reason, Why: b.refusal, Since: b.since, Trial: b.until})
		}
	}
	slices.SortFunc(out, func(a, b Refusing) int { return strings.Compare(a.Bucket, b.Bucket) })
	return out
}
