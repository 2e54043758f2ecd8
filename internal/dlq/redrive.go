package dlq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/persist"
)

// Redriven is what came of redriving a letter.
type Redriven struct {
	Seq    uint64 // of the event in its stream
	Count  int    // the n of its message id
	Before bool   // it was redriven earlier, and nothing was sent
	Gone   bool   // the letter was closed or purged meanwhile
	// Unmarked says why the letter could not be marked. The event is in its
	// stream all the same, and closes the letter when it ends well.
	Unmarked error
}

// ErrPayloadLost says that a letter without a payload cannot be redriven,
// because the event's stream has none any more.
var ErrPayloadLost = errors.New("the letter has no payload, and the event is no longer in its stream")

// maxRedrives bounds the search for a message id that is free.
const maxRedrives = 1000

// redriveTimeout bounds the redriving of one letter, which an interrupt does not
// cut off.
const redriveTimeout = 20 * time.Second

// Redrive publishes the letter's event once more, under its original subject,
// and marks the letter. One that is marked is left alone unless again is set.
// It may be called again after any failure, and by several at once: within the
// stream's window for duplicates nothing is sent twice.
func (b *Box) Redrive(ctx context.Context, l Letter, again bool) (Redriven, error) {
	if ctx.Err() != nil {
		return Redriven{}, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redriveTimeout)
	defer cancel()
	copies, err := b.copies(ctx, l)
	switch {
	case err != nil:
		return Redriven{}, err
	case len(copies) == 0:
		return Redriven{Gone: true}, nil
	}
	l = copies[len(copies)-1]
	if err := b.tidy(ctx, copies[:len(copies)-1]); err != nil {
		return Redriven{}, err
	}
	if l.Mark.Count > 0 && !again {
		return Redriven{Seq: l.Mark.Seq, Count: l.Mark.Count, Before: true}, nil
	}
	m, err := b.event(ctx, l)
	if err != nil {
		return Redriven{}, err
	}
	mark, err := b.send(ctx, l, m)
	if err != nil {
		return Redriven{}, err
	}
	gone, err := b.mark(ctx, l, mark)
	return Redriven{Seq: mark.Seq, Count: mark.Count, Gone: gone, Unmarked: err}, nil
}

// copies are those of l that are stored, the newest last. Usually there is one.
func (b *Box) copies(ctx context.Context, l Letter) ([]Letter, error) {
	if l.Damage != "" {
		return nil, errNoLetter(l)
	}
	all, err := b.at(ctx, l.Subject)
	var out []Letter
	for _, c := range all {
		if c.Damage == "" && c.same(l) {
			out = append(out, c)
		}
	}
	return out, err
}

// tidy removes copies that a crash left behind.
func (b *Box) tidy(ctx context.Context, old []Letter) error {
	for _, c := range old {
		if _, err := b.Delete(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// event is the letter's event as it is published anew: its subject, its own
// headers, its payload, and where it comes from. What the server would act on
// stays behind.
func (b *Box) event(ctx context.Context, l Letter) (*nats.Msg, error) {
	if !publishable(l.EventSubject) {
		return nil, fmt.Errorf("%s %q cannot be published to", HeaderSubject, l.EventSubject)
	}
	data := l.Data
	if l.Omitted {
		var err error
		if data, err = b.Payload(ctx, l); err != nil {
			return nil, err
		}
	}
	m := &nats.Msg{Subject: l.EventSubject, Header: own(l.Header), Data: data}
	m.Header.Set(headerOf, l.Subject)
	m.Header.Set(headerOfTime, l.raw.Get(HeaderTime))
	m.Header.Set(headerRoot, l.root())
	return m, nil
}

// Check says why Redrive would send nothing for l, as far as that is known
// before; nil mostly.
func (b *Box) Check(ctx context.Context, l Letter) error {
	if l.Damage != "" {
		return errNoLetter(l)
	}
	_, err := b.event(ctx, l)
	return err
}

func errNoLetter(l Letter) error { return errors.New("no letter: " + l.Damage) }

// publishable says that s is a subject that an event can have come on. Below $
// are the server's own: whoever can write a letter would have whoever redrives it
// purge a stream, or write to a bucket.
func publishable(s string) bool {
	return !strings.HasPrefix(s, "$") && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '*' || c == '>' })
}

// Payload reads the payload that l omits from the event's stream.
func (b *Box) Payload(ctx context.Context, l Letter) ([]byte, error) {
	s, err := b.js.Stream(ctx, l.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, ErrPayloadLost
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", l.Stream, err)
	}
	m, err := s.GetMsg(ctx, l.EventSeq)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, ErrPayloadLost
	case err != nil:
		return nil, fmt.Errorf("read %s/%d: %w", l.Stream, l.EventSeq, err)
	case !m.Time.Equal(l.EventTime) || !l.holds(m.Data): // the stream was made anew
		return nil, ErrPayloadLost
	}
	return m.Data, nil
}

// send stores m in the letter's stream under the first message id of its that is
// free, and says which. An id that an earlier call used for this letter is as
// good: that call was cut off, or runs beside this one.
func (b *Box) send(ctx context.Context, l Letter, m *nats.Msg) (Mark, error) {
	base, first := l.messageID()
	first = max(first, l.Mark.Count+1)
	for n := first; n < first+maxRedrives; n++ {
		m.Header.Set(nats.MsgIdHdr, base+msgIDInfix+strconv.Itoa(n))
		ack, err := b.js.PublishMsg(ctx, m, jetstream.WithExpectStream(l.Stream))
		switch {
		case errors.Is(err, jetstream.ErrNoStreamResponse):
			return Mark{}, fmt.Errorf("no stream takes the subject %q any more", m.Subject)
		case persist.TooLarge(err):
			return Mark{}, fmt.Errorf("the event with the headers of a redrive is larger than the server or stream takes: %w", err)
		case err != nil:
			return Mark{}, fmt.Errorf("publish to %q: %w", m.Subject, err)
		}
		mark := Mark{Count: n, Seq: ack.Sequence, At: time.Now().UTC()}
		if !ack.Duplicate {
			return mark, nil
		}
		ours, err := b.sent(ctx, l, ack.Sequence)
		if err != nil || ours {
			return mark, err
		}
	}
	return Mark{}, fmt.Errorf("the message ids %s%s%d and on are all taken, try again after the stream's window for duplicates", base, msgIDInfix, first)
}

// sent says that the event of that sequence was redriven from l.
func (b *Box) sent(ctx context.Context, l Letter, seq uint64) (bool, error) {
	s, err := b.js.Stream(ctx, l.Stream)
	if err != nil {
		return false, fmt.Errorf("stream %s: %w", l.Stream, err)
	}
	m, err := s.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) { // the id outlives the message
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s/%d: %w", l.Stream, seq, err)
	}
	return m.Header.Get(headerOf) == l.Subject && m.Header.Get(headerOfTime) == l.raw.Get(HeaderTime), nil
}

// messageID is what the event was published under at first, and the number of
// its next redrive. An event without a message id has the one of its place.
func (l Letter) messageID() (base string, next int) {
	id := l.raw.Get(OriginalPrefix + nats.MsgIdHdr)
	if id == "" {
		id = fmt.Sprintf("%s/%d", l.Stream, l.EventSeq)
	}
	if at := strings.LastIndex(id, msgIDInfix); at >= 0 && l.Parent != "" {
		if n, err := strconv.Atoi(id[at+len(msgIDInfix):]); err == nil && n > 0 && n < maxCount {
			return id[:at], n + 1
		}
	}
	return id, 1
}

// maxCount keeps a forged number from overflowing.
const maxCount = 1 << 30

// mark stores l once more with the mark, and removes the copy without. Of
// several that mark at once, the server lets one do it.
func (b *Box) mark(ctx context.Context, l Letter, mark Mark) (gone bool, err error) {
	m := &nats.Msg{Subject: l.Subject, Header: nats.Header{}, Data: l.Data}
	for name, values := range l.raw {
		if !hasFold(name, "Nats-") {
			m.Header[name] = values
		}
	}
	m.Header.Set(headerRedrives, strconv.Itoa(mark.Count))
	m.Header.Set(headerRedrivenAs, strconv.FormatUint(mark.Seq, 10))
	m.Header.Set(headerRedrivenAt, mark.At.Format(time.RFC3339))
	for range maxCopies {
		all, err := b.at(ctx, l.Subject)
		if err != nil {
			return false, err
		}
		gone, last := true, uint64(0)
		for _, c := range all {
			last = c.Seq
			if c.same(l) {
				gone = false
				if c.Mark.Count >= mark.Count { // somebody was faster
					return false, nil
				}
			}
		}
		if gone { // its event is through already
			return true, nil
		}
		_, err = b.js.PublishMsg(ctx, m, jetstream.WithExpectStream(Stream), jetstream.WithExpectLastSequencePerSubject(last))
		if persist.Conflict(err) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("mark letter %s: %w", l.Subject, err)
		}
		_, err = b.Delete(ctx, l)
		return false, err
	}
	return false, fmt.Errorf("mark letter %s: it changes all the time", l.Subject)
}
