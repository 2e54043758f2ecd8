// Package prestage turns a Request into warm objects: plan, then warm.
//
// A Planner expands a Request into Items, which can be printed: what will be
// asked for, what is skipped and why. A Warmer walks the plan and has each
// object filled: it sends HeadObject with "Range: bytes=0-0" to LOTA, which
// makes LOTA fetch the whole object into its cache (CoreWeave release note "AI
// Object Storage pre-stage cache", March 2026). Versions that the ledger has on
// record are not asked for again.
//
// All requests pass a Guard. It waits while the endpoint is down, keeps a
// bucket that does not answer, or refuses us, from holding what others need, and
// shares the permits of one Limiter fairly between events; how many there are
// follows what the store turns away. S3 is the one place that speaks
// the protocol; it says with an *outcome.Error what a failure asks for.
package prestage
