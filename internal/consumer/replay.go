package consumer

import (
	"time"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/prestage"
)

// Replay is how a lane differs that works through a stream's history: what of it
// is wanted, and who is told. Its methods do nothing for nil, a live lane.
type Replay struct {
	// Kind says what plain JSON on a subject means.
	Kind func(subject string) events.Kind
	// Wants says whether an event is meant; err is that of decoding it. What is
	// not wanted is acked and leaves no receipt.
	Wants func(seq uint64, ev events.Event, err error) bool
	// Ended is told each final receipt, again when it was final before.
	Ended func(Receipt)
	// Observe and Pace are those of the requests.
	Observe func(prestage.Result)
	Pace    prestage.Pacer
	// AskSizes has Pace told of every size: what an event doesn't tell is asked for.
	AskSizes bool
	// RewarmBefore has records older than it not count; zero: all count.
	RewarmBefore time.Time
}

func (r *Replay) kind(subject string, lane events.Kind) events.Kind {
	if r == nil {
		return lane
	}
	return r.Kind(subject)
}

func (r *Replay) wants(d *delivery, ev events.Event, err error) bool {
	return r == nil || r.Wants(d.Seq, ev, err)
}

func (r *Replay) ended(receipt Receipt) {
	if r != nil {
		r.Ended(receipt)
	}
}

// request is req as a replay asks for it: trainers delete old checkpoints, so
// that what is missing is gone.
func (r *Replay) request(req prestage.Request) prestage.Request {
	if r == nil {
		return req
	}
	req.Priority = prestage.Backfill
	req.MissingIsGone, req.Observe, req.Pace = true, r.Observe, r.Pace
	req.AskSizes = r.AskSizes
	if r.RewarmBefore.After(req.RewarmBefore) {
		req.RewarmBefore = r.RewarmBefore
	}
	return req
}

// Request is what ev asks for in a replay.
func (r *Replay) Request(ev events.Event, subject string, stored, seen time.Time) prestage.Request {
	return r.request(Request(ev, subject, stored, seen))
}
