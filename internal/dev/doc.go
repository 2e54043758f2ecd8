// Package dev runs the whole system in one process: an embedded NATS server,
// an S3 store, the LOTA emulator, the daemon and the gateway with the same code and
// configuration as in production. It shows a model and a checkpoint become
// warm, with the emulator's own truth as the judge, and stays up to be tried.
package dev
