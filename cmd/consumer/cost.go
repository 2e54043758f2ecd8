package main

import (
	"fmt"

	"github.com/prestage/prestage/internal/prestage"
)

// CoreWeave's prices for object storage in dollars per GiB and month, as its
// pricing page and its usage-based billing notes (31 October 2025) gave them.
// An access moves an object to Hot for 7 days, then to Warm until day 30.
const (
	pricesOf  = "2025-10-31"
	hotPrice  = 0.06
	warmPrice = 0.03
	coldPrice = 0.015
)

// dearest is what reading, or warming, one GiB costs at most over the next 30
// days: when it would have stayed Cold. An object that is Hot costs nothing
// more, and which tier it is in no client can see.
const dearest = hotPrice*7/30 + warmPrice*23/30 - coldPrice

// tierCost is the most that making so many bytes hot costs, in dollars.
func tierCost(bytes int64) float64 { return float64(bytes) / (1 << 30) * dearest }

// tierCostText says what filling objects of so many bytes, and others of
// unknown size, costs.
func tierCostText(bytes, unsized int64) string {
	if unsized > 0 {
		return fmt.Sprintf("tier cost: unknown, since the size of %d objects is; that of the others is at most $%.4f (prices of %s)",
			unsized, tierCost(bytes), pricesOf)
	}
	return fmt.Sprintf("tier cost: $0 if all of it is hot already, at most $%.4f over 30 days if all of it is cold (prices of %s)",
		tierCost(bytes), pricesOf)
}

// archiveText says what is known of the part of a fill that is in CoreWeave's
// archive, with a line break before it, "" where there is none. The archive has
// no tiers: "Reading an object in STANDARD_IA doesn't move it back to STANDARD",
// there is no retrieval fee "under the default configuration", and the data "can
// be stored outside the bucket's data center" (release note of 10 September 2026).
func archiveText(a prestage.Amount) string {
	if a.Objects == 0 {
		return ""
	}
	return fmt.Sprintf("\nSTANDARD_IA: %d objects of it, %s. Filling them costs no retrieval fee by default and changes no tier; "+
		"it may come from another data center, and it is not documented that LOTA keeps them", a.Objects, byteText(a.Bytes))
}
