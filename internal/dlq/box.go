package dlq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Box is the dead letters of one cluster.
type Box struct {
	js      jetstream.JetStream
	letters jetstream.Stream
	cluster string
}

// New returns the letters of cluster in the stream letters, PRESTAGE_DLQ.
func New(js jetstream.JetStream, letters jetstream.Stream, cluster string) *Box {
	return &Box{js: js, letters: letters, cluster: cluster}
}

// What one pull asks for: letters may have a megabyte each, and may be many.
const (
	pullLetters = 256
	pullBytes   = 8 << 20
)

// quiet is how long no letter may come before it is asked whether any are left:
// those expected may have been deleted meanwhile.
const quiet = 2 * time.Second

// Each calls visit with every letter that is stored now, in the order of the
// stream, until it returns an error. Letters that come meanwhile, marked ones
// included, are left out. Of the letter's subjects only those below cluster are
// looked at, or those in subjects when there are any. Memory is bounded by a few
// megabytes whatever is stored.
func (b *Box) Each(ctx context.Context, subjects []string, visit func(Letter) error) error {
	if len(subjects) == 0 {
		subjects = []string{clusterSubjects(b.cluster) + ".>"}
	}
	return b.each(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: subjects}, visit)
}

// EachHeader is Each for all letters, without their payloads.
func (b *Box) EachHeader(ctx context.Context, visit func(Letter) error) error {
	return b.each(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{clusterSubjects(b.cluster) + ".>"}, HeadersOnly: true}, visit)
}

func (b *Box) each(ctx context.Context, which jetstream.OrderedConsumerConfig, visit func(Letter) error) error {
	info, err := b.letters.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream %s: %w", Stream, err)
	}
	if info.State.Msgs == 0 {
		return nil // as a rule; the server would keep a consumer of each call for minutes
	}
	last := info.State.LastSeq
	cons, err := b.letters.OrderedConsumer(ctx, which)
	if err != nil {
		return fmt.Errorf("read %s: %w", Stream, err)
	}
	defer b.forget(ctx, cons)
	if cons.CachedInfo().NumPending == 0 {
		return nil
	}
	msgs, err := cons.Messages(jetstream.PullMaxMessagesWithBytesLimit(pullLetters, pullBytes))
	if err != nil {
		return fmt.Errorf("read %s: %w", Stream, err)
	}
	defer msgs.Stop()
	var meta *jetstream.MsgMetadata
	for {
		msg, err := b.next(ctx, cons, msgs, meta)
		if err != nil || msg == nil {
			return err
		}
		if meta, err = msg.Metadata(); err != nil {
			return fmt.Errorf("read %s: %w", Stream, err)
		}
		if meta.Sequence.Stream > last {
			return nil
		}
		if err := visit(read(msg.Subject(), meta.Sequence.Stream, meta.Timestamp, msg.Headers(), msg.Data())); err != nil {
			return err
		}
		if meta.NumPending == 0 || meta.Sequence.Stream == last {
			return nil
		}
	}
}

// forgetTimeout bounds how long a consumer that is no longer needed is held on to.
const forgetTimeout = 2 * time.Second

// forget deletes cons. The server would keep it for five minutes, and whoever
// watches the status makes one every two seconds: accounts have limits.
func (b *Box) forget(ctx context.Context, cons jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetTimeout)
	defer cancel()
	_ = b.letters.DeleteConsumer(ctx, cons.CachedInfo().Name) // then it goes by itself
}

// maxQuiet is how often in a row nothing may come although there is more.
const maxQuiet = 15

// next is nil when there are no more; last is the message before, nil at first.
func (b *Box) next(ctx context.Context, cons jetstream.Consumer, msgs jetstream.MessagesContext, last *jetstream.MsgMetadata) (jetstream.Msg, error) {
	for range maxQuiet {
		wait, cancel := context.WithTimeout(ctx, quiet)
		msg, err := msgs.Next(jetstream.NextContext(wait))
		cancel()
		switch {
		case err == nil:
			return msg, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, jetstream.ErrNoHeartbeat):
			return nil, fmt.Errorf("read %s: %w", Stream, err)
		}
		info, err := cons.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", Stream, err)
		}
		if info.NumPending == 0 && arrived(info, last) {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("read %s: more letters are there, and none came for %s; call it again", Stream, maxQuiet*quiet)
}

// arrived says that last is the latest message that the consumer sent: the server
// counts those as delivered that are on their way, which may be slow.
func arrived(info *jetstream.ConsumerInfo, last *jetstream.MsgMetadata) bool {
	if last == nil || last.Consumer != info.Name { // it was made anew
		return info.Delivered.Consumer == 0
	}
	return info.Delivered.Consumer <= last.Sequence.Consumer
}

// maxCopies bounds how many messages of one subject are looked at. There are two
// after a crash, and one more for each time that the event stream was made anew.
const maxCopies = 100

// at are the letters on one subject, the oldest first: copies, and letters of
// earlier incarnations of the event stream.
func (b *Box) at(ctx context.Context, subject string) ([]Letter, error) {
	var out []Letter
	for next := uint64(1); len(out) < maxCopies; {
		m, err := b.letters.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read letter %s: %w", subject, err)
		}
		out = append(out, read(subject, m.Sequence, m.Time, m.Header, m.Data))
		next = m.Sequence + 1
	}
	return out, nil
}

// Delete removes the copy of l that has its sequence. One that is gone already
// is no error: gone is then true.
func (b *Box) Delete(ctx context.Context, l Letter) (gone bool, err error) {
	err = b.letters.DeleteMsg(ctx, l.Seq)
	if err == nil {
		return false, nil
	}
	if _, again := b.letters.GetMsg(ctx, l.Seq); errors.Is(again, jetstream.ErrMsgNotFound) {
		return true, nil
	}
	return false, fmt.Errorf("delete letter %s (%s/%d): %w", l.Subject, Stream, l.Seq, err)
}

// Get is what is stored in PRESTAGE_DLQ under seq, nil when that is no letter of
// the cluster.
func (b *Box) Get(ctx context.Context, seq uint64) (*Letter, error) {
	m, err := b.letters.GetMsg(ctx, seq)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %s/%d: %w", Stream, seq, err)
	case !b.IsSubject(m.Subject):
		return nil, nil
	}
	l := read(m.Subject, m.Sequence, m.Time, m.Header, m.Data)
	return &l, nil
}

// IsSubject says that s can be the subject of a letter of the cluster.
func (b *Box) IsSubject(s string) bool { return isSubject(s, b.cluster) }
