package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/outcome"
)

// Instance is what one running daemon knows of itself, and nobody else.
type Instance struct {
	Name     string          `json:"name"`
	NotReady string          `json:"not_ready"` // why it takes no events; "": it does
	InFlight int             `json:"in_flight"` // requests to the store
	Limit    int             `json:"limit"`     // how many there may be at present
	Ceiling  int             `json:"ceiling"`   // how many at most
	Endpoint string          `json:"endpoint"`
	Confirm  Confirm         `json:"confirm"`
	Breakers []Breaker       `json:"breakers"` // that are open
	Tasks    []consumer.Task `json:"tasks"`    // events being filled, the longest first
}

// Confirm is how fills are known there.
type Confirm struct {
	Mode         string `json:"mode"`         // PRESTAGE_CONFIRM
	Discriminate bool   `json:"discriminate"` // the endpoint lets more be known than accepted
}

// Breaker holds the requests of one bucket back.
type Breaker struct {
	Bucket string         `json:"bucket"`
	Reason outcome.Reason `json:"reason"`
	Error  string         `json:"error"`
	Since  time.Time      `json:"since"`
	Trial  time.Time      `json:"next_trial"` // when one request is let through
}

// What an answer holds at most: NATS takes a megabyte as a message.
const (
	maxBreakers = 100
	maxTasks    = 256
	maxText     = 500 // characters of an error or an id
)

// askedAt is where the instances of a cluster are asked.
func askedAt(cluster string) string { return "prestage.status." + cluster }

// Answer has nc answer for this instance, until it is closed.
func Answer(nc *nats.Conn, cluster string, self func() Instance) error {
	_, err := nc.Subscribe(askedAt(cluster), func(m *nats.Msg) {
		data, err := json.Marshal(self().bounded())
		if err == nil && m.Reply != "" {
			_ = m.Respond(data) // whoever asked sees that it is missing
		}
	})
	if err != nil {
		return fmt.Errorf("answer for this instance: %w", err)
	}
	return nil
}

func (i Instance) bounded() Instance {
	i.Breakers = slices.Clone(i.Breakers[:min(len(i.Breakers), maxBreakers)])
	i.Tasks = slices.Clone(i.Tasks[:min(len(i.Tasks), maxTasks)])
	for k := range i.Breakers {
		i.Breakers[k].Error = short(i.Breakers[k].Error)
	}
	for k := range i.Tasks {
		i.Tasks[k].EventID, i.Tasks[k].Source = short(i.Tasks[k].EventID), short(i.Tasks[k].Source)
	}
	return i
}

func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

const (
	firstAnswer = time.Second // how long the first may take
	nextAnswer  = 250 * time.Millisecond
	maxAnswers  = 1000
)

// Instances asks all instances of a cluster. How many there are nobody knows: it
// waits until a moment has passed without another answer. Those that may not
// answer, or cannot in time, are missing.
func Instances(ctx context.Context, nc *nats.Conn, cluster string) ([]Instance, error) {
	out := []Instance{}
	answers, err := nc.SubscribeSync(nc.NewRespInbox())
	if err != nil {
		return out, fmt.Errorf("ask the instances: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := nc.PublishRequest(askedAt(cluster), answers.Subject, nil); err != nil {
		return out, fmt.Errorf("ask the instances: %w", err)
	}
	for wait := firstAnswer; len(out) < maxAnswers; wait = nextAnswer {
		next, cancel := context.WithTimeout(ctx, wait)
		m, err := answers.NextMsgWithContext(next)
		cancel()
		switch {
		case ctx.Err() != nil:
			return out, ctx.Err()
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrNoResponders):
			slices.SortFunc(out, func(a, b Instance) int { return strings.Compare(a.Name, b.Name) })
			return out, nil
		case err != nil:
			return out, fmt.Errorf("ask the instances: %w", err)
		}
		var i Instance
		if json.Unmarshal(m.Data, &i) == nil && i.Name != "" {
			out = append(out, i)
		}
	}
	return out, nil
}
