//go:build !failpoint

// Package failpoint lets a test break the program at a named step. In a normal
// build its one function does nothing. With the build tag "failpoint" it kills
// the process the first time that the step named by the environment variable
// FAILPOINT is reached, and panics each time at the step named by
// FAILPOINT_PANIC.
package failpoint

// Hit marks the step named name.
func Hit(name string) {}
