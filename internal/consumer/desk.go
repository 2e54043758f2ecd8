package consumer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/prestage"
)

// Desk knows what the lanes of this process are filling, for whoever asks. The
// zero value is ready; nil knows nothing.
type Desk struct {
	mu    sync.Mutex
	tasks map[*task]struct{}
}

// Task is an event that is being filled: the attempt that is under way.
type Task struct {
	Lane      string    `json:"lane"`
	EventID   string    `json:"event_id"`
	Source    string    `json:"source"`
	Stream    string    `json:"stream"`
	StreamSeq uint64    `json:"stream_seq"`
	Received  time.Time `json:"received"` // by this process
	// Objects are those of which the end is known already.
	Objects prestage.Counts `json:"objects"`
}

type task struct {
	desk *Desk
	Task // Objects are guarded by Desk.mu
}

// Tasks are those under way, the longest first.
func (d *Desk) Tasks() []Task {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]Task, 0, len(d.tasks))
	for t := range d.tasks {
		out = append(out, t.Task)
	}
	slices.SortFunc(out, func(a, b Task) int {
		return cmp.Or(a.Received.Compare(b.Received), cmp.Compare(a.StreamSeq, b.StreamSeq))
	})
	return out
}

// warm has filled what ev asks for with req, and lets the desk know of it.
func (l *Lane) warm(ctx, start context.Context, req prestage.Request, ev events.Event, d *delivery, progress *prestage.Progress) prestage.Report {
	task := l.cfg.Desk.begin(l.name, ev, d)
	defer task.end()
	return l.cfg.Warmer.Warm(ctx, start, task.watching(req), progress)
}

// begin notes that ev is being filled, until end.
func (d *Desk) begin(lane string, ev events.Event, of *delivery) *task {
	if d == nil {
		return nil
	}
	t := &task{desk: d, Task: Task{
		Lane: lane, EventID: ev.ID, Source: ev.Source, Stream: of.Stream, StreamSeq: of.Seq, Received: of.Received,
	}}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tasks == nil {
		d.tasks = make(map[*task]struct{})
	}
	d.tasks[t] = struct{}{}
	return t
}

func (t *task) end() {
	if t == nil {
		return
	}
	t.desk.mu.Lock()
	defer t.desk.mu.Unlock()
	delete(t.desk.tasks, t)
}

// watching is req whose results are counted as well.
func (t *task) watching(req prestage.Request) prestage.Request {
	if t == nil {
		return req
	}
	others := req.Observe
	req.Observe = func(r prestage.Result) {
		t.count(r)
		if others != nil {
			others(r)
		}
	}
	return req
}

func (t *task) count(r prestage.Result) {
	t.desk.mu.Lock()
	defer t.desk.mu.Unlock()
	c := &t.Objects
	c.Total++
	switch r.Outcome {
	case "filled":
		c.Filled++
	case "already_warm":
		c.AlreadyWarm++
	case "skipped":
		c.Skipped++
	default:
		c.Failed++
	}
}
