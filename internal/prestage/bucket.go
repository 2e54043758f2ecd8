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
	newBucketLimit = 8 // requests at once in a bucket that never answered
	silenceLimit   = 5 * time.Second
	askTimeout     = 5 * time.Second
	askEvery       = 10 * time.Second
	refusedFor     = 15 * time.Second
	maxRefused     = 1024 // refusing buckets that are remembered
)

// bucketWatch keeps a bucket whose host stalls from holding slots. A bucket's
// name is part of a host name, and a wrong one was seen to stall rather than to
// fail (marin's notes on LOTA), while a slow answer to a fill is legal. So a
// bucket that was never heard gets few requests at once, and one that has been
// silent is asked a question that never takes long: HeadBucket.
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
	answered bool          // ever
	heard    time.Time     // last answer of any status
	changed  chan struct{} // closed when those who wait should look again; nil: nobody waits
	timer    *time.Timer   // runs while a request is under way
	stopAsk  context.CancelFunc

	refusal *outcome.Error // why it is refusing, else nil
	until   time.Time      // when the next trial may start
	trial   bool           // one is under way
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
	case b.refusal != nil && (b.trial || time.Now().Before(b.until)):
		e := *b.refusal
		e.Ref = ref
		return nil, nil, &e
	case b.refusal != nil:
		b.trial, v.trial = true, true
	case !b.answered && b.inside >= newBucketLimit:
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
	if len(w.buckets) < maxRefused {
		return
	}
	now := time.Now()
	for name, b := range w.buckets {
		if b.refusal != nil && b.inside == 0 && now.After(b.until) {
			delete(w.buckets, name)
		}
	}
}

// send says that the request is sent now. The context that it returns ends with
// the refusal as its cause when the bucket turns out to be dead.
func (v *visit) send(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	w, b := v.watch, v.bucket
	w.mu.Lock()
	defer w.mu.Unlock()
	v.since, v.cancel = time.Now(), cancel
	v.place = b.sent.PushBack(v)
	if b.sent.Len() == 1 {
		b.timer = time.AfterFunc(silenceLimit, func() { w.check(b) })
	}
	return ctx
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
	var failure *outcome.Error
	switch {
	case err == nil, errors.As(err, &failure) && failure.Status != 0:
		b.hear()
	case errors.As(err, new(deadHostError)) && v.place != nil:
		if b.refusal == nil || v.trial {
			b.refuse(failure)
		}
	}
	if v.trial {
		b.trial = false
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

func (b *bucketState) hear() {
	b.answered, b.heard, b.refusal = true, time.Now(), nil
}

func (b *bucketState) refuse(why *outcome.Error) {
	b.refusal, b.until = why, time.Now().Add(refusedFor)
}

func (b *bucketState) wake() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}
