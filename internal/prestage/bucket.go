package prestage

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

const (
	newBucketLimit = 8 // requests at once in a bucket that never answered
	silenceLimit   = 5 * time.Second
	askTimeout     = 5 * time.Second
	askEvery       = 10 * time.Second
	deadFor        = 15 * time.Second // then there is one trial of a silent host
	refusedFor     = 5 * time.Second  // and of a bucket that refuses
	maxBuckets     = 1024             // that are remembered without being in use
	refusedKeys    = 5                // keys that are refused, and none served between: the bucket refuses
)

// bucketWatch keeps a bucket whose host stalls from holding slots. A bucket's
// name is part of a host name, and a wrong one was seen to stall rather than to
// fail (marin's notes on LOTA), while a slow answer to a fill is legal. So a
// bucket that was never heard gets few requests at once, and one that has been
// silent is asked a question that never takes long: HeadBucket.
//
// It also is the breaker of a bucket that refuses us: while that is open, its
// requests fail at once, so that they take nothing from other buckets, and now
// and then one is let through. Listings neither open nor close it, and neither
// does HeadBucket: they need another permission than HeadObject does.
type bucketWatch struct {
	// ask says nil when the bucket answers. Of the errors only a dead host's and
	// an unreachable endpoint's say that it does not.
	ask func(ctx context.Context, bucket string) *outcome.Error

	mu      sync.Mutex
	buckets map[string]*bucketState // those in use, known to answer, or refusing
}

type bucketState struct {
	name     string
	inside   int           // visits
	sent     list.List     // *visit whose request is under way, the oldest first
	answered bool          // ever, with whatever status
	served   bool          // ever: some object's request succeeded
	heard    time.Time     // last answer of any status
	changed  chan struct{} // closed when those who wait should look again; nil: nobody waits
	timer    *time.Timer   // runs while a request is under way
	stopAsk  context.CancelFunc

	refused map[string]struct{} // keys, since one was last served
	refusal *outcome.Error      // why the breaker is open, else nil
	since   time.Time           // when it opened
	until   time.Time           // when the next trial may start
}

// Refusing is a bucket whose breaker is open.
type Refusing struct {
	Bucket string
	Reason outcome.Reason // what the events' letters would say
	Why    error          // the refusal that opened it, or that of the latest trial
	Since  time.Time
	Trial  time.Time // when one request is let through
}

// visit is one request to a bucket, from the wait for its turn to its end.
type visit struct {
	watch  *bucketWatch
	bucket *bucketState
	ref    object.Ref
	trial  bool
	since  time.Time
	place  *list.Element
	cancel context.CancelCauseFunc
}

func newBucketWatch(ask func(context.Context, string) *outcome.Error) *bucketWatch {
	return &bucketWatch{ask: ask, buckets: make(map[string]*bucketState)}
}

// enter waits until a request for ref may be sent. The error is the refusal of
// a dead bucket, or Interrupted. A visit must be left.
func (w *bucketWatch) enter(ctx context.Context, ref object.Ref) (*visit, error) {
	for {
		v, changed, err := w.tryEnter(ref)
		if v != nil || err != nil {
			return v, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ended(ctx, "wait for the bucket", ref)
		}
	}
}

func (w *bucketWatch) tryEnter(ref object.Ref) (*visit, <-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.state(ref.Bucket)
	v := &visit{watch: w, bucket: b, ref: ref}
	switch {
	case b.refusal != nil && time.Now().Before(b.until):
		return nil, nil, b.refusalOf(ref)
	case b.refusal != nil && !ref.IsPrefix():
		v.trial, b.until = true, time.Now().Add(b.pause())
	case (!b.answered || (!b.served && len(b.refused) > 0)) && b.inside >= newBucketLimit:
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		return nil, b.changed, nil
	}
	b.inside++
	return v, nil, nil
}

func (w *bucketWatch) state(name string) *bucketState {
	b := w.buckets[name]
	if b == nil {
		w.forget()
		b = &bucketState{name: name}
		w.buckets[name] = b
	}
	return b
}

// forget bounds what hostile names can make us remember.
func (w *bucketWatch) forget() {
	if len(w.buckets) < maxBuckets {
		return
	}
	now := time.Now()
	for name, b := range w.buckets {
		if b.inside == 0 && now.After(b.until) {
			delete(w.buckets, name)
		}
	}
}

// refusalOf is the refusal as that of a request for ref.
func (b *bucketState) refusalOf(ref object.Ref) *outcome.Error {
	e := *b.refusal
	e.Ref = ref
	return &e
}

// send says that the request is sent now, unless the bucket has turned out to
// refuse since the visit began. The context that it returns ends with the
// refusal as its cause when the bucket turns out to be dead.
func (v *visit) send(ctx context.Context) (context.Context, error) {
	w, b := v.watch, v.bucket
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.refusal != nil && !v.trial && time.Now().Before(b.until) {
		return nil, b.refusalOf(v.ref)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	v.since, v.cancel = time.Now(), cancel
	v.place = b.sent.PushBack(v)
	if b.sent.Len() == 1 {
		b.timer = time.AfterFunc(silenceLimit, func() { w.check(b) })
	}
	return ctx, nil
}

// leave says how the visit ended.
func (v *visit) leave(err error) {
	w, b := v.watch, v.bucket
	w.mu.Lock()
	defer w.mu.Unlock()
	b.inside--
	if v.place != nil {
		v.cancel(nil)
		b.sent.Remove(v.place)
		if b.sent.Len() == 0 {
			b.timer.Stop()
			if b.stopAsk != nil {
				b.stopAsk()
			}
		}
	}
	if v.place != nil {
		b.learn(v, err)
	}
	b.wake()
	if b.inside == 0 && !b.answered && b.refusal == nil {
		delete(w.buckets, b.name)
	}
}

// check runs when a request has been under way for silenceLimit, and then again
// while that lasts.
func (w *bucketWatch) check(b *bucketState) {
	w.mu.Lock()
	oldest := b.sent.Front()
	if oldest == nil {
		w.mu.Unlock()
		return
	}
	since := oldest.Value.(*visit).since //nolint:forcetypeassert // the list holds nothing else
	if b.heard.After(since) {
		since = b.heard
	}
	if quiet := time.Since(since); quiet < silenceLimit {
		b.timer.Reset(silenceLimit - quiet)
		w.mu.Unlock()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	b.stopAsk = cancel
	w.mu.Unlock()

	silent := w.ask(ctx, b.name)

	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(ctx.Err(), context.Canceled) {
		return // all requests that we asked about have ended
	}
	b.stopAsk = nil
	b.timer.Reset(askEvery)
	if silent == nil {
		b.hear()
		b.wake()
		return
	}
	dead := errors.As(silent, new(deadHostError))
	if !dead && silent.Class != outcome.Unreachable {
		return
	}
	for e := b.sent.Front(); e != nil; e = e.Next() {
		e.Value.(*visit).cancel(silent) //nolint:forcetypeassert // likewise
	}
	if dead {
		b.refuse(silent)
		b.wake()
	}
}

// learn draws conclusions from how a request ended.
func (b *bucketState) learn(v *visit, err error) {
	var failure *outcome.Error
	if err != nil {
		failure = outcome.As(err)
	}
	switch {
	case errors.As(err, new(deadHostError)):
		if b.refusal == nil || v.trial {
			b.refuse(failure)
		}
		return
	case failure != nil && failure.Status == 0:
		return
	}
	b.hear()
	switch {
	case v.ref.IsPrefix():
	case failure == nil, v.trial && failure.Reason == outcome.NotFound: // who may not read is not told so
		b.served = b.served || failure == nil
		b.refusal, b.refused = nil, nil
	case failure.Class == outcome.Refused:
		if b.refused == nil {
			b.refused = make(map[string]struct{}, refusedKeys)
		}
		if len(b.refused) < refusedKeys {
			b.refused[v.ref.Key] = struct{}{}
		}
		if v.trial || (b.refusal == nil && len(b.refused) == refusedKeys) {
			b.refuse(failure)
		}
	}
}

// hear notes an answer: the host is there.
func (b *bucketState) hear() {
	b.answered, b.heard = true, time.Now()
	if b.refusal != nil && errors.As(b.refusal, new(deadHostError)) {
		b.refusal = nil
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

func (b *bucketState) wake() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}
