// Package resolve finds out where in S3 the files are that an event names only as
// an artifact of a registry: a version of a model, a commit of a repository, an
// image.
//
// A Resolver has one Finder for each registry. What it gives back is an event
// like any other, with objects, a prefix or a manifest. Whether their bucket is
// allowed is decided where that is decided for all events: by the plan.
//
// Its errors are *outcome.Error. Their class says what the lane does:
//
//   - Permanent, unresolvable_source: the artifact is not in S3, or nobody has said
//     how to find it there. The hint says what to set, or to send instead.
//   - Transient: who is to be asked does not answer, or is busy. The event waits
//     and uses up no attempt.
//   - Failed, unresolvable_source: something that is not MLflow's says that there is
//     nothing. It counts as an attempt.
//   - Refused, unresolvable_source: who is to be asked does not let us. The event
//     waits up to PRESTAGE_GIVE_UP_AFTER, since credentials are rotated.
//
// # Adding a registry
//
// A registry is a name in package events, whose decoder sets Event.Artifact, a
// Finder here, and a row in hints.
package resolve
