// Package gateway takes events over HTTP and stores them in the stream: its own
// producers' at /v1/events, the webhooks of registries and stores below /hooks.
//
// A request is answered 202 only after the stream's acknowledgement, and 503
// when it could not be had; a sender that then tries again makes no second
// event, because each has a message id. The body goes into the stream as it
// came, with a header that names its route: what it means is read by
// internal/events, by this version or by a later one that replays it.
//
// Each route has secrets of its own, several at a time so that they can be
// rotated, and is closed without one. What a request may take is bounded: its
// header, its body, its time, its place among others. It speaks TLS, or leaves
// that to whatever stands in front.
package gateway
