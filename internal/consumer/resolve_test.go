package consumer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

type resolveFunc func(ctx context.Context, ev events.Event) (events.Event, error)

func (f resolveFunc) Resolve(ctx context.Context, ev events.Event) (events.Event, error) {
	return f(ctx, ev)
}

// anAlias is an event that names no object in S3.
const anAlias = `{"entity":"model_version_alias","action":"created","data":{"name":"llama","alias":"champion","version":"3"}}`

// TestResolved: what a registry names is warmed where it was found to be.
func TestResolved(t *testing.T) {
	t.Parallel()
	place := object.Ref{Bucket: "models", Key: "llama/3/"}
	var asked prestage.Request
	r := newRig(t, setup{warm: func(_, _ context.Context, req prestage.Request, _ *prestage.Progress) prestage.Report {
		asked = req
		return filled()
	}})
	r.lane.cfg.Resolver = resolveFunc(func(_ context.Context, ev events.Event) (events.Event, error) {
		if ev.Artifact != (events.Artifact{Registry: events.MLflow, Name: "llama", Version: "3", Ref: "champion"}) {
			t.Errorf("asked for %+v", ev.Artifact)
		}
		ev.Artifact, ev.Prefix = events.Artifact{}, place
		return ev, nil
	})
	r.publish(t, anAlias)
	if _, s := r.process(t); s.Action != Ack || r.only(t).Outcome != Warm || asked.Prefix != place {
		t.Errorf("%+v, receipt %+v, asked for %+v", s, r.only(t), asked)
	}
}

// TestPartlyResolved: of an event that names several artifacts, what was found is
// warmed, and what was not decides what becomes of the event.
func TestPartlyResolved(t *testing.T) {
	t.Parallel()
	objects := []object.Attrs{{Ref: object.Ref{Bucket: "registry", Key: "a"}}}
	for class, want := range map[outcome.Class]Outcome{outcome.Permanent: DeadLettered, outcome.Transient: Pending} {
		var asked prestage.Request
		r := newRig(t, setup{warm: func(_, _ context.Context, req prestage.Request, _ *prestage.Progress) prestage.Report {
			asked = req
			return filled()
		}})
		r.lane.cfg.Resolver = resolveFunc(func(_ context.Context, ev events.Event) (events.Event, error) {
			ev.Objects = objects
			return ev, &outcome.Error{Op: "resolve", Class: class, Reason: outcome.UnresolvableSource, Err: errors.New("no luck")}
		})
		r.publish(t, anAlias)
		r.process(t)
		if got := r.only(t); got.Outcome != want || got.Objects.Filled == 0 || !strings.Contains(got.Error, "no luck") || len(asked.Objects) != 1 {
			t.Errorf("%v: receipt %+v, asked for %+v", class, got, asked)
		}
	}
}

// TestUnresolved: nothing is planned, and what becomes of the event is decided by
// the error's class as for any other failure.
func TestUnresolved(t *testing.T) {
	t.Parallel()
	failing := func(class outcome.Class) resolveFunc {
		return func(_ context.Context, ev events.Event) (events.Event, error) {
			return ev, &outcome.Error{Op: "resolve", Class: class, Reason: outcome.UnresolvableSource, Hint: "ask another", Err: errors.New("no luck")}
		}
	}
	for name, tt := range map[string]struct {
		resolve  resolveFunc
		giveUp   time.Duration
		want     Outcome // "": no receipt
		reason   outcome.Reason
		action   Action
		attempts int
		letters  uint64
	}{
		"never":             {failing(outcome.Permanent), time.Hour, DeadLettered, outcome.UnresolvableSource, Reject, 1, 1},
		"down":              {failing(outcome.Transient), 0, Pending, "", Retry, 0, 0},
		"shut":              {failing(outcome.Refused), time.Hour, Pending, "", Retry, 0, 0},
		"shut for too long": {failing(outcome.Refused), 0, DeadLettered, outcome.UnresolvableSource, Reject, 0, 1},
		"not for us": {
			func(_ context.Context, ev events.Event) (events.Event, error) {
				ev.Skip, ev.Note = outcome.NotActionable, "a mark of no interest"
				return ev, nil
			}, time.Hour, Skipped, outcome.NotActionable, Ack, 1, 0,
		},
		"interrupted": {failing(outcome.Interrupted), time.Hour, "", "", Retry, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{warm: func(context.Context, context.Context, prestage.Request, *prestage.Progress) prestage.Report {
				t.Error("something was planned")
				return filled()
			}})
			r.lane.cfg.Resolver, r.lane.cfg.Policy.GiveUpAfter = tt.resolve, tt.giveUp
			seq := r.publish(t, anAlias)
			_, s := r.process(t)
			got, there := r.receipt(t, seq)
			if there != (tt.want != "") || got.Outcome != tt.want || got.Reason != tt.reason || got.Attempts != tt.attempts || s.Action != tt.action {
				t.Errorf("%+v, receipt %+v", s, got)
			}
			if failed := tt.want == Pending || tt.want == DeadLettered; failed != strings.Contains(got.Error, "no luck (ask another)") {
				t.Errorf("the receipt says %q", got.Error)
			}
			if n := count(t, r.letters); n != tt.letters {
				t.Errorf("%d letters", n)
			}
		})
	}
}
