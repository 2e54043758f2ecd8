// Package integration holds the tests of the program as a whole. It runs as a
// child process, set up by environment variables alone, between an embedded
// nats-server and the LOTA emulator. What really happened is asked of the
// emulator and of JetStream, never of the program.
//
// The matrix tells one story of all kinds of events under each setting of the
// emulator's switches. For that the program runs in the test's own process.
//
// INTEGRATION_LONG=1 makes outages as long as real ones and a replay one of
// 50,000 events, INTEGRATION_MINIO names a MinIO server program to be notified
// by, -report makes the benchmarks measure for long. With -short all of it is
// skipped.
package integration
