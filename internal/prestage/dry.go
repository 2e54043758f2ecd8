package prestage

import (
	"context"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// dryStore asks with a plain HEAD where a fill is meant. It answers the same and
// fills nothing, so that a dry run takes every way that a real one takes.
type dryStore struct{ Filler }

// Fill sends a plain HEAD.
func (s dryStore) Fill(ctx context.Context, ref object.Ref) (Answer, error) { return s.Head(ctx, ref) }

// dry is what a dry run says of the fate f.
func (f fate) dry() fate {
	if f.kind() == "filled" {
		f.skip, f.verdict = outcome.DryRun, ""
	}
	return f
}
