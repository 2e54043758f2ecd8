// Package layout knows how the usual programs lay a checkpoint out in a bucket,
// and when one is whole. It is pure: keys and the text of a small file go in,
// answers come out; whoever asks does the listing and the reading.
//
// A checkpoint is a directory of objects that come one after the other, and a
// store tells of each of them alone. Nothing is remembered between two events:
//
//   - Temporary names are never warm.
//   - Of tells which format an object's key shows by itself.
//   - Claims are the checkpoints that an object may have completed, Removals
//     those that its removal may have.
//   - A Check holds a listing against the rule of a format and says what is
//     missing.
//   - Keep says which objects a reader of a checkpoint needs.
//
// Keys and texts are hostile: both are bounded before they are looked at, and
// what a text names is a name below the text's own directory or nothing at all.
// The rules and where they come from are in docs/checkpoints.md.
package layout
