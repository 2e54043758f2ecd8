// Package app turns a configuration into the running daemon: it reads and
// checks the environment, connects to NATS, provisions what is missing, builds
// the client for LOTA, and runs the lanes and the admin listener until it is
// told to stop. It holds no logic of its own about events or objects.
package app
