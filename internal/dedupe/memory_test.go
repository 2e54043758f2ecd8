package dedupe_test

import (
	"testing"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/dedupe/dedupetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	dedupetest.Run(t, func(*testing.T) dedupe.Ledger { return dedupe.NewMemory() })
}
