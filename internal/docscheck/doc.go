// Package docscheck holds what is written about the program against the
// program: its tests fail when a link leads nowhere, when a document or a
// manifest names a task, a variable or a reason that does not exist, or when a
// file says what only its writer's machine knows.
package docscheck
