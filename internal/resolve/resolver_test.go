package resolve

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// found is a Finder that has an answer.
type found struct {
	prefix object.Ref
	err    error
}

func (f found) Find(_ context.Context, ev events.Event) (events.Event, error) {
	ev.Prefix = f.prefix
	return ev, f.err
}

func TestResolve(t *testing.T) {
	t.Parallel()
	place := object.Ref{Bucket: "models", Key: "llama/3/"}
	artifact := events.Artifact{Registry: events.MLflow, Name: "llama", Version: "3"}
	unknown := events.Artifact{Registry: events.WandB, Name: "llama"}
	broken := &outcome.Error{Op: "resolve", Class: outcome.Transient, Err: errors.New("no luck")}
	r := New(map[events.Registry]Finder{
		events.MLflow:      found{prefix: place},
		events.HuggingFace: found{err: broken},
	})
	for name, tt := range map[string]struct {
		in, want events.Event
		class    outcome.Class // 0: no error
	}{
		"in S3 already": {events.Event{Prefix: place}, events.Event{Prefix: place}, 0},
		"nothing to do": {
			events.Event{Artifact: unknown, Skip: outcome.NotActionable}, events.Event{Artifact: unknown, Skip: outcome.NotActionable}, 0,
		},
		"found":                 {events.Event{ID: "e", Artifact: artifact}, events.Event{ID: "e", Prefix: place}, 0},
		"of a registry unknown": {events.Event{ID: "e", Artifact: unknown}, events.Event{ID: "e", Artifact: unknown}, outcome.Permanent},
		"not found now": {
			events.Event{Artifact: events.Artifact{Registry: events.HuggingFace}}, events.Event{Artifact: events.Artifact{Registry: events.HuggingFace}}, outcome.Transient,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := r.Resolve(t.Context(), tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (err == nil) != (tt.class == 0) || (err != nil && !errors.Is(err, tt.class)) {
				t.Errorf("error %v, want class %v", err, tt.class)
			}
		})
	}
}

// registries is a Finder that knows objects and errors by an artifact's name.
type registries map[string]struct {
	keys string
	err  error
}

func (f registries) Find(_ context.Context, ev events.Event) (events.Event, error) {
	a := f[ev.Artifact.Name]
	for key := range strings.FieldsSeq(a.keys) {
		ev.Objects = append(ev.Objects, object.Attrs{Ref: object.Ref{Bucket: "registry", Key: key}})
	}
	return ev, a.err
}

// TestSeveral: what is found of an event's artifacts is its target, whatever becomes
// of the others, and the event ends only when nothing is left to be found.
func TestSeveral(t *testing.T) {
	t.Parallel()
	lost := &outcome.Error{Class: outcome.Permanent, Err: errors.New("lost")}
	down := &outcome.Error{Class: outcome.Transient, Err: errors.New("down")}
	r := New(map[events.Registry]Finder{events.OCI: registries{
		"a": {"base a", nil}, "b": {"base b", nil}, "lost": {"", lost}, "down": {"", down},
	}})
	for names, want := range map[string]struct {
		keys string
		err  error
	}{
		"a b":         {"base a b", nil},
		"a lost b":    {"base a b", lost},
		"lost a":      {"base a", lost},
		"down a lost": {"base a", down},
		"lost down b": {"base b", down},
		"lost lost":   {"", lost},
	} {
		var list []events.Artifact
		for name := range strings.FieldsSeq(names) {
			list = append(list, events.Artifact{Registry: events.OCI, Name: name})
		}
		ev, err := r.Resolve(t.Context(), events.Event{Artifact: list[0], Others: list[1:]})
		var keys []string
		for _, o := range ev.Objects {
			keys = append(keys, o.Key)
		}
		if got := strings.Join(keys, " "); got != want.keys || !errors.Is(err, want.err) {
			t.Errorf("%s: %q, %v", names, got, err)
		}
	}
}

// TestNobodyKnows: each registry's events learn what is missing, whatever their
// names hold.
func TestNobodyKnows(t *testing.T) {
	t.Parallel()
	for registry, setting := range map[events.Registry]string{
		events.MLflow: "MLFLOW_TRACKING_URI", events.HuggingFace: "PRESTAGE_RULES", events.WandB: "s3_uri", events.OCI: "PRESTAGE_RULES",
	} {
		_, err := (*Resolver)(nil).Resolve(t.Context(), events.Event{
			Artifact: events.Artifact{Registry: registry, Name: "a\x1b\nb" + strings.Repeat("é", 4096), Version: "\xff3"},
		})
		e := outcome.As(err)
		if e.Class != outcome.Permanent || e.Reason != outcome.UnresolvableSource || !strings.Contains(e.Hint, setting) {
			t.Errorf("%s: %v", registry, err)
		}
		if text := e.Error(); strings.ContainsAny(text, "\x1b\n") || !utf8.ValidString(text) || len(text) > 1024 {
			t.Errorf("%s: %q", registry, text)
		}
	}
}
