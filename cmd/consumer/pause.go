package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lanesArg names lanes.
type lanesArg struct {
	Lane   string `arg:"" optional:"" enum:"model,checkpoint,all" default:"all" help:"model or checkpoint; both when none is given."`
	Output string `enum:"text,json" default:"text" help:"text, a line a lane, or json, a list of them."`
}

// pauseCmd stops lanes for all replicas: the server delivers nothing more to
// their durables. What is in hand is finished.
type pauseCmd struct {
	lanesArg

	For time.Duration `default:"8760h" help:"How long, such as 90m; a year by default."`
}

// resumeCmd ends a pause.
type resumeCmd struct {
	lanesArg
}

// pausedLane is what was done to a lane.
type pausedLane struct {
	Lane    string    `json:"lane"`
	Durable string    `json:"durable"`
	Paused  bool      `json:"paused"`
	Until   time.Time `json:"paused_until,omitzero"`
}

// Run pauses.
func (c pauseCmd) Run(ctx context.Context, w world) error {
	if c.For <= 0 {
		return &exitError{exitUsage, errors.New("--for: want a duration above 0, such as 90m")}
	}
	until := time.Now().Add(c.For)
	return c.each(ctx, w, func(ctx context.Context, js jetstream.JetStream, stream, durable string) (*jetstream.ConsumerPauseResponse, error) {
		return js.PauseConsumer(ctx, stream, durable, until)
	})
}

// Run resumes.
func (c resumeCmd) Run(ctx context.Context, w world) error {
	return c.each(ctx, w, func(ctx context.Context, js jetstream.JetStream, stream, durable string) (*jetstream.ConsumerPauseResponse, error) {
		return js.ResumeConsumer(ctx, stream, durable)
	})
}

type pausing func(ctx context.Context, js jetstream.JetStream, stream, durable string) (*jetstream.ConsumerPauseResponse, error)

// each does it to every lane that is named, and says what holds then.
func (a lanesArg) each(ctx context.Context, w world, do pausing) error {
	cfg, js, closeIt, err := w.jetStream()
	if err != nil {
		return err
	}
	defer closeIt()
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	done := []pausedLane{}
	for _, l := range cfg.StatusSource(js).Lanes {
		if a.Lane != "all" && a.Lane != l.Lane {
			continue
		}
		r, err := do(ctx, js, cfg.Stream, l.Durable)
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
			return fmt.Errorf("the %s lane has no durable %s on %s: start prestage run once, it creates it", l.Lane, l.Durable, cfg.Stream)
		case err != nil:
			return fmt.Errorf("the %s lane: %w", l.Lane, err)
		}
		p := pausedLane{Lane: l.Lane, Durable: l.Durable, Paused: r.Paused}
		if r.Paused {
			p.Until = r.PauseUntil.UTC()
		}
		done = append(done, p)
		if a.Output == "text" {
			fmt.Fprintln(w.stdout, p)
		}
	}
	if a.Output == "json" {
		out := newJSONList(w.stdout)
		for _, p := range done {
			if err := out.add(p); err != nil {
				return err
			}
		}
		return out.end()
	}
	return nil
}

// String is a line for people.
func (p pausedLane) String() string {
	if !p.Paused {
		return fmt.Sprintf("%s lane (%s): running", p.Lane, p.Durable)
	}
	return fmt.Sprintf("%s lane (%s): paused until %s for all replicas; what is in hand is finished, events wait in the stream; prestage resume %s ends it",
		p.Lane, p.Durable, p.Until.Format(time.RFC3339), p.Lane)
}
