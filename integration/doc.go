// Package integration holds the tests of the program as a whole. It runs as a
// child process, set up by environment variables alone, between an embedded
// nats-server and the LOTA emulator. What really happened is asked of the
// emulator and of JetStream, never of the program.
//
// INTEGRATION_LONG=1 makes outages as long as real ones. With -short all of it
// is skipped.
package integration
