// Package lotasim is an honest emulator of LOTA, the cache in front of CoreWeave
// AI Object Storage, for people who want to try prestage without a cluster and
// for tests that need the truth about what was asked for and what became of it.
//
// # Goals
//
//   - It behaves as LOTA is documented to: virtual-hosted plain HTTP only, a fill
//     is started by HeadObject with exactly "Range: bytes=0-0" or by a GET, only
//     through the LOTA listener, never through the primary one.
//   - It punishes what would be a mistake on a real cluster, and it is strict
//     unless told otherwise: path-style is 400, a bucket that doesn't exist is a
//     host that never answers, a new bucket isn't usable at once, an object of
//     4 MB or less never enters the cache, an overwrite makes an object cold.
//   - Where the documentation is silent, each assumption is a switch with two
//     sides (see Options and docs/lota-facts.md), so that a client can be tried
//     under both and doesn't come to rely on one. Options.Hostile is a bad day.
//   - No answer tells a client whether an object is cached, since no such header
//     or API of LOTA is known. The truth is on a separate admin listener.
//   - What is random comes from one seed, which is logged and can be given.
//
// # Limitations
//
// All of them are in docs/lota-divergences.md. Those that matter most:
//
//   - It is no cache. Bytes always come from the backend; only the time at which
//     they leave is that of a cache. Every stream and every fill has the
//     configured bandwidth for itself: contention is not modelled. The time scale
//     is chosen so that a person sees a difference, not after any measurement.
//   - The cache is one pool of Nodes x NodeBytes. LoseNode drops a node's share.
//   - Nothing is kept over a restart but what the backend keeps.
//   - It doesn't throttle unless a fault rule says so, since no limit of LOTA is
//     published.
//   - It must never face a network that is not trusted: its admin listener has no
//     authentication.
//
// # Parts
//
// New puts LOTA's rules before a Backends, two handlers that speak S3 and verify
// signatures: a Catalogue of synthetic objects, or package store with files on
// disk. Listen serves it on three addresses. Several Sims over the same Backends
// are several clusters.
//
// # Admin API
//
// JSON, over the same functions that the Go API has:
//
//	GET    /                          what this is, seed, options
//	GET    /history?listener=&method=&bucket=&key=&prefix=&range=&limit=
//	GET    /truth?bucket=&key=        what is known of one object; &version_id= of one version
//	GET    /objects                   every cached object, most recently used first
//	GET    /counters                  what LOTA's dashboard shows, and the emulator's own
//	GET    /faults                    the rules, with how often each applied
//	POST   /faults                    adds a rule: {"do":"status","status":503,"method":"HEAD","key":"*.ckpt","count":3}
//	DELETE /faults[?id=]              removes one rule, or all
//	POST   /release[?id=]             lets held requests and fills go, of one rule or of all
//	POST   /nodes/{node}/lose         empties a node of the cache, the first is 0
//
// A rule has "do", which is one of "status" (with "status", "retry_after"),
// "reset", "stall", "slow_headers", "latency", "drop_fill", "hold" and "hold_fill"; "for" is a
// duration such as "250ms". It applies to what "listener", "method", "bucket" and "key"
// (globs: * is any text, ? one character) and "ranged" let through, at most
// "count" times, with "probability".
package lotasim
