// Package tracing tells an OpenTelemetry collector what was done for each message
// of the stream, and for each request that the gateway got. No other package knows
// OpenTelemetry: they give a context and attributes, and where the context belongs
// to nothing that is traced, nothing happens.
//
// A message's span is made when it is taken; those of what was asked of others for
// it are made when that has ended, so that only so many are made as are kept.
package tracing
