package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/persist"
)

// Range is a part of a stream, both ends included. It is fixed when the replay
// begins: what is stored later belongs to the live lanes.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"` // less than First when there is nothing
}

// Dropped says that the stream no longer has all that was asked for.
type Dropped struct {
	FirstSeq  uint64    // of what it has, or of what comes next
	FirstTime time.Time // zero when it has nothing
}

// resolve finds the part of the stream that s means.
func resolve(ctx context.Context, stream jetstream.Stream, s Selection) (Plan, error) {
	info, err := stream.Info(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("stream %s: %w", stream.CachedInfo().Config.Name, err)
	}
	st := info.State
	r := Range{First: max(st.FirstSeq, s.FromSeq, 1), Last: st.LastSeq}
	asked := max(s.FromSeq, 1)
	if !s.Since.IsZero() {
		if r.First, err = since(ctx, stream, s.Since, r); err != nil {
			return Plan{}, err
		}
		if asked = st.FirstSeq; s.Since.Before(st.FirstTime) || (st.Msgs == 0 && !s.Since.After(st.LastTime)) {
			asked = 1
		}
	}
	plan := Plan{Gaps: st.NumDeleted}
	if asked < st.FirstSeq {
		plan.Dropped = &Dropped{FirstSeq: st.FirstSeq, FirstTime: st.FirstTime.UTC()}
	}
	if s.ToSeq > 0 {
		r.Last = min(r.Last, s.ToSeq)
	}
	if !s.Until.IsZero() {
		next, err := since(ctx, stream, s.Until.Add(1), Range{First: r.First, Last: r.Last})
		if err != nil {
			return Plan{}, err
		}
		r.Last = min(r.Last, next-1)
	}
	plan.Range = r
	return plan, nil
}

// since is the first sequence in r of a message stored at t or later, or the one
// after r. It asks some twenty times.
func since(ctx context.Context, stream jetstream.Stream, t time.Time, r Range) (uint64, error) {
	low, high := r.First, r.Last+1 // it is in [low, high]
	for low < high {
		middle := low + (high-low)/2
		m, err := stream.GetMsg(ctx, middle, jetstream.WithGetMsgSubject(">"))
		for next := middle + 1; persist.Mangled(err) && next < high; next++ {
			m, err = stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(">"))
		}
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound), persist.Mangled(err): // nothing from here on
			high = middle
		case err != nil:
			return 0, fmt.Errorf("read message %d: %w", middle, err)
		case m.Time.Before(t):
			low = m.Sequence + 1
		default:
			high = middle
		}
	}
	return min(low, r.Last+1), nil
}

const (
	batch     = 256
	batchWait = 5 * time.Second
	// readerLife is how long the server keeps a reader that asks for nothing.
	readerLife = time.Minute
)

// each calls visit with every message of r on subjects (none: all of the
// stream's), in order. It reads by a consumer without acks, and where one was
// lost goes on with another, so that none is left out.
func each(ctx context.Context, stream jetstream.Stream, r Range, subjects []string, visit func(events.Message) error) error {
	for next := r.First; next <= r.Last; {
		after, err := read(ctx, stream, Range{First: next, Last: r.Last}, subjects, visit)
		if err != nil {
			return err
		}
		next = after
	}
	return nil
}

// read is each until the range ends or something is lost on the way; it returns
// the sequence to go on with.
func read(ctx context.Context, stream jetstream.Stream, r Range, subjects []string, visit func(events.Message) error) (next uint64, err error) {
	cons, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.First, FilterSubjects: subjects,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: readerLife,
	})
	if err != nil {
		return 0, fmt.Errorf("read history: %w", err)
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchWait)
		defer cancel()
		_ = stream.DeleteConsumer(clean, cons.CachedInfo().Name) // else the server does, in a while
	}()
	if cons.CachedInfo().NumPending == 0 {
		return r.Last + 1, nil
	}
	rd := &reader{cons: cons, last: r.Last, next: r.First, visit: visit}
	for {
		done, err := rd.batch(ctx)
		if done || err != nil {
			return rd.next, err
		}
	}
}

// reader is one consumer's way through a range.
type reader struct {
	cons      jetstream.Consumer
	visit     func(events.Message) error
	last      uint64 // of the range
	next      uint64 // the sequence to go on with
	delivered uint64 // messages so far
}

// batch visits what one pull brings, and says when there is no more to come
// from this consumer.
func (r *reader) batch(ctx context.Context) (done bool, err error) {
	pull, cancel := context.WithTimeout(ctx, batchWait)
	defer cancel() // the client goes on listening until then
	before := r.delivered
	msgs, err := r.cons.Fetch(batch, jetstream.FetchContext(pull))
	if err != nil {
		return false, fmt.Errorf("read history: %w", err)
	}
	for msg := range msgs.Messages() {
		meta, err := msg.Metadata()
		if err != nil {
			return false, fmt.Errorf("read history: %w", err)
		}
		if meta.Sequence.Consumer != r.delivered+1 { // one was lost
			return true, nil
		}
		r.delivered, r.next = meta.Sequence.Consumer, meta.Sequence.Stream+1
		if meta.Sequence.Stream > r.last {
			return true, nil
		}
		if err := r.visit(events.Message{
			Stream: meta.Stream, Seq: meta.Sequence.Stream, Time: meta.Timestamp.UTC(), Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data(),
		}); err != nil {
			return false, err
		}
		if meta.NumPending == 0 {
			r.next = r.last + 1
			return true, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case r.delivered > before:
		return false, nil
	}
	info, err := r.cons.Info(ctx)
	switch {
	case err != nil:
		return false, fmt.Errorf("read history: %w", err)
	case info.Delivered.Consumer != r.delivered: // what it sent got lost
		return true, nil
	case info.NumPending == 0: // what was to come was deleted
		r.next = r.last + 1
		return true, nil
	}
	return false, nil
}
