package prestage

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

const (
	newBucketLimit = 8 // requests at once in a bucket that never answered, urgent ones and others apart
	silenceLimit   = 5 * time.Second
	askTimeout     = 5 * time.Second
	askEvery       = 10 * time.Second
	deadFor        = 15 * time.Second // then there is one trial of a silent host
	refusedFor     = 5 * time.Second  // and of a bucket that refuses
	maxBuckets     = 1024             // that are remembered without being in use
	refusedKeys    = 5                // keys that are refused, and none served between: the bucket refuses
	askedKeys      = 2                // or so many, none served ever, and HeadBucket refused too
)

// bucketWatch keeps a bucket whose host stalls from holding slots. A bucket's
// name is part of a host name, and a wrong one was seen to stall rather than to
// fail (marin's notes on LOTA), while a slow answer to a fill is legal. So a
// bucket that was never heard gets few requests at once, and one that has been
// silent is asked a question that never takes long: HeadBucket.
//
// It also is the breaker of a bucket that refuses us: while that is open, its
// requests fail at once, so that they take nothing from other buckets, and now
// and then one is let through. Listings neither open nor close it: they need
// another permission than HeadObject does. So does HeadBucket, whose refusal counts
// only of a bucket that has served nothing yet.
type bucketWatch struct {
	// ask says nil when the bucket answers. Of the errors only a dead host's and
	// an unreachable endpoint's say that it does not.
	ask     func(ctx context.Context, bucket string) *outcome.Error
	refuses func(ctx context.Context, bucket string) bool // says that HeadBucket is refused
	limiter *Limiter                                      // of all buckets

	mu      sync.Mutex
	buckets map[string]*bucketState // those in use, known to answer, or refusing
}

type bucketState struct {
	name     string
	inside   int           // visits
	urgent   int           // of these
	sent     list.List     // *visit whose request is under way, the oldest first
	answered bool          // ever, with whatever status
	served   bool          // ever: some object's request succeeded
	heard    time.Time     // last answer of any status
	changed  chan struct{} // closed when those who wait should look again; nil: nobody waits
	timer    *time.Timer   // runs while a request is under way
	stopAsk  context.CancelFunc
	short    shortage

	answers answers
	refused map[string]struct{} // keys, since one was last served
	refusal *outcome.Error      // why the breaker is open, else nil
	since   time.Time           // when it opened
	until   time.Time           // when the next trial may start
}

// visit is one request to a bucket, from the wait for its turn to its end.
type visit struct {
	watch  *bucketWatch
	bucket *bucketState
	ref    object.Ref
	urgent bool
	trial  bool
	since  time.Time
	place  *list.Element
	cancel context.CancelCauseFunc
}

func newBucketWatch(limiter *Limiter, ask func(context.Context, string) *outcome.Error, refuses func(context.Context, string) bool) *bucketWatch {
	return &bucketWatch{limiter: limiter, ask: ask, refuses: refuses, buckets: make(map[string]*bucketState)}
}

// enter waits until a request for ref, an urgent one perhaps, may be sent. The error is the refusal of
// a dead bucket, or Interrupted. A visit must be left.
func (w *bucketWatch) enter(ctx context.Context, ref object.Ref, urgent bool) (*visit, error) {
	for {
		v, changed, err := w.tryEnter(ref, urgent)
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

func (w *bucketWatch) tryEnter(ref object.Ref, urgent bool) (*visit, <-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.state(ref.Bucket)
	v := &visit{watch: w, bucket: b, ref: ref, urgent: urgent}
	switch {
	case b.refusal != nil && time.Now().Before(b.until):
		return nil, nil, b.refusalOf(ref)
	case b.refusal != nil && !ref.IsPrefix():
		v.trial, b.until = true, time.Now().Add(b.pause())
	case (!b.answered || (!b.served && len(b.refused) > 0)) && b.visits(urgent) >= newBucketLimit:
		return nil, b.wait(), nil
	case b.isFull(time.Now()):
		if b.changed == nil {
			time.AfterFunc(shortageLook, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				b.wake()
			})
		}
		return nil, b.wait(), nil
	}
	b.inside++
	if urgent {
		b.urgent++
	}
	if b.short.limit != nil {
		b.short.limit.sent()
	}
	return v, nil, nil
}

// visits counts the urgent ones, or the others.
func (b *bucketState) visits(urgent bool) int {
	if urgent {
		return b.urgent
	}
	return b.inside - b.urgent
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
	if v.urgent {
		b.urgent--
	}
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
		b.answers.note(v.ref.Key)
		b.refusal, b.refused = nil, nil
	case failure.Class == outcome.Refused:
		if b.refused == nil {
			b.refused = make(map[string]struct{}, refusedKeys)
		}
		before := len(b.refused)
		if before < refusedKeys {
			b.refused[v.ref.Key] = struct{}{}
		}
		if len(b.refused) == askedKeys && before < askedKeys && !b.served {
			go v.watch.askWhole(b, failure)
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

// wait returns what is closed by the next wake.
func (b *bucketState) wait() <-chan struct{} {
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

func (b *bucketState) wake() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}
