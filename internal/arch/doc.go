// Package arch holds the import arrows of this repository. Its test fails when
// a package imports what it must not, or does what belongs to the edge of the
// program. It reads the source files themselves, so that files behind build
// tags are held to the same rules.
package arch
