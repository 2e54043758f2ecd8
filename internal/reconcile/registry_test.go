package reconcile

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/publish"
)

// places is a Resolver: what is missing in it fails with err.
type places struct {
	prefix object.Ref
	err    error
}

func (p places) Resolve(_ context.Context, ev events.Event) (events.Event, error) {
	ev.Prefix = p.prefix
	return ev, p.err
}

// TestVersion: the events of a version name it, and have the ids that they would
// have if somebody had named its prefix.
func TestVersion(t *testing.T) {
	t.Parallel()
	a := events.Artifact{Registry: events.MLflow, Name: "llama", Version: "3"}
	f := newFakes(item("a"), item("b"))
	p, told := f.pass(func(c *Config) { c.Type, c.Subject = publish.ModelPublished, "events.model.published.reconcile" })
	if more, err := p.Version(t.Context(), places{prefix: object.Ref{Bucket: "ckpt", Key: "llama/3/"}}, a); err != nil || !more {
		t.Fatal(more, err)
	}
	if len(f.sent) != 2 || len(*told) != 2 || f.asked.Prefix.Key != "llama/3/" || !f.asked.Complete ||
		f.asked.Subject != "events.model.published.reconcile" {
		t.Fatalf("sent %+v, told %+v, asked for %+v", f.sent, *told, f.asked)
	}
	for _, e := range f.sent {
		if e.Data.Model != "llama" || e.Data.Version != "3" || e.Type != publish.ModelPublished {
			t.Errorf("%+v", e)
		}
	}
	named := newFakes(item("a"))
	other, _ := named.pass(nil)
	if _, err := other.Target(t.Context(), prestage.Request{}); err != nil || named.sent[0].ID != f.sent[0].ID || named.sent[0].Data.Model != "" {
		t.Errorf("%v, %+v", err, named.sent)
	}
}

// TestVersionElsewhere: the plan may find nothing where the registry says.
func TestVersionElsewhere(t *testing.T) {
	t.Parallel()
	for reason, want := range map[outcome.Reason]State{
		outcome.NotFound: Unresolved, outcome.BucketNotAllowed: Unresolved, outcome.Incomplete: Incomplete, outcome.Forbidden: Failed,
	} {
		f := newFakes()
		f.problems = []*outcome.Error{{Op: "list", Reason: reason}}
		p, _ := f.pass(nil)
		if _, err := p.Version(t.Context(), places{}, events.Artifact{Name: "llama", Version: "3"}); err != nil || p.Report().Objects[want] != 1 {
			t.Errorf("%s: %v, %v", reason, err, p.Report().Objects)
		}
		if _, err := p.Target(t.Context(), prestage.Request{}); err != nil || want == Unresolved && p.Report().Objects[Failed] != 1 {
			t.Errorf("%s of no version: %v, %v", reason, err, p.Report().Objects)
		}
	}
}

func TestVersionWithoutPlace(t *testing.T) {
	t.Parallel()
	for class, want := range map[outcome.Class]State{
		outcome.Permanent: Unresolved, outcome.Refused: Failed, outcome.Failed: Failed, outcome.Transient: "", outcome.Interrupted: "",
	} {
		f := newFakes(item("a"))
		p, told := f.pass(nil)
		broken := &outcome.Error{Op: "resolve", Class: class, Reason: outcome.UnresolvableSource, Err: errors.New("no luck")}
		more, err := p.Version(t.Context(), places{err: broken}, events.Artifact{Name: "llama", Version: "3"})
		if want == "" {
			if more || !errors.Is(err, class) || len(*told) > 0 {
				t.Errorf("%v: %v, %v, %+v", class, more, err, *told)
			}
			continue
		}
		finding := []Finding{{
			URI: "models:/llama/3", State: want, Size: object.UnknownSize, Reason: outcome.UnresolvableSource, Why: "resolve: no luck",
		}}
		if diff := cmp.Diff(finding, *told); diff != "" || !more || err != nil || p.Report().Objects[want] != 1 {
			t.Errorf("%v: %v, %v, %s", class, more, err, diff)
		}
	}
}
