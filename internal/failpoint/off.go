//go:build !failpoint

// Package failpoint lets a test kill the program at a named step. In a normal
// build its one function does nothing; with the build tag "failpoint" it kills
// the process the first time that the step named by the environment variable
// FAILPOINT is reached.
package failpoint

// Hit marks the step named name.
func Hit(name string) {}
