// Package reconcile finds objects that never became warm because nobody told of
// them, and publishes the events that are missing.
//
// What is an event of its own? One version of one object, as a bucket's
// notification would have told of it. A list of several objects would be another
// event in every pass, since what is missing changes as the first of them are
// filled; one object's event has the same id whoever finds it, so that the stream
// keeps one of two that come within its duplicate window, and receipts tell what
// became of an earlier one.
//
// What is missing? What the ledger does not hold as warm, judged as the daemon
// judges it, unless an event of an earlier pass is still on its way or has ended
// for this same version. Objects that LOTA would not keep are not looked up.
//
// A pass stores nothing of its own. One that was interrupted simply runs again:
// what it has published is then warm, under way, or in the stream.
package reconcile
