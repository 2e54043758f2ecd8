// Package budget keeps the bytes that the instances of a cluster fill in an hour
// below a limit.
//
// What was filled is on one account for each cluster, minute by minute, in
// JetStream KV: so that the limit holds for all replicas and replays together,
// and a program that is started again and again does not begin with nothing
// spent. An instance takes some of it at a time, and asks for more when that is
// spent; what it took and did not fill is lost with it.
package budget
