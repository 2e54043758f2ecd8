package prestage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// overtaken is a ledger in which somebody records a fill between our reading
// and our turn to ask.
type overtaken struct {
	dedupe.Ledger
	by dedupe.Entry
}

func (o *overtaken) Get(ctx context.Context, ref object.Ref) (dedupe.Record, error) {
	rec, err := o.Ledger.Get(ctx, ref)
	if errors.Is(err, dedupe.ErrNotFound) {
		done := make(chan error, 1)
		o.Put(ctx, o.by, 0, func(err error) { done <- err })
		if err := <-done; err != nil {
			return dedupe.Record{}, err
		}
	}
	return rec, err
}

// A fill that ended since the ledger was read is not repeated.
func TestFillOnRecordSinceItWasLookedUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{}) // no request is expected
	ref := ckpt("p/k")
	version := object.Version{ETag: "e", LastModified: time.Unix(1e9, 0).UTC()}
	r.ledger = &overtaken{Ledger: r.ledger, by: dedupe.Entry{
		Attrs: object.Attrs{Ref: ref, Version: version, Size: 200}, Verdict: outcome.Accepted, At: time.Now(), EventTime: time.Now(),
	}}
	report := r.warm(t, Request{
		Objects:   []object.Attrs{{Ref: ref, Version: object.Version{ETag: "e"}, Size: 200}},
		EventTime: time.Now().Add(-time.Minute),
	})
	if diff := cmp.Diff(Counts{Total: 1, AlreadyWarm: 1}, report.Objects); diff != "" || len(report.Problems) > 0 {
		t.Error(diff, report.Problems)
	}
	if n := len(r.store.requests()); n != 0 {
		t.Errorf("%d requests: %q", n, r.store.requests())
	}
}
