// Package mutants breaks each promise on purpose, and has the tests catch it. A
// mutant is one edit of one file that breaks one promise; a promise whose breach
// no test catches is not kept. The package holds tests only: go tool task
// mutants runs them, and the ordinary test run checks that every edit still
// applies.
package mutants
