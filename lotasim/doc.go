// Package lotasim runs an emulator of LOTA, the cache in front of CoreWeave AI
// Object Storage, inside a Go test: to see that code asks LOTA for the objects
// that it should, gets through a bad day, and would notice its own mistakes.
//
// An Emulator listens on free ports of loopback and looks like
// http://<bucket>.cwlota.com and http://<bucket>.cwobject.com to clients that
// connect through it: by Emulator.Transport, Emulator.DialContext, or
// Emulator.ProxyURL as the HTTP proxy of another process. It is LOTA as
// documented. Where the documentation is silent, Options has a switch with two
// sides, and code that is right works under both; Options.Hostile is a bad day.
// No answer tells a client what is cached. The test asks Truth and History, which
// no cluster has.
//
// Objects are put by Go calls and exist only by name, size and version, so that
// terabytes cost nothing. Clients can't write. Code that uploads is tried with
// "prestage lotasim", which keeps files.
//
// What is known of LOTA and what is assumed: docs/lota-facts.md; what the
// emulator leaves out: docs/lota-divergences.md. It is no cache and not for
// production, and its times say nothing about LOTA's.
package lotasim
