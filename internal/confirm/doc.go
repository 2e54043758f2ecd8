// Package confirm finds out how much can be known of a fill.
//
// LOTA's documentation says neither whether the answer to the HEAD comes before
// or after the fill, nor how to ask for the state of one object. So both are
// learnt from each endpoint while it is used, and never for good:
//
//   - Is the answer the end of the fill? Synchrony fits the time that ranged
//     HEADs take, less that of plain ones, against size.
//   - Do reads tell what is cached? Reads compares the speed of reads that were
//     made before a fill was asked for with that of reads made again, and bounds
//     the probability that a miss comes at cache speed.
//
// A Confirmer applies what has been learnt: it reads a few bytes of an object,
// in rounds, until they come at cache speed everywhere it looks. It claims
// nothing while it cannot tell.
//
// LOTA caches what a read has missed ("about LOTA": the second stream), so
// that looking changes what is seen: of every place only the first read counts,
// and all places of a round are read at once.
package confirm
