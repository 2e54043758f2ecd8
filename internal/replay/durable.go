package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// idle is how long the durable of a replay that was killed waits to be gone on
	// with. After that it begins anew, and the receipts tell what is done. It is
	// also how long a replay may wait with nothing in hand, for LOTA or behind live
	// lanes: to the server only pulls and acks are signs of life.
	idle = 24 * time.Hour

	ownerMetadata = "prestage"        // marks a durable as made by this program
	taskMetadata  = "prestage-replay" // what it is for
)

// Owns says that a consumer is a replay's: it goes when the replay ends, or a day
// after it was killed.
func Owns(c jetstream.ConsumerConfig) bool { return c.Metadata[ownerMetadata] == "replay" }

// task is what a replay was begun for. It is kept with its durable, so that
// whoever goes on does the same: "since two hours" means another time by then.
type task struct {
	Asked     Selection `json:"asked"`
	Named     string    `json:"named,omitempty"` // digest of Asked.Named: metadata has room for 128 kB
	Range     Range     `json:"range"`
	Force     time.Time `json:"force,omitzero"` // records older than it do not count
	Durations string    `json:"durations,omitempty"`
}

// ErrOther says that a replay of this name is for something else.
var ErrOther = errors.New("a replay of this name was begun with other flags")

// durable returns the replay's consumer and its task. A consumer that exists is
// gone on with, and its task then holds.
func (r *Replay) durable(ctx context.Context, subjects []string, begin func() (task, error)) (jetstream.Consumer, task, error) {
	name := r.durableName()
	cons, err := r.Stream.Consumer(ctx, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		t, err := begin()
		if err != nil || t.Range.Last < t.Range.First {
			return nil, t, err
		}
		data, err := json.Marshal(t)
		if err != nil {
			return nil, t, fmt.Errorf("encode the task: %w", err)
		}
		cons, err = r.Stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
			Durable: name, Description: "a replay of prestage", FilterSubjects: subjects,
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: t.Range.First,
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: r.AckWait, MaxDeliver: -1, MaxAckPending: -1,
			InactiveThreshold: idle,
			Metadata:          map[string]string{ownerMetadata: "replay", taskMetadata: string(data)},
		})
		if err != nil {
			return nil, t, fmt.Errorf("create consumer %s: %w", name, err)
		}
		return cons, t, nil
	}
	if err != nil {
		return nil, task{}, fmt.Errorf("consumer %s: %w", name, err)
	}
	var t task
	if err := json.Unmarshal([]byte(cons.CachedInfo().Config.Metadata[taskMetadata]), &t); err != nil {
		return nil, t, fmt.Errorf("consumer %s is not a replay's: %w", name, err)
	}
	if !r.same(t) {
		return nil, t, fmt.Errorf("%w; use the same, or another --name, or delete it: nats consumer rm %s %s",
			ErrOther, r.Stream.CachedInfo().Config.Name, name)
	}
	return cons, t, nil
}

// same says that t is what is asked for now. Times that are counted from now
// differ from call to call, and are compared as they were written.
func (r *Replay) same(t task) bool {
	a, b := t.Asked, r.Selection
	a.Named, b.Named = nil, nil
	if t.Durations != "" {
		a.Since, a.Until, b.Since, b.Until = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	}
	a.Since, a.Until, b.Since, b.Until = a.Since.UTC(), a.Until.UTC(), b.Since.UTC(), b.Until.UTC()
	return t.Durations == r.Durations && r.Force == !t.Force.IsZero() && t.Named == digest(r.Selection.Named) && reflect.DeepEqual(a, b)
}

func (r *Replay) durableName() string { return "prestage-" + r.Lane.Cluster + "-replay-" + r.Lane.Name }
